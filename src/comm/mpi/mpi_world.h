// The ranks of a job that an MPI launcher started.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "comm/communicator.h"

namespace borealis {

class MpiCalls;
class MpiJob;

// MPI from its start to its end, of which a process has one.
class MpiWorld {
 public:
  // Loads `module` (borealis_mpi_<library>.so) and starts its library. Throws Error(kRanks) where
  // it cannot be loaded or started.
  MpiWorld(const std::filesystem::path& module, RankTimeLimit limit);
  // Ends MPI, which waits for the other ranks; while an exception is passing it does not, and the
  // job must be aborted.
  ~MpiWorld();
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;

  Communicator& ranks() { return *ranks_; }
  // From now on. Starting MPI has the limit of the constructor.
  void set_time_limit(RankTimeLimit limit);
  std::string library_version() const;  // its first line

 private:
  MpiCalls* calls_ = nullptr;  // of the module, which stays loaded
  int exceptions_;             // that are passing when it is made
  std::shared_ptr<MpiJob> job_;
  std::unique_ptr<Communicator> ranks_;
};

}  // namespace borealis
