#include "cli/run_folder.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "checkpoint/run_checkpoints.h"
#include "config/run_config_json.h"
#include "telemetry/metrics_file.h"
#include "telemetry/run_summary.h"
#include "train/checkpoint_space.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

// Two runs that start within a second have folders of their own, where their names are derived.
void claim_run_folder(RunConfig& config) {
  const std::string name = config.output.run_dir;
  if (!name.starts_with(fmt::format("logs/{}/", config.output.prefix))) return;
  borealis::create_directories(std::filesystem::path(name).parent_path());
  for (int number = 2; !create_new_directory(config.output.run_dir); ++number) {
    config.output.run_dir = fmt::format("{}_{}", name, number);
  }
}

// Of a finished run; one that was cut off or failed may begin again where it lies.
bool holds_finished_run(const fs::path& folder) {
  std::error_code unknown;
  if (!fs::exists(folder / kMetricsFileName, unknown)) return false;
  if (!fs::exists(folder / kSummaryFileName, unknown)) return false;
  const std::string stopped_by = read_run_summary(folder).stopped_by;
  return !stopped_by.empty() && stopped_by != "error";
}

bool is_same_folder(const fs::path& a, const fs::path& b) {
  std::error_code unknown;
  return fs::equivalent(a, b, unknown);
}

// Records of another run would be replaced by this one's.
void require_own_records(const fs::path& folder, const RunStart& start) {
  if (start.resumes && is_same_folder(start.state.run_dir, folder)) return;
  if (!holds_finished_run(folder)) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("--run-dir {} holds the records of another run", folder.string()),
              "name a new folder, or leave --run-dir out");
}

// A run's folder and a folder of checkpoints have files of the same names.
void require_no_checkpoints(const RunConfig& config) {
  const fs::path folder = config.output.run_dir;
  std::error_code unknown;
  const auto whole_path = [&unknown](const fs::path& path) {  // of a folder that may not be there
    return fs::weakly_canonical(fs::absolute(path, unknown) / "", unknown);
  };
  if (config.output.save_checkpoints &&
      whole_path(folder) == whole_path(config.output.checkpoint_dir)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("--run-dir {} is also the folder that checkpoints are saved to",
                            folder.string()),
                "give one of them a folder of its own");
  }
  if (fs::exists(folder / "latest", unknown) || !checkpoint_steps(folder).empty()) {
    throw Error(ErrorKind::kConfig, fmt::format("--run-dir {} holds checkpoints", folder.string()),
                "name a new folder, or leave --run-dir out");
  }
}

// Finds out now what the first save would find out hours later.
void require_writable(const fs::path& folder) {
  const fs::path probe = partial_path_of(folder / "writable");
  { const AppendFile file(probe, 0); }
  fs::remove(probe);
}

void require_room(const RunConfig& config, int64_t parameters, int64_t iteration) {
  const std::string& folder = config.output.checkpoint_dir;
  std::error_code unknown;
  const fs::space_info space = fs::space(folder, unknown);
  if (unknown) return;
  const int64_t there = std::ssize(checkpoint_steps(folder));
  const std::string warning = check_space(checkpoint_space(config, parameters, iteration, there),
                                          static_cast<int64_t>(space.available), folder);
  if (!warning.empty()) log_warning(warning);
}

}  // namespace

RunFolders::RunFolders(RunConfig& config, const RunStart& start, int64_t parameters) {
  require_no_checkpoints(config);
  claim_run_folder(config);
  run_ = FolderLock::hold_alone(config.output.run_dir, "run",
                                "name another folder (--run-dir), or wait for it");
  require_own_records(config.output.run_dir, start);
  if (!config.output.save_checkpoints) return;
  checkpoints_ = FolderLock::hold_alone(config.output.checkpoint_dir, "run",
                                        "save elsewhere (SAVE=...), or wait for it");
  require_writable(config.output.checkpoint_dir);
  require_room(config, parameters, start.state.iteration);
}

void open_run_folder(const RunConfig& config) {
  const fs::path folder = config.output.run_dir;
  remove_stale_partials(folder);  // of a killed run with the same --run-dir
  const fs::path log = folder / "output.log";
  log_add_file(log);
  // logs/latest lists every run's log, the newest last.
  const fs::path logs = folder.parent_path().parent_path();
  if (logs.filename() == "logs") append_text_file(logs / "latest", log.string() + "\n");
}

void describe_run(const RunConfig& config, const RunStart& start) {
  const fs::path folder = config.output.run_dir;
  write_file_atomically(folder / "config.json", json_text(to_json(config), 2) + "\n");
  if (start.resumes) {
    const nlohmann::ordered_json link = {{"checkpoint", start.checkpoint->folder.string()},
                                         {"iteration", start.state.iteration},
                                         {"run_dir", start.state.run_dir}};
    write_file_atomically(folder / kResumedFromFileName, json_text(link, 2) + "\n");
  }
}

}  // namespace borealis
