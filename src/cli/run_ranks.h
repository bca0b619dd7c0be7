// The ranks of this run.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "comm/communicator.h"
#include "comm/mpi/mpi_world.h"
#include "config/launched_job.h"
#include "config/run_config.h"
#include "config/run_config_loader.h"

namespace borealis {

class RunRanks {
 public:
  // Those that an MPI launcher started, whose library is started here, or this process alone.
  // Throws Error(kRanks).
  explicit RunRanks(const Environment& environment);

  Communicator& all() { return *all_; }
  bool is_first() const { return all_->rank() == 0; }
  int64_t on_this_host() const { return host_->size(); }
  Communicator& of_host() { return *host_; }
  LoadOptions load_options() const;     // of a run that these ranks make
  std::string library_version() const;  // "Open MPI v4.1.4"; "": without MPI
  // Of waiting for other ranks, from now on.
  void set_time_limit(double seconds);
  // Until the rank that tells what is wrong ends the job: it may have to finish a save before. Up
  // to the time limit.
  void wait_for_end() const;
  std::string description() const;  // "2 ranks on 1 host, Open MPI v4.1.4"

  struct HostCores {
    int64_t cores = 0;    // of this host that any of its ranks may use
    int64_t sharers = 0;  // ranks that may use the same ones as this, itself included
  };
  HostCores host_cores();  // collective
  // What the ranks of a host share is divided among them: its memory, and its cores, unless the
  // launcher gave each rank its own. Returns this host's cores that its ranks may use. Collective.
  int64_t share_machine(MachineConfig& machine);
  // Throws AgreedError naming the first of these that a rank has otherwise than rank 0.
  void require_same(const nlohmann::json& facts);
  void require_same(const RunConfig& config);  // but for what each rank may have of its own

 private:
  void share_gpus(MachineConfig& machine);

  std::optional<MpiWorld> world_;
  std::unique_ptr<Communicator> alone_;
  Communicator* all_;
  std::unique_ptr<Communicator> host_;
  int64_t hosts_ = 1;
  double time_limit_s_ = RankTimeLimit{}.seconds;
};

// launched_job(), of which the first of a step's tasks tells for all what is wrong.
std::optional<LaunchedJob> job_of_this_process(const Environment& environment);

// The body of `command`, which all ranks of a job run together: `work` returns the exit code. What
// they agree is wrong is told once; where one rank alone fails, it is named and ends the job.
int on_all_ranks(std::string_view command, const std::function<int(RunRanks&)>& work);

}  // namespace borealis
