#include "checkpoint/folder_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/fault_text.h"
#include "checkpoint/checksums.h"
#include "checkpoint/run_checkpoints.h"
#include "checkpoint/state_pieces.h"
#include "checkpoint/stored_state.h"
#include "checkpoint/tensor_difference.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

// What `work` throws becomes a problem of `file`; true if it threw nothing.
bool attempt(const fs::path& file, FolderCheck& check, const std::function<void()>& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    check.problems.push_back({file, fault_text(error)});
    return false;
  }
}

// Each file by itself first: one damaged shard must not hide another.
bool check_structure(const fs::path& folder, FolderCheck& check) {
  bool sound = true;
  for (const std::string& name : files_beneath(folder)) {
    const fs::path file = folder / name;
    if (file.extension() != ".safetensors") continue;
    sound &= attempt(file, check, [&] { const SafetensorsFile opened(file); });
  }
  return sound;
}

void check_checksums(const fs::path& folder, FolderCheck& check) {
  if (!fs::exists(folder / kChecksumsFile)) {
    if (StoredState::is_in(folder)) {
      check.problems.push_back({folder / kChecksumsFile,
                                "is missing, so nobody can tell whether the checkpoint is whole"});
    }
    return;
  }
  FileChecksums checksums;
  if (!attempt(folder / kChecksumsFile, check, [&] { checksums = read_checksums(folder); })) return;
  DirectBlocks blocks;
  for (const auto& one : checksums) {  // clang 16 captures no structured binding
    attempt(folder / one.first, check, [&] { verify_file(folder, one.first, one.second, blocks); });
  }
  for (const std::string& name : files_beneath(folder)) {
    if (name == kChecksumsFile || checksums.contains(name)) continue;
    auto& findings = needs_checksum(name) ? check.problems : check.warnings;
    findings.push_back({folder / name, fmt::format("{} has no checksum of it", kChecksumsFile)});
  }
}

void warn_of_values(const TensorElements& tensor, const fs::path& place, FolderCheck& check) {
  const NonFiniteCount count = count_non_finite(tensor);
  if (count.nan + count.infinite == 0) return;
  check.warnings.push_back({place, fmt::format("{} holds {} NaN and {} infinities", tensor.name,
                                               count.nan, count.infinite)});
}

void check_weights(const fs::path& folder, std::span<const PromisedTensor> promised,
                   FolderCheck& check) {
  std::optional<ModelWeights> weights;
  if (!attempt(folder, check, [&] { weights.emplace(folder); })) return;
  const TensorMismatch mismatch = compare_with_promised(*weights, promised);
  if (mismatch.any()) {
    check.problems.push_back(
        {folder, "does not hold what its config.json promises: " + mismatch.text()});
  }
  for (const PromisedTensor& tensor : promised) {
    const TensorView* view = weights->find(tensor.name);
    if (view == nullptr || !is_weight(view->dtype)) continue;  // reported already
    warn_of_values(elements_of(*weights, tensor.name), folder, check);
  }
}

// A copy of one step under another's name would be taken for that.
void check_name(const fs::path& folder, FolderCheck& check) {
  const fs::path named = folder.has_filename() ? folder : folder.parent_path();
  const auto step = step_of_folder(named.filename().string());
  if (!step) return;
  try {
    const int64_t iteration = open_checkpoint(folder).state.iteration;
    if (*step == iteration) return;
    check.problems.push_back(
        {folder / kStateFile, fmt::format("is of iteration {}, not {}", iteration, *step)});
  } catch (const Error&) {
    // What is damaged is told by its checksum.
  }
}

// Of every promised tensor the master weights and both moments, each element once.
void check_state(const fs::path& folder, std::span<const PromisedTensor> promised,
                 FolderCheck& check) {
  const fs::path place = folder / kStateFolder;
  std::optional<StoredState> state;
  if (!attempt(place, check, [&] { state.emplace(folder); })) return;
  check_name(folder, check);
  for (const PromisedTensor& tensor : promised) {
    for (const std::string_view kind : {kMasterWeight, kFirstMoment, kSecondMoment}) {
      attempt(place, check, [&] {
        warn_of_values(state->elements(kind, tensor.name, tensor.shape), place, check);
      });
    }
  }
}

}  // namespace

FolderCheck check_model_folder(const fs::path& folder, const TensorPromise& promise) {
  FolderCheck check;
  std::vector<PromisedTensor> promised;
  const bool described = attempt(folder / "config.json", check,
                                 [&] { promised = promise(load_model_config(folder)); });
  if (fs::exists(folder / "generation_config.json")) {
    attempt(folder / "generation_config.json", check, [&] { load_special_tokens(folder); });
  }
  const bool readable = check_structure(folder, check);
  check_checksums(folder, check);
  if (!readable || !described) return check;
  check_weights(folder, promised, check);
  if (StoredState::is_in(folder)) check_state(folder, promised, check);
  return check;
}

void require_checksums(const fs::path& folder,
                       const std::function<bool(const std::string&)>& wanted) {
  if (!fs::exists(folder / kChecksumsFile)) return;
  DirectBlocks blocks;
  const FileChecksums checksums = read_checksums(folder);
  require_listed(folder, checksums, wanted);
  for (const auto& [name, checksum] : checksums) {
    if (wanted(name)) verify_file(folder, name, checksum, blocks);
  }
}

void require_sound_weights(const fs::path& folder) {
  require_checksums(folder, [](const std::string& name) {
    return name.ends_with(".safetensors") && !name.starts_with("state/");
  });
}

}  // namespace borealis
