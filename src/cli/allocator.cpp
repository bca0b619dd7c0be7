// How jemalloc works in this program. oneDNN allocates the panels of every product anew; what is
// freed stays with the process, since getting and clearing pages again took up to a fifth of a step
// where a machine's page faults are dear. glibc's allocator can be told so too, but its heap grew
// by tens of MiB that no plan could foresee.
#include "cli/allocator.h"

#include <sys/types.h>

#include <cstddef>
#include <initializer_list>

extern "C" {
// jemalloc's; null under a sanitizer, which brings an allocator of its own.
__attribute__((weak)) int mallctl(const char* name, void* old_value, size_t* old_bytes, void* value,
                                  size_t bytes);
extern const char* malloc_conf;
const char* malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1";
}

namespace borealis {

void give_back_freed_memory() {
  if (mallctl == nullptr) return;
  ssize_t milliseconds = 1000;
  for (const char* name : {"arenas.dirty_decay_ms", "arenas.muzzy_decay_ms",
                           "arena.4096.dirty_decay_ms", "arena.4096.muzzy_decay_ms"}) {
    // 4096 stands for all arenas that there are.
    mallctl(name, nullptr, nullptr, &milliseconds, sizeof milliseconds);
  }
}

}  // namespace borealis
