// How jemalloc works in this program. oneDNN allocates the panels of every product anew; what is
// freed stays with the process, since getting and clearing pages again took up to a fifth of a step
// where a machine's page faults are dear. glibc's allocator can be told so too, but its heap grew
// by tens of MiB that no plan could foresee.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1";
}
