#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/rounding.h"
#include "base/units.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/run_checkpoints.h"
#include "cli/command.h"
#include "cli/dataset_prefix.h"
#include "cli/loaded_model.h"
#include "cli/open_backend.h"
#include "cli/parse_arguments.h"
#include "cli/run_setup.h"
#include "cli/text_input_options.h"
#include "cli/tokenizer_options.h"
#include "cli/work_progress.h"
#include "data/data_record.h"
#include "data/token_documents.h"
#include "planner/planner.h"
#include "train/text_evaluation.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDefaultSequence = 2048;
constexpr int64_t kDefaultBatchTokens = 2048;  // enough for the products to be at their best

struct EvalOptions {
  std::string model;
  std::string data_prefix;
  TokenizerOptions tokenizer;
  TextInputOptions text;
  std::optional<int64_t> seq_length;
  std::optional<int64_t> stride;
  std::optional<int64_t> batch_size;
  std::optional<int64_t> max_tokens;
  std::string device;
  std::string memory_limit;
  std::string dtype = "bf16";
  bool start_token = true;
};

void add_options(CLI::App& app, EvalOptions& options) {
  app.add_option("--model", options.model, "a checkpoint folder, or a run's checkpoints")
      ->required();
  auto* source = app.add_option_group("what to look at");
  source->add_option("--text", options.text.files, "text or JSON Lines files")->type_name("FILE");
  source->add_option("--data", options.data_prefix, "prefix of a .bin/.idx pair")
      ->type_name("PREFIX");
  source->require_option(1);
  options.text.add_format_to(app);
  options.tokenizer.add_to(app,
                           "its file, its folder, or a name in the Hugging Face cache [the "
                           "checkpoint's own]");
  app.add_option("--seq-length", options.seq_length,
                 "tokens the model sees at a time [2048, or the model's positions if fewer]")
      ->check(whole_number(1));
  app.add_option("--stride", options.stride,
                 "tokens from one window's start to the next one's [--seq-length]; fewer give "
                 "predictions more context and take longer")
      ->check(whole_number(1));
  app.add_option("--batch-size", options.batch_size,
                 "sequences at a time [as many as have 2048 tokens]")
      ->check(whole_number(1));
  app.add_option("--max-tokens", options.max_tokens, "stop when so many tokens are predicted [all]")
      ->check(whole_number(1));
  app.add_flag("--start-token,!--no-start-token", options.start_token,
               "lead documents by the end-of-text token, so that their first token is predicted as "
               "well (default: yes)");
  app.add_option("--dtype", options.dtype, "bf16 or fp32")
      ->capture_default_str()
      ->check(CLI::IsMember({"bf16", "fp32"}));
  add_device_option(app, options.device);
  app.add_option("--memory-limit", options.memory_limit,
                 "never use more, as in 8GiB [MEMORY_LIMIT, or what is free]");
  options.text.add_run_to(app);
}

TextEvaluationOptions window_options(const EvalOptions& options, const ModelConfig& model) {
  const int64_t longest = model.max_position_embeddings;
  TextEvaluationOptions windows;
  windows.seq_length = options.seq_length.value_or(std::min(longest, kDefaultSequence));
  windows.stride = options.stride.value_or(windows.seq_length);
  windows.max_tokens = options.max_tokens;
  if (windows.seq_length > longest) {
    throw Error(ErrorKind::kConfig,
                fmt::format("--seq-length {} is beyond the {} positions of the model in {}",
                            windows.seq_length, longest, options.model),
                fmt::format("use at most {}", longest));
  }
  if (windows.stride > windows.seq_length) {
    throw Error(ErrorKind::kConfig,
                fmt::format("--stride {} is longer than --seq-length {}: the tokens between two "
                            "windows would not be predicted",
                            windows.stride, windows.seq_length),
                "use a stride of at most the sequence length");
  }
  return windows;
}

// The tokenizer that was given, else the model's own; a data set can do without one.
struct TokenizerChoice {
  std::unique_ptr<const Tokenizer> tokenizer;
  std::string note;  // why there is none
};

TokenizerChoice choose_tokenizer(const EvalOptions& options, const fs::path& folder) {
  if (options.tokenizer.names_one()) {
    return {std::make_unique<const Tokenizer>(options.tokenizer.open()), ""};
  }
  try {
    return {std::make_unique<const Tokenizer>(open_tokenizer_of(folder.string())), ""};
  } catch (const Error& error) {
    if (options.data_prefix.empty()) throw;
    return {nullptr, fault_text(error)};
  }
}

// What the ids of a data set stand for, its record says; to a model of other ids they say nothing.
void warn_of_other_tokenizer(const EvalOptions& options, const fs::path& folder,
                             const Tokenizer* tokenizer) {
  if (tokenizer == nullptr) return;
  if (options.data_prefix.empty()) {
    options.tokenizer.warn_if_not_of(folder.string(), *tokenizer);
    return;
  }
  const fs::path prefix = dataset_prefix(options.data_prefix);
  const auto record = read_data_record(prefix);
  const TokenizerIdentity own = tokenizer_identity(*tokenizer);
  if (!record || own == record->tokenizer) return;
  log_warning(fmt::format(
      "{}.bin was made with {}, and here its ids are read with another ({}): the loss is of "
      "other words; give data that was made with the model's tokenizer",
      prefix.string(), named_tokenizer(record->tokenizer_path, record->tokenizer),
      describe_tokenizer(own)));
}

std::string source_name(const EvalOptions& options) {
  if (!options.data_prefix.empty()) return dataset_prefix(options.data_prefix).string();
  return fmt::format("{}", fmt::join(options.text.files, " "));
}

std::unique_ptr<TokenDocuments> open_documents(const EvalOptions& options,
                                               const Tokenizer* tokenizer, int threads,
                                               std::optional<int64_t> memory_limit_bytes) {
  StartToken start;
  if (options.start_token && tokenizer) start.id = tokenizer->end_of_text();
  if (!options.data_prefix.empty()) {
    return indexed_documents(dataset_prefix(options.data_prefix), tokenizer, start);
  }
  WorkProgress progress("tokenizing");
  BadRecordLog bad_records;
  auto documents = tokenize_texts(
      options.text.open(), *tokenizer,
      {.start = start,
       .max_tokens = options.max_tokens,
       .limit_bytes = memory_limit(memory_limit_bytes).bytes,
       .threads = threads},
      [&](int64_t done, int64_t total) { progress.update(done, total); }, &bad_records);
  TextInputOptions::report(bad_records.counts());
  return documents;
}

int64_t require_tokens(const TokenDocuments& documents, const TextEvaluationOptions& windows) {
  const int64_t tokens = tokens_to_predict(documents, windows);
  if (tokens == 0) {
    throw Error(ErrorKind::kData, "the text has no token that could be predicted",
                "give files that are not empty");
  }
  return tokens;
}

// Rows no longer and no more than the text fills.
DecoderShape shape_for(const ModelConfig& model, const EvalOptions& options,
                       const TextEvaluationOptions& windows, int64_t tokens, int threads,
                       const GpuProfile* gpu) {
  const DType dtype = options.dtype == "fp32" ? DType::kF32 : DType::kBF16;
  DecoderShape shape{.model = model, .recompute = {}};
  shape.mode = product_mode(dtype);
  shape.threads = threads;
  shape.forward_only = true;
  shape.documents = true;  // windows of several in a sequence
  if (gpu != nullptr) shape.gpu = *gpu;
  shape.seq_length = std::min(windows.seq_length, tokens);
  const int64_t wanted =
      options.batch_size.value_or(std::max<int64_t>(kDefaultBatchTokens / shape.seq_length, 1));
  shape.micro_batch_size = std::min(wanted, divide_up(tokens, shape.seq_length));
  return shape;
}

Prediction require_memory(const DecoderShape& shape, DType dtype, const TokenDocuments& documents,
                          std::optional<int64_t> memory_limit_bytes) {
  constexpr int64_t kArraysOfABatch = 4;  // tokens, targets, positions, document starts
  const int64_t batch = kArraysOfABatch * static_cast<int64_t>(sizeof(int32_t)) * shape.rows();
  const int64_t tokens = documents.memory_bytes();
  const Prediction prediction =
      predict_forward(shape, dtype, tokens + batch, resident_bytes() - tokens, memory_limit_bytes);
  require_forward_fit(shape, dtype, prediction);
  return prediction;
}

struct EvalReport {
  std::string model;
  std::string source;
  std::string bytes_note;  // why there are no bits per byte; empty if there are
  TextEvaluationOptions windows;
  int64_t batch_size = 0;
  std::string dtype;
  int64_t planned_bytes = 0;
  int64_t peak_bytes = 0;
};

std::string report_json(const EvalReport& report, const TextEvaluation& result) {
  nlohmann::ordered_json document = {
      {"model", report.model},
      {"source", report.source},
      {"loss", result.loss()},
      {"perplexity", nullptr},
      {"bits_per_byte", nullptr},
      {"documents", result.documents},
      {"tokens", result.tokens},
      {"bytes", nullptr},
      {"windows", result.windows},
      {"seq_length", report.windows.seq_length},
      {"stride", report.windows.stride},
      {"batch_size", report.batch_size},
      {"dtype", report.dtype},
      {"seconds", result.seconds},
      {"tokens_per_second", result.tokens_per_second()},
      {"planned_memory_bytes", report.planned_bytes},
      {"peak_memory_bytes", report.peak_bytes},
  };
  if (std::isfinite(result.perplexity())) document["perplexity"] = result.perplexity();
  if (const auto bits = result.bits_per_byte()) document["bits_per_byte"] = *bits;
  if (result.bytes) document["bytes"] = *result.bytes;
  if (!report.bytes_note.empty()) document["bits_per_byte_note"] = report.bytes_note;
  return json_text(document, 2);
}

std::string report_text(const EvalReport& report, const TextEvaluation& result) {
  std::string text;
  const auto row = [&](const char* name, const std::string& value) {
    text += fmt::format("{:<16}{}\n", name, value);
  };
  row("loss", fmt::format("{:.6f} nats a token", result.loss()));
  row("perplexity", fmt::format("{:.4f}", result.perplexity()));
  const auto bits = result.bits_per_byte();
  row("bits per byte",
      bits ? fmt::format("{:.6f}", *bits) : fmt::format("not known: {}", report.bytes_note));
  row("text",
      fmt::format("{} document{}, {} tokens predicted{}", format_count(result.documents),
                  result.documents == 1 ? "" : "s", format_count(result.tokens),
                  result.bytes ? fmt::format(", {} bytes", format_count(*result.bytes)) : ""));
  row("windows", fmt::format("{} of up to {} tokens, {} apart", format_count(result.windows),
                             report.windows.seq_length, report.windows.stride));
  row("time", fmt::format("{}, {:.0f} tokens/s", format_duration(result.seconds),
                          result.tokens_per_second()));
  row("peak memory", fmt::format("{} of {} planned", format_bytes(report.peak_bytes),
                                 format_bytes(report.planned_bytes)));
  return text;
}

// Loads the model and lets it look at everything.
TextEvaluation run_model(const fs::path& folder, DType dtype, const DecoderShape& shape,
                         const TokenDocuments& documents, const TextEvaluationOptions& windows,
                         Backend& backend, int64_t& peak) {
  const LoadedModel model(folder, dtype, backend.device());
  const auto decoder = make_language_model(shape, model.parameters, /*profiler=*/nullptr,
                                           /*flow=*/nullptr, backend);
  WorkProgress progress("evaluating");
  const TextEvaluation result =
      evaluate_texts(*decoder, shape, documents, windows,
                     [&](int64_t done, int64_t total) { progress.update(done, total); });
  peak = peak_bytes(backend);
  return result;
}

int evaluate(const EvalOptions& options) {
  MachineConfig machine;
  machine.threads = options.text.threads;
  machine.memory_limit_bytes = memory_limit_option(options.memory_limit);
  machine.device = device_option(options.device);
  const int threads = prepare_machine(machine);
  const OpenedBackend backend = open_backend(machine);
  if (!backend.warning.empty()) log_warning(backend.warning);
  const DType dtype = options.dtype == "fp32" ? DType::kF32 : DType::kBF16;

  const fs::path folder = find_model_folder(options.model);
  const ModelConfig config = load_model_config(folder);
  const TextEvaluationOptions windows = window_options(options, config);
  const TokenizerChoice choice = choose_tokenizer(options, folder);
  warn_of_other_tokenizer(options, folder, choice.tokenizer.get());
  const auto documents =
      open_documents(options, choice.tokenizer.get(), threads, machine.memory_limit_bytes);
  const DecoderShape shape = shape_for(
      config, options, windows, require_tokens(*documents, windows), threads, backend.get().gpu());
  const Prediction prediction =
      require_memory(shape, dtype, *documents, machine.memory_limit_bytes);
  int64_t peak = 0;
  const TextEvaluation result =
      run_model(folder, dtype, shape, *documents, windows, backend.get(), peak);

  const EvalReport report{
      .model = folder.string(),
      .source = source_name(options),
      .bytes_note = result.bytes == 0 ? "the tokens stand for no text" : choice.note,
      .windows = windows,
      .batch_size = shape.micro_batch_size,
      .dtype = options.dtype,
      .planned_bytes = prediction.memory.total_bytes(),
      .peak_bytes = peak};
  const bool json = options.text.json;
  fmt::print("{}", json ? report_json(report, result) + "\n" : report_text(report, result));
  return 0;
}

}  // namespace

int run_eval_command(const std::vector<std::string>& arguments) {
  CLI::App app("How well a trained model predicts a text.", "borealis eval");
  EvalOptions options;
  add_options(app, options);
  if (!parse_arguments(app, arguments)) return 0;
  log_open(LogStream::kStderr, "INFO");
  return evaluate(options);
}

}  // namespace borealis
