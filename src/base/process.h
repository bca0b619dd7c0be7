// This process among others.
#pragma once

namespace borealis {

double process_age_s();  // since the program was loaded
int usable_cores();      // in the affinity mask that this process started with
// Throws std::system_error where the system refuses one of that many threads: OpenMP would end the
// process without a word of ours.
void require_threads(int threads);

}  // namespace borealis
