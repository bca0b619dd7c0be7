#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "checkpoint/folder_check.h"
#include "checkpoint/run_checkpoints.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "cli/stored_model.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct VerifyOptions {
  std::string folder;
  bool all = false;
  bool json = false;
};

std::vector<fs::path> folders_to_verify(const VerifyOptions& options) {
  if (!options.all) return {find_model_folder(options.folder)};
  std::vector<fs::path> folders;
  for (const int64_t step : checkpoint_steps(options.folder)) {
    folders.push_back(fs::path(options.folder) / step_folder_name(step));
  }
  if (!folders.empty()) return folders;
  throw Error(ErrorKind::kFile, fmt::format("{} holds no global_step folders", options.folder),
              "give --all a run's checkpoint folder, or leave it away");
}

Json findings_json(const std::vector<FolderFinding>& findings) {
  Json list = Json::array();
  for (const FolderFinding& finding : findings) {
    list.push_back({{"file", finding.file.string()}, {"text", finding.text}});
  }
  return list;
}

// What readers say of a file names it already.
std::string line_of(const FolderFinding& finding) {
  if (finding.text.find(finding.file.string()) != std::string::npos) return finding.text;
  return fmt::format("{}: {}", finding.file.string(), finding.text);
}

void report(const fs::path& folder, const FolderCheck& check) {
  for (const FolderFinding& problem : check.problems) log_error(line_of(problem));
  for (const FolderFinding& warning : check.warnings) log_warning(line_of(warning));
  if (check.sound()) log_info(fmt::format("{}: sound", folder.string()));
}

// Only of a model whose own files are sound.
void check_tokenizer(const fs::path& folder, FolderCheck& check) {
  if (!check.sound()) return;
  try {
    if (const auto tokenizer = tokenizer_of_folder(folder)) {
      require_fitting_tokenizer(*tokenizer, load_model_config(folder).vocab_size);
    }
  } catch (const Error& fault) {
    check.problems.push_back({folder, fault_text(fault)});
  }
}

int verify(const VerifyOptions& options) {
  log_open(options.json ? LogStream::kStderr : LogStream::kStdout, "INFO");
  const std::vector<fs::path> folders = folders_to_verify(options);
  Json list = Json::array();
  size_t damaged = 0;
  for (const fs::path& folder : folders) {
    FolderCheck check = check_model_folder(folder, promised_tensors);
    check_tokenizer(folder, check);
    report(folder, check);
    if (!check.sound()) ++damaged;
    list.push_back({{"folder", folder.string()},
                    {"sound", check.sound()},
                    {"problems", findings_json(check.problems)},
                    {"warnings", findings_json(check.warnings)}});
  }
  if (options.json) fmt::print("{}\n", json_text(Json({{"folders", list}}), 2));
  if (damaged == 0) return 0;
  throw Error(ErrorKind::kData,
              fmt::format("{} of {} checkpoint{} {} damaged", damaged, folders.size(),
                          folders.size() == 1 ? "" : "s", damaged == 1 ? "is" : "are"),
              "copy the named files again, or go back to an earlier step");
}

}  // namespace

int run_checkpoint_verify_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Reads every byte of a checkpoint: structure, every tensor that config.json promises with "
      "its shape, values that are not finite (a warning), checksums and training state where they "
      "are there. Exit code 0 if it is sound, 4 if a file is damaged, 3 if there is no checkpoint.",
      "borealis checkpoint verify");
  VerifyOptions options;
  app.add_option("DIR", options.folder, "a step's folder, or a run's checkpoints (its latest)")
      ->required();
  app.add_flag("--all", options.all, "every step of a run's checkpoints");
  app.add_flag("--json", options.json, "print one JSON document about what was found");
  return parse_arguments(app, arguments) ? verify(options) : 0;
}

}  // namespace borealis
