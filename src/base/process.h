// This process among others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace borealis {

double process_age_s();  // since the program was loaded
// Those of the places that OpenMP's threads are bound to (OMP_PLACES, GOMP_CPU_AFFINITY); none:
// they are not bound.
std::optional<int> cores_of_places();
// In the affinity mask that this process started with; no more than its control group gives it the
// time of: threads beyond that would wait for each other at every barrier.
int cores_of_process();
// No more of them than the places of OpenMP's threads have.
int usable_cores();
// Throws std::system_error where the system refuses one of that many threads: OpenMP would end the
// process without a word of ours.
void require_threads(int threads);
// Throws Error(kMemory) where the stacks that the system gives (`ulimit -s`) are too small to run
// on.
void require_stack();

// A process by what no other one has, before or after it.
struct ProcessMark {
  std::string table;        // the kernel's boot and table of processes; empty: not known
  int64_t id = 0;           // in that table
  int64_t start_ticks = 0;  // of the kernel's clock, since the boot
};
ProcessMark this_process();
// Whether it is still there, asked without disturbing it. None: it is of another machine, boot or
// container, or the system does not tell.
std::optional<bool> is_alive(const ProcessMark& process);
// Of its program, 15 characters at most; "": there is no such process.
std::string process_name(int64_t id);
// By SIGSTOP or a debugger, for certain.
bool is_stopped(const ProcessMark& process);

}  // namespace borealis
