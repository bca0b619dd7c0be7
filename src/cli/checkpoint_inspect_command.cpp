#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/date_time.h"
#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/units.h"
#include "checkpoint/checksums.h"
#include "checkpoint/run_checkpoints.h"
#include "checkpoint/stored_state.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "cli/stored_model.h"
#include "config/hf_config.h"
#include "config/lr_decay_style.h"
#include "optim/lr_schedule.h"
#include "train/setting_changes.h"

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
  for (const std::string& name : files_beneath(folder)) {
    files.push_back({name, file_stamp(folder / name).bytes});
  }
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
  return date_time_text(seconds);
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

std::optional<int64_t> step_of(const fs::path& folder) {
  const fs::path plain = fs::absolute(folder).lexically_normal();
  const fs::path named = plain.has_filename() ? plain : plain.parent_path();
  return step_of_folder(named.filename().string());
}

// The schedule that the run would go on with. Keys that its style has no use for may be absent.
ScheduleConfig saved_schedule(const fs::path& folder, const nlohmann::json& saved) {
  RunConfig config;
  take_saved_schedule(saved, (folder / kStateFile).string(), config);
  ScheduleConfig schedule = config.schedule;
  const nlohmann::json& keys = saved.at("schedule");
  schedule.constant_plus_cooldown = keys.value("constant_plus_cooldown", false);
  schedule.constant_plus_cooldown_fraction =
      keys.value("constant_plus_cooldown_fraction", schedule.constant_plus_cooldown_fraction);
  schedule.constant_learning_rate =
      keys.value("constant_learning_rate", schedule.constant_learning_rate);
  schedule.cooldown_fraction = keys.value("cooldown_fraction", schedule.cooldown_fraction);
  schedule.constant_fraction = keys.value("constant_fraction", schedule.constant_fraction);
  return schedule;
}

struct StateSummary {
  RunState state;
  int64_t bytes = 0;
  ScheduleConfig schedule;
  double next_learning_rate = 0;  // of the step that comes next
  int64_t global_batch_size = 0;
};

// None where the folder has no training state. Throws Error(kData) where it is damaged.
std::optional<StateSummary> summarize_state(const fs::path& folder) {
  if (!StoredState::is_in(folder)) return std::nullopt;
  const StoredState stored(folder);
  StateSummary summary{.state = stored.state(), .bytes = stored.bytes(), .schedule = {}};
  try {
    const nlohmann::json& saved = summary.state.configuration;
    summary.schedule = saved_schedule(folder, saved);
    summary.global_batch_size = saved.at("batch").at("global_batch_size").get<int64_t>();
    const ScheduleProgress progress = schedule_progress(
        summary.state.batch_start, summary.state.iteration, summary.global_batch_size);
    const auto iterations = static_cast<double>(summary.schedule.decay_iters.value_or(0));
    summary.next_learning_rate =
        learning_rate_at(summary.schedule, static_cast<double>(progress.samples),
                         iterations * static_cast<double>(progress.batch));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: its configuration is damaged ({})", (folder / kStateFile).string(),
                            fault_text(error)),
                "use another checkpoint");
  }
  return summary;
}

Json state_json(const StateSummary& summary) {
  const RunState& state = summary.state;
  return {{"iteration", state.iteration},
          {"consumed_train_samples", state.consumed.train},
          {"consumed_valid_samples", state.consumed.valid},
          {"global_batch_size", summary.global_batch_size},
          {"global_batch_start", global_batch_start_json(state.batch_start)},
          {"optimizer_steps", state.optimizer_steps},
          {"skipped_iterations", state.skipped_iterations},
          {"learning_rate", summary.next_learning_rate},
          {"lr_decay_style", lr_decay_style_name(summary.schedule.decay_style)},
          {"bytes", summary.bytes},
          {"shards", state.shards},
          {"written_at", state.written_at},
          {"version", state.version},
          {"run_dir", state.run_dir},
          {"configuration", Json(state.configuration)}};
}

void print_line(const char* name, const std::string& value) {
  fmt::print("  {:<14} {}\n", name, printable(value));
}

void print_state(const StateSummary& summary) {
  const RunState& state = summary.state;
  print_line("iteration", fmt::format("{}{}", format_count(state.iteration),
                                      state.skipped_iterations == 0
                                          ? ""
                                          : fmt::format(", {} of them skipped",
                                                        format_count(state.skipped_iterations))));
  std::string consumed = format_count(state.consumed.train) + " training samples";
  if (state.batch_start != GlobalBatchStart{}) {
    consumed +=
        fmt::format(", {} a step since iteration {}", format_count(summary.global_batch_size),
                    format_count(state.batch_start.iteration));
  }
  print_line("consumed", consumed);
  print_line("learning rate",
             fmt::format("{:.4g} next ({}, peak {:.4g})", summary.next_learning_rate,
                         lr_decay_style_name(summary.schedule.decay_style),
                         summary.schedule.learning_rate));
  print_line("state",
             fmt::format("master weights and moments, {} in {} file{}", format_bytes(summary.bytes),
                         state.shards, state.shards == 1 ? "" : "s"));
  print_line("written", fmt::format("{} by Borealis {}", state.written_at, state.version));
  print_line("run", state.run_dir);
}

void print_json(const InspectOptions& options, const StoredModel& checkpoint) {
  const fs::path& folder = checkpoint.folder;
  const std::vector<FileEntry> files = files_of(folder);
  const auto state = summarize_state(folder);
  const auto step = state ? std::optional(state->state.iteration) : step_of(folder);
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
      {"written", state ? state->state.written_at : written_at(folder)},
      {"state", state ? state_json(*state) : Json()},
      {"checksums", fs::exists(folder / kChecksumsFile)},
      {"tokenizer", checkpoint.tokenizer().has_value()},
      {"steps", checkpoint_steps(options.folder)},
      {"files", list}};
  if (options.tensors) json["tensors"] = tensors_json(checkpoint);
  fmt::print("{}\n", json_text(json, 2));
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
  if (const auto state = summarize_state(folder)) {
    print_state(*state);
  } else {
    if (const auto step = step_of(folder)) print_line("iteration", format_count(*step));
    print_line("written", written_at(folder));
    print_line("state", "none: weights alone");
  }
  print_line("checksums", fs::exists(folder / kChecksumsFile) ? "yes" : "none");
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
  if (options.json) {
    print_json(options, checkpoint);
  } else {
    print_text(options, checkpoint);
  }
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
