#include "checkpoint/folder_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
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
    check.problems.push_back({file, error.what()});
    return false;
  }
}

// Each file by itself first: one damaged shard must not hide another.
bool check_files(const fs::path& folder, FolderCheck& check) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  bool sound = true;
  for (const fs::path& file : files) {
    sound &= attempt(file, check, [&] { const SafetensorsFile opened(file); });
  }
  return sound;
}

void check_values(const ModelWeights& weights, const fs::path& folder,
                  std::span<const PromisedTensor> promised, FolderCheck& check) {
  for (const PromisedTensor& tensor : promised) {
    const TensorView* view = weights.find(tensor.name);
    if (view == nullptr || view->shape != tensor.shape) continue;  // reported already
    NonFiniteCount count;
    if (!attempt(folder, check,
                 [&] { count = count_non_finite(elements_of(weights, tensor.name)); })) {
      continue;
    }
    if (count.nan + count.infinite == 0) continue;
    check.warnings.push_back({folder, fmt::format("tensor {} holds {} NaN and {} infinities",
                                                  tensor.name, count.nan, count.infinite)});
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
  if (!check_files(folder, check) || !described) return check;
  std::optional<ModelWeights> weights;
  if (!attempt(folder, check, [&] { weights.emplace(folder); })) return check;
  const TensorMismatch mismatch = compare_with_promised(*weights, promised);
  if (mismatch.any()) {
    check.problems.push_back(
        {folder, "does not hold what its config.json promises: " + mismatch.text()});
  }
  check_values(*weights, folder, promised, check);
  return check;
}

}  // namespace borealis
