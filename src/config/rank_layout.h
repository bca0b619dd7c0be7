// Which hosts a run is to have and how many ranks on each, as user and scheduler say it before
// anything is started.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/run_config_loader.h"

namespace borealis {

enum class Scheduler { kNone, kPbs, kSlurm };

struct RankLayout {
  std::vector<std::string>
      hosts;  // distinct, in the order in which they are listed; empty: this one
  int64_t ranks_per_host = 1;
  Scheduler scheduler = Scheduler::kNone;
  bool hosts_chosen = false;    // by HOSTFILE: maybe not all that the scheduler gave
  std::string hosts_from = {};  // "HOSTFILE=nodes.txt", for messages
  std::string ranks_from = {};  // "NGPU_PER_HOST=12"; "": nobody says how many

  int64_t host_count() const { return hosts.empty() ? 1 : static_cast<int64_t>(hosts.size()); }
  int64_t ranks() const { return host_count() * ranks_per_host; }
};

// Hosts: HOSTFILE, else the job's of Slurm or PBS (PBS_NODEFILE), else this one. Ranks of a host:
// NGPU_PER_HOST, else WORLD_SIZE / hosts, else what the scheduler or the host file gives each, else
// `default_ranks_per_host`. Throws Error(kConfig), Error(kFile) where they contradict each other or
// cannot be read.
RankLayout find_rank_layout(const Environment& environment, int64_t default_ranks_per_host);

// On this machine alone, by whatever name: no launcher has to be told of it.
bool is_local(const RankLayout& layout);

// "24 ranks on 2 hosts".
std::string layout_text(const RankLayout& layout);

}  // namespace borealis
