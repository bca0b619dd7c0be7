#include "cli/run_ranks.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "base/cgroup.h"
#include "base/cores.h"
#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/process.h"
#include "cli/command.h"
#include "cli/failure.h"
#include "cli/open_backend.h"
#include "cli/program_version.h"
#include "cli/run_setup.h"
#include "comm/collectives.h"
#include "config/launched_job.h"
#include "config/run_config_json.h"
#include "data/file_checksum.h"
#include "kernels/gpu_shares.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr double kOthersTimeS = 10;  // at least, for a rank that ends the job to do so

// Beside the program.
fs::path module_of(const LaunchedJob& job) {
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path module = folder / fmt::format("borealis_mpi_{}.so", job.library);
  if (fs::exists(module)) return module;
  throw Error(
      ErrorKind::kRanks,
      fmt::format("{} started this process, but {} was not there when Borealis was built",
                  job.launcher, job.library),
      fmt::format("install lib{}-dev and build again{}", job.library,
                  job.library == "mpich" ? "; under srun SLURM_MPI_TYPE=pmix is Open MPI's" : ""));
}

using CoreMask = std::array<unsigned char, sizeof(cpu_set_t)>;

CoreMask core_mask() {
  CoreMask mask{};
  for (const int processor : usable_processors()) {
    mask[static_cast<size_t>(processor / 8)] |= static_cast<unsigned char>(1 << processor % 8);
  }
  return mask;
}

}  // namespace

std::optional<LaunchedJob> job_of_this_process(const Environment& environment) {
  try {
    return launched_job(environment);
  } catch (const Error& error) {
    if (environment("SLURM_PROCID").value_or("0") == "0") throw;
    throw ToldByOthers(error.kind(), std::string(error.text()));
  }
}

RunRanks::RunRanks(const Environment& environment) {
  const std::optional<LaunchedJob> job = job_of_this_process(environment);
  if (job) {
    try {
      world_.emplace(module_of(*job), RankTimeLimit{});
    } catch (const Error& error) {
      // What is missing on a host its first rank tells.
      if (job->rank_on_host.value_or(0) == 0) throw;
      throw ToldByOthers(error.kind(), std::string(error.text()));
    }
    all_ = &world_->ranks();
    if (job->ranks && all_->size() != *job->ranks) {
      throw Error(
          ErrorKind::kRanks,
          fmt::format("{} says {} ranks, MPI says {}", job->launcher, *job->ranks, all_->size()),
          "start the ranks with the launcher of the MPI library that Borealis was built for");
    }
  } else {
    alone_ = make_lone_communicator();
    all_ = alone_.get();
  }
  host_ = all_->split_by_host();
  const std::vector<int64_t> leads =
      all_values<int64_t>(*all_, host_->rank() == 0 ? 1 : 0, "counting hosts");
  hosts_ = std::ranges::count(leads, 1);
}

std::string RunRanks::description() const {
  return fmt::format("{} ranks on {} host{}, {}", all_->size(), hosts_, hosts_ == 1 ? "" : "s",
                     world_ ? world_->library_version() : "without MPI");
}

std::string RunRanks::library_version() const { return world_ ? world_->library_version() : ""; }

LoadOptions RunRanks::load_options() const {
  LoadOptions options;
  options.world_size = all_->size();
  options.hosts = hosts_;
  options.ranks_per_host = on_this_host();
  return options;
}

void RunRanks::set_time_limit(double seconds) {
  if (world_) world_->set_time_limit({seconds});
  time_limit_s_ = seconds;
}

void RunRanks::wait_for_end() const {
  std::this_thread::sleep_for(std::chrono::duration<double>(std::max(kOthersTimeS, time_limit_s_)));
}

RunRanks::HostCores RunRanks::host_cores() {
  const std::vector<CoreMask> masks = all_values(*host_, core_mask(), "looking at cores");
  CoreMask together{};
  for (const CoreMask& mask : masks) {
    std::ranges::transform(together, mask, together.begin(), std::bit_or<unsigned char>());
  }
  HostCores cores{.cores = 0, .sharers = std::ranges::count(masks, core_mask())};
  for (const unsigned char bits : together) cores.cores += std::popcount(bits);
  return cores;
}

// A launcher may show each rank GPUs of its own, and number them as it likes.
void RunRanks::share_gpus(MachineConfig& machine) {
  constexpr const char* kWhat = "looking at GPUs";
  std::vector<GpuId> own;
  if (on_this_host() > 1) own = gpus_for(machine);
  std::vector<std::vector<GpuId>> seen;
  for (const std::string& text : all_texts(*host_, nlohmann::json(own).dump(), kWhat)) {
    seen.push_back(nlohmann::json::parse(text));
  }
  const GpuShare share = gpu_shares(seen)[static_cast<size_t>(host_->rank())];
  machine.gpu = share.number;
  machine.ranks_of_gpu = share.ranks;
  machine.gpus_are_shared = std::ranges::max(all_values(*all_, share.ranks, kWhat)) > 1;
}

int64_t RunRanks::share_machine(MachineConfig& machine) {
  machine.ranks_on_host = on_this_host();
  share_gpus(machine);
  const HostCores cores = host_cores();
  if (machine.threads == 0 && machine.ranks_on_host > 1) {
    // Ranks that share a mask may have places of their own in it.
    const int64_t share = cores_of_process() / cores.sharers;
    int64_t threads = std::min<int64_t>(share, cores_of_places().value_or(cores_of_process()));
    // Of all ranks, however their cores were dealt out.
    if (const auto quota = cpu_quota()) {
      const auto whole = static_cast<int64_t>(std::ceil(*quota));
      threads = std::min(threads, whole / machine.ranks_on_host);
    }
    machine.threads = std::max<int64_t>(1, threads);
  }
  return cores.cores;
}

namespace {

// Of settings that differ, one that was given: names of folders follow from others.
std::string telling_path(const nlohmann::json& differences) {
  const auto is_given = [](const nlohmann::json& difference) {
    const std::string path = difference["path"];
    return !path.ends_with("_dir") && !path.ends_with("/prefix") && !path.ends_with("_cache_path");
  };
  const auto given = std::ranges::find_if(differences, is_given);
  return given != differences.end() ? (*given)["path"] : differences[0]["path"];
}

}  // namespace

void RunRanks::require_same(const nlohmann::json& facts) {
  if (all_->size() == 1) return;
  constexpr const char* kWhat = "comparing what the ranks are to do";
  const nlohmann::json first = nlohmann::json::parse(text_of_first(*all_, json_text(facts), kWhat));
  together(*all_, kWhat, [&] {
    const nlohmann::json differences = nlohmann::json::diff(first, facts);
    if (differences.empty()) return;
    const std::string path = telling_path(differences);
    const nlohmann::json::json_pointer place(path);
    const auto value_in = [&](const nlohmann::json& all) {
      return all.contains(place) ? json_text(all.at(place)) : std::string("missing");
    };
    throw Error(ErrorKind::kConfig,
                fmt::format("{} is {}, but on rank 0 {}", path.substr(path.rfind('/') + 1),
                            value_in(facts), value_in(first)),
                "give every rank the same program, variables and files");
  });
}

void RunRanks::require_same(const RunConfig& config) {
  if (all_->size() == 1) return;
  nlohmann::json facts = to_json(config);
  facts["output"].erase("run_dir");  // its name has the time
  for (const char* own : {"machine", "notes", "warnings", "log_level"}) facts.erase(own);
  facts["version"] = program_version();
  facts["program's content"] = file_checksum("/proc/self/exe");
  require_same(facts);
}

int on_all_ranks(std::string_view command, const std::function<int(RunRanks&)>& work) {
  RunRanks ranks(process_environment());
  try {
    return work(ranks);
  } catch (const AgreedError& error) {
    // Told before any rank ends: once one has ended with a code, the launcher ends the others.
    if (ranks.is_first()) tell(error.what());
    return error_exit_code(error.kind());
  } catch (const ToldByOthers& error) {
    ranks.wait_for_end();  // that one has the job's exit code
    const int exit_code = error_exit_code(error.kind());
    ranks.all().abort(exit_code);
    return exit_code;  // not reached, which GCC does not see
  } catch (const std::exception& error) {
    if (ranks.all().size() == 1) throw;
    ranks.all().announce_end();
    // The others do not know of it, and the job's code is to be this one's.
    const Failure failure =
        failure_of(error, command, fmt::format("rank {}: ", ranks.all().rank()));
    tell(failure.line);
    // Once it knows of the end MPICH's launcher drops what it has not read yet: this line.
    std::this_thread::sleep_for(kTellingTime);
    ranks.all().abort(failure.exit_code);
    return failure.exit_code;  // not reached, which GCC does not see
  }
}

}  // namespace borealis
