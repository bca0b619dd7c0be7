#include "checkpoint/run_checkpoints.h"

#include <fmt/format.h>

#include <string>

#include "base/error.h"
#include "base/file.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

std::string trimmed(std::string text) {
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text;
}

bool is_model_folder(const fs::path& folder) { return fs::exists(folder / "config.json"); }

}  // namespace

fs::path save_checkpoint(const fs::path& checkpoint_dir, int64_t step, const ModelConfig& model,
                         std::span<const NamedTensor> tensors, const SaveOptions& options) {
  const std::string name = fmt::format("global_step{}", step);
  save_model(checkpoint_dir / name, model, tensors, options);
  write_file_atomically(checkpoint_dir / "latest", name);
  write_file_atomically(checkpoint_dir / "latest_checkpointed_iteration.txt", std::to_string(step));
  return checkpoint_dir / name;
}

fs::path find_model_folder(const fs::path& given) {
  if (!fs::is_directory(given)) {
    throw Error(ErrorKind::kFile, fmt::format("{} is not a folder", given.string()),
                "give a run's checkpoint folder or a model's folder");
  }
  if (is_model_folder(given)) return given;
  const fs::path latest = given / "latest";
  if (!fs::exists(latest)) {
    throw Error(ErrorKind::kFile,
                fmt::format("{} holds no model: neither config.json nor latest", given.string()),
                "give a run's checkpoint folder or a model's folder");
  }
  const std::string name = trimmed(read_text_file(latest));
  const bool plain = !name.empty() && name != ".." && name.find('/') == std::string::npos;
  if (!plain || !is_model_folder(given / name)) {
    throw Error(ErrorKind::kData,
                fmt::format("{} names '{}', which is no model folder", latest.string(), name),
                "write the name of one of the global_step folders into it");
  }
  return given / name;
}

}  // namespace borealis
