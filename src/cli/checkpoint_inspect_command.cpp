#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "base/log.h"
#include "base/units.h"
#include "checkpoint/run_checkpoints.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "cli/stored_model.h"
#include "config/hf_config.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string folder;
  bool tensors = false;
  bool json = false;
};

struct FileEntry {
  std::string name;  // relative to the folder
  int64_t bytes = 0;
};

std::vector<FileEntry> files_of(const fs::path& folder) {
  std::vector<FileEntry> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files.push_back(
        {fs::relative(entry.path(), folder).string(), static_cast<int64_t>(entry.file_size())});
  }
  std::ranges::sort(files, {}, &FileEntry::name);
  return files;
}

int64_t total_bytes(const std::vector<FileEntry>& files) {
  int64_t bytes = 0;
  for (const FileEntry& file : files) bytes += file.bytes;
  return bytes;
}

std::string written_at(const fs::path& folder) {
  const auto seconds =
      static_cast<std::time_t>(file_stamp(folder / "config.json").modified_ns / 1'000'000'000);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(seconds));
}

std::string shape_text(const ModelConfig& model) {
  return fmt::format(
      "{} layers, hidden {}, {} heads of {} ({} key/value heads), ffn {}, vocabulary {}, {} head",
      model.num_hidden_layers, model.hidden_size, model.num_attention_heads, model.head_dim,
      model.num_key_value_heads, model.intermediate_size, model.vocab_size,
      model.tie_word_embeddings ? "tied" : "untied");
}

std::string positions_text(const ModelConfig& model) {
  std::string text =
      fmt::format("{}, RoPE theta {}", model.max_position_embeddings, model.rope_theta);
  if (model.rope_scaling) text += fmt::format(", llama3 scaling by {}", model.rope_scaling->factor);
  const auto without = std::ranges::count(model.rope_on_layer, false);
  if (without > 0) text += fmt::format(", none in {} layers", without);
  return text;
}

Json tensors_json(const StoredModel& checkpoint) {
  Json tensors = Json::array();
  for (const PromisedTensor& tensor : checkpoint.promised) {
    const TensorView& view = *checkpoint.weights.find(tensor.name);
    tensors.push_back(
        {{"name", view.name}, {"dtype", stored_dtype_name(view.dtype)}, {"shape", view.shape}});
  }
  return tensors;
}

// Of a folder named global_step<N>.
std::optional<int64_t> step_of(const fs::path& folder) {
  const fs::path plain = fs::absolute(folder).lexically_normal();
  const fs::path named = plain.has_filename() ? plain : plain.parent_path();
  for (const int64_t step : checkpoint_steps(named.parent_path())) {
    if (named.filename() == fmt::format("global_step{}", step)) return step;
  }
  return std::nullopt;
}

void print_json(const InspectOptions& options, const StoredModel& checkpoint) {
  const fs::path& folder = checkpoint.folder;
  const std::vector<FileEntry> files = files_of(folder);
  const auto step = step_of(folder);
  Json list = Json::array();
  for (const FileEntry& file : files) list.push_back({{"name", file.name}, {"bytes", file.bytes}});
  Json json = {
      {"folder", folder.string()},
      {"architecture", Json::parse(hf_config_text(checkpoint.config, load_special_tokens(folder),
                                                  torch_dtype_name(checkpoint.dtype())))},
      {"parameters", checkpoint.parameter_count()},
      {"dtype", stored_dtype_name(checkpoint.dtype())},
      {"weight_files", checkpoint.weights.files().size()},
      {"bytes", total_bytes(files)},
      {"iteration", step ? Json(*step) : Json()},
      {"written", written_at(folder)},
      {"tokenizer", checkpoint.tokenizer().has_value()},
      {"steps", checkpoint_steps(options.folder)},
      {"files", list}};
  if (options.tensors) json["tensors"] = tensors_json(checkpoint);
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

void print_line(const char* name, const std::string& value) {
  fmt::print("  {:<14} {}\n", name, value);
}

void print_text(const InspectOptions& options, const StoredModel& checkpoint) {
  const fs::path& folder = checkpoint.folder;
  const std::vector<FileEntry> files = files_of(folder);
  fmt::print("{}\n", folder.string());
  print_line("architecture", hf_architecture(checkpoint.config) + " " + checkpoint.config.name);
  print_line("shape", shape_text(checkpoint.config));
  print_line("positions", positions_text(checkpoint.config));
  print_line("parameters", format_count(checkpoint.parameter_count()));
  print_line("weights", fmt::format("{} in {} file{}", stored_dtype_name(checkpoint.dtype()),
                                    checkpoint.weights.files().size(),
                                    checkpoint.weights.files().size() == 1 ? "" : "s"));
  if (const auto step = step_of(folder)) print_line("iteration", format_count(*step));
  print_line("written", written_at(folder));
  const auto tokenizer = checkpoint.tokenizer();
  print_line("tokenizer",
             tokenizer ? fmt::format("{} entries", tokenizer->vocab_size.value_or(0)) : "none");
  const std::vector<int64_t> steps = checkpoint_steps(options.folder);
  if (!steps.empty()) print_line("steps here", fmt::format("{}", fmt::join(steps, " ")));
  print_line("files", format_bytes(total_bytes(files)) + " in all");
  for (const FileEntry& file : files) {
    fmt::print("  {:>14}   {}\n", format_bytes(file.bytes), file.name);
  }
  if (!options.tensors) return;
  fmt::print("  tensors\n");
  for (const PromisedTensor& tensor : checkpoint.promised) {
    const TensorView& view = *checkpoint.weights.find(tensor.name);
    fmt::print("  {:>14}   {} [{}]\n", stored_dtype_name(view.dtype), view.name,
               fmt::join(view.shape, ", "));
  }
}

int inspect(const InspectOptions& options) {
  log_open(LogStream::kStderr, "INFO");
  const StoredModel checkpoint(options.folder);
  (options.json ? print_json : print_text)(options, checkpoint);
  return 0;
}

}  // namespace

int run_checkpoint_inspect_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Shows what is in a checkpoint or a Hugging Face folder: architecture, parameters, types, "
      "files, and how far its training is.",
      "borealis checkpoint inspect");
  InspectOptions options;
  app.add_option("DIR", options.folder, "a step's folder, or a run's checkpoints (its latest)")
      ->required();
  app.add_flag("--tensors", options.tensors, "list the tensors, too");
  app.add_flag("--json", options.json, "print one JSON document");
  return parse_arguments(app, arguments) ? inspect(options) : 0;
}

}  // namespace borealis
