// What each rank is, sees and can do, before a run is entrusted to it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "config/run_config.h"
#include "kernels/backend.h"

namespace borealis {

struct RankProbe {
  int64_t rank = 0;
  std::string host = {};
  std::string program = {};    // version and commit
  std::string library = {};    // MPI, "" for a process alone
  std::string isa = {};        // instructions that the kernels run on
  std::string cpu_model = {};  // of the host
  std::string gpu = {};        // that computes; "": the host does
  std::string exchange = {};   // of several ranks with GPUs: "NCCL", or "MPI" through their hosts
  std::string data = {};       // counts and a fingerprint; "": the configuration names none
  std::string data_fault = {};
  int64_t threads = 1;
  int64_t cores = 1;            // in its affinity mask
  int64_t core_sharers = 1;     // ranks of the host with the same mask, itself included
  int64_t available_bytes = 0;  // on its host, for all its ranks
  int64_t gpu_free_bytes = 0;
  // Of what computes.
  double gemm_flops_per_s = 0;
  double memory_bytes_per_s = 0;  // triad, a copy on a GPU; 0: there was no room for it
};

// Its fields by their names.
nlohmann::ordered_json rank_probe_json(const RankProbe& probe);

// What the caller knows of this rank.
struct ProbeBasis {
  std::string program = {};
  std::string library = {};
  int64_t threads = 1;
  int64_t core_sharers = 1;
};

// Of this rank, and then of all, by rank. Rates are measured on all ranks at the same time, as they
// will compute. `host`: the ranks of this host. backend: that computes. Collective.
std::vector<RankProbe> probe_ranks(Communicator& all, Communicator& host, const RunConfig& config,
                                   const ProbeBasis& basis, Backend& backend);

// "0-3, 7" of ascending ranks.
std::string rank_ranges(const std::vector<int64_t>& ranks);

}  // namespace borealis
