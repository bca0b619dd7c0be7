// Names of hosts as schedulers and users write them down.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

struct ListedHost {
  std::string name;
  int64_t slots = 0;  // ranks that the list gives it; 0: it does not say
};

// A host a line, "name", "name slots=4" (Open MPI, DeepSpeed) or "name:4" (MPICH), "#" before
// comments; a name that comes k times, as PBS repeats it, has k times the slots (1 where none are
// said). In the order of their first lines. Throws Error(kFile), Error(kConfig) for lines that are
// neither and for a file without a host.
std::vector<ListedHost> read_host_file(const std::filesystem::path& path);

// Slurm's short form, "nid[001-003,7],login1" or "rack[1-2]n[01-16]": the last group counts
// fastest, leading zeros stay. Throws Error(kConfig) for what is none.
std::vector<std::string> expand_slurm_hosts(std::string_view list);

// "2(x3),1": 2, 2, 2, 1, as Slurm tells the tasks of its hosts. Throws Error(kConfig).
std::vector<int64_t> expand_slurm_counts(std::string_view counts);

}  // namespace borealis
