#include "checkpoint/run_checkpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "checkpoint/damage.h"
#include "checkpoint/foreign_weights.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

std::string trimmed(std::string text) {
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text;
}

// False only where it is known that there is nothing. Throws Error(kFile).
bool is_there(const fs::path& path) {
  std::error_code code;
  const bool there = fs::exists(path, code);
  if (!code) return there;
  throw Error(ErrorKind::kFile, fmt::format("cannot look at {}: {}", path.string(), code.message()),
              "let this user read it, or restore it");
}

bool is_model_folder(const fs::path& folder) { return is_there(folder / "config.json"); }

constexpr std::string_view kStepPrefix = "global_step";

std::string shard_file(int64_t shard, int64_t shards) {
  return fmt::format("{}/{}", kStateFolder, state_shard_name(shard, shards));
}

// The step that `latest` names, if it names one.
std::optional<int64_t> latest_step(const fs::path& checkpoint_dir) {
  const fs::path latest = checkpoint_dir / "latest";
  std::error_code unknown;
  if (!fs::exists(latest, unknown)) return std::nullopt;
  try {
    return step_of_folder(trimmed(read_text_file(latest)));
  } catch (const Error&) {
    return std::nullopt;
  }
}

void point_latest_at(const fs::path& checkpoint_dir, int64_t step) {
  write_file_atomically(checkpoint_dir / "latest", step_folder_name(step));
  write_file_atomically(checkpoint_dir / "latest_checkpointed_iteration.txt", std::to_string(step));
}

// A checkpoint is taken away in one go: what is left of a removal that was cut off is no
// checkpoint.
void remove_checkpoint(const fs::path& folder) {
  const fs::path aside = partial_path_of(folder);
  std::error_code code;
  fs::rename(folder, aside, code);
  if (!code) fs::remove_all(aside, code);
  if (code) {
    log_warning(fmt::format("cannot remove {}, which is no longer kept: {}", folder.string(),
                            code.message()));
  }
}

void apply_retention(const fs::path& checkpoint_dir, int64_t newest, const Retention& retention) {
  if (retention.keep_last <= 0) return;
  std::vector<int64_t> steps;
  try {
    steps = checkpoint_steps(checkpoint_dir);
  } catch (const Error& error) {  // the newest is on the disk: no reason to end a run
    log_warning(fmt::format("old checkpoints are not removed: {}", fault_text(error)));
    return;
  }
  // Steps beyond the newest are of another run, and not ours to remove.
  // Nor is a folder that only has the name of a checkpoint.
  std::erase_if(steps, [&](int64_t step) {
    return step > newest || !fs::exists(checkpoint_dir / step_folder_name(step) / kChecksumsFile);
  });
  const auto last = std::min(std::ssize(steps), static_cast<std::ptrdiff_t>(retention.keep_last));
  for (auto step = steps.begin(); step != steps.end() - last; ++step) {
    if (retention.keep_every > 0 && *step % retention.keep_every == 0) continue;
    remove_checkpoint(checkpoint_dir / step_folder_name(*step));
  }
}

}  // namespace

std::string step_folder_name(int64_t step) { return fmt::format("{}{}", kStepPrefix, step); }

std::optional<int64_t> step_of_folder(std::string_view name) {
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  const std::optional<int64_t> step = whole_number(name.substr(kStepPrefix.size()));
  if (!step || *step < 0 || step_folder_name(*step) != name) return std::nullopt;
  return step;
}

CheckpointFolder::CheckpointFolder(const fs::path& checkpoint_dir, int64_t step,
                                   DirectBlocks& blocks)
    : checkpoint_dir_(checkpoint_dir),
      step_(step),
      folder_(checkpoint_dir / step_folder_name(step), blocks) {
  folder_.create_subfolder(kStateFolder);
}

void CheckpointFolder::write(const CheckpointContent& content) {
  write_model(folder_, content.model, content.tensors, content.options);
  folder_.write_tensors(shard_file(0, content.state.shards), content.pieces);
  folder_.write_text(kStateFile, run_state_text(content.state));
}

void CheckpointFolder::add_shard(int64_t shard, int64_t shards, std::string checksum) {
  folder_.add_checksum(shard_file(shard, shards), std::move(checksum));
}

fs::path CheckpointFolder::commit(const Retention& retention) {
  folder_.commit(FolderWriter::Checksums::kWrite);
  complete_checkpoint(checkpoint_dir_, step_, retention);
  return checkpoint_dir_ / step_folder_name(step_);
}

std::string write_state_shard(const fs::path& partial_path, int64_t shard, int64_t shards,
                              std::span<const TensorSource> pieces, DirectBlocks& blocks) {
  DirectWriter file(partial_path / shard_file(shard, shards), blocks);
  stream_safetensors(pieces, {}, file);
  return file.finish();
}

void complete_checkpoint(const fs::path& checkpoint_dir, int64_t step, const Retention& retention) {
  if (!fs::exists(checkpoint_dir / step_folder_name(step))) return;
  point_latest_at(checkpoint_dir, step);
  apply_retention(checkpoint_dir, step, retention);
}

fs::path save_first_checkpoint(const fs::path& checkpoint_dir, const ConvertedModel& model) {
  const fs::path folder = checkpoint_dir / step_folder_name(0);
  save_converted(folder, model, FolderWriter::Checksums::kWrite, Existing::kRefuse);
  point_latest_at(checkpoint_dir, 0);
  return folder;
}

std::vector<int64_t> checkpoint_steps(const fs::path& checkpoint_dir) {
  std::vector<int64_t> steps;
  std::error_code code;
  for (fs::directory_iterator entry(checkpoint_dir, code), end; !code && entry != end;
       entry.increment(code)) {
    std::error_code unknown;  // of a link to nowhere, which is no folder
    const auto step = step_of_folder(entry->path().filename().string());
    if (step && entry->is_directory(unknown)) steps.push_back(*step);
  }
  if (code && code != std::errc::no_such_file_or_directory && code != std::errc::not_a_directory) {
    throw file_error("list", checkpoint_dir, code.value());
  }
  std::ranges::sort(steps);
  return steps;
}

std::vector<fs::path> checkpoints_to_start_from(const fs::path& given) {
  const fs::path folder = given.has_filename() ? given : given.parent_path();  // "dir/" is "dir"
  std::error_code unknown;
  const fs::path real = fs::weakly_canonical(folder, unknown);  // of a link to a step
  for (const fs::path& step : {folder, real}) {
    if (step_of_folder(step.filename().string()) && fs::is_directory(step, unknown)) return {step};
  }
  if (fs::exists(folder / kStateFile, unknown)) return {folder};  // a copy under another name
  std::vector<int64_t> steps = checkpoint_steps(folder);
  if (const auto latest = latest_step(folder)) {
    std::erase_if(steps, [&](int64_t step) { return step > *latest; });
    if (steps.empty() || steps.back() != *latest) steps.push_back(*latest);  // to be named missing
  }
  std::vector<fs::path> checkpoints;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    checkpoints.push_back(folder / step_folder_name(*step));
  }
  return checkpoints;
}

std::string fault_of_latest(const fs::path& checkpoint_dir) {
  const fs::path latest = checkpoint_dir / "latest";
  std::error_code unknown;
  if (!fs::exists(latest, unknown) || latest_step(checkpoint_dir)) return "";
  try {
    read_text_file(latest);
  } catch (const Error& error) {
    return fault_text(error);
  }
  return fmt::format("{} names no checkpoint", latest.string());
}

OpenedCheckpoint open_checkpoint(const fs::path& folder) {
  if (is_model_folder(folder) && !is_there(folder / kStateFolder)) {
    throw Error(ErrorKind::kData,
                fmt::format("{} holds a model without a training state", folder.string()),
                fmt::format("begin with its weights: --load {} --finetune and another --save",
                            folder.string()));
  }
  if (!is_there(folder)) {
    throw Error(ErrorKind::kFile,
                fmt::format("{} is missing, which {} names", folder.string(),
                            (folder.parent_path() / "latest").string()),
                "restore it, or write another step's name into that file");
  }
  if (!is_there(folder / kChecksumsFile)) {
    throw Error(ErrorKind::kFile, fmt::format("{} is missing", (folder / kChecksumsFile).string()),
                "restore it: without it nobody can tell whether the checkpoint is whole");
  }
  OpenedCheckpoint checkpoint{.folder = folder, .checksums = read_checksums(folder), .state = {}};
  require_listed(folder, checkpoint.checksums, [](const std::string&) { return true; });
  for (const char* file : {"config.json", kStateFile}) {
    if (checkpoint.checksums.contains(file)) continue;
    reject_checkpoint(folder / kChecksumsFile, fmt::format("has no checksum of {}", file));
  }
  checkpoint.state = parse_run_state(read_verified_text(folder, kStateFile, checkpoint.checksums),
                                     folder / kStateFile);
  return checkpoint;
}

void load_checkpoint(const OpenedCheckpoint& checkpoint, std::span<const PieceTarget> targets,
                     DirectBlocks& blocks, Verify verify, int64_t first_shard) {
  read_state_pieces(checkpoint.folder, checkpoint.state.shards, checkpoint.checksums, targets,
                    blocks, first_shard);
  if (verify == Verify::kStateAlone) return;
  for (const auto& [file, checksum] : checkpoint.checksums) {
    if (!file.starts_with(fmt::format("{}/", kStateFolder))) {
      verify_file(checkpoint.folder, file, checksum, blocks);
    }
  }
}

fs::path find_model_folder(const fs::path& given) {
  if (!fs::is_directory(given)) {
    refuse_foreign_weights(given);
    throw Error(ErrorKind::kFile, fmt::format("{} is not a folder", given.string()),
                "give a run's checkpoint folder or a model's folder");
  }
  if (is_model_folder(given)) return given;
  const fs::path latest = given / "latest";
  if (!fs::exists(latest)) {
    refuse_foreign_weights(given);
    const std::vector<int64_t> steps = checkpoint_steps(given);
    throw Error(ErrorKind::kFile,
                fmt::format("{} holds no model: neither config.json nor latest", given.string()),
                steps.empty() ? "give a run's checkpoint folder or a model's folder"
                              : fmt::format("name one of its steps, as {}",
                                            (given / step_folder_name(steps.back())).string()));
  }
  const std::string name = trimmed(read_text_file(latest));
  const bool plain = !name.empty() && name != ".." &&
                     name.find_first_of(std::string_view("/\0\n", 3)) == std::string::npos;
  std::error_code unknown;
  if (!plain || !fs::exists(given / name / "config.json", unknown)) {
    refuse_foreign_weights(given);
    throw Error(ErrorKind::kData,
                fmt::format("{} names '{}', which is no model folder", latest.string(), name),
                "write the name of one of the global_step folders into it");
  }
  return given / name;
}

}  // namespace borealis
