// The ranks of this run.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "comm/mpi/mpi_world.h"
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
  std::string description() const;  // "2 ranks, 2 on this host, Open MPI v4.1.4"

  // What the ranks of a host share is divided among them: its memory, and its cores, unless the
  // launcher gave each rank its own.
  void share_machine(MachineConfig& machine);
  // Throws AgreedError naming the first of these that a rank has otherwise than rank 0.
  void require_same(const nlohmann::json& facts);
  void require_same(const RunConfig& config);  // but for what each rank may have of its own

 private:
  std::optional<MpiWorld> world_;
  std::unique_ptr<Communicator> alone_;
  Communicator* all_;
  std::unique_ptr<Communicator> host_;
};

}  // namespace borealis
