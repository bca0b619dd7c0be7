#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/units.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/run_checkpoints.h"
#include "cli/command.h"
#include "cli/loaded_model.h"
#include "cli/open_backend.h"
#include "cli/parse_arguments.h"
#include "cli/prompts.h"
#include "cli/run_setup.h"
#include "cli/text_printer.h"
#include "cli/tokenizer_options.h"
#include "planner/planner.h"
#include "tokenizer/utf8.h"
#include "train/text_generation.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

struct GenerateOptions {
  std::string model;
  std::string prompt;
  std::string prompts_file;
  TokenizerOptions tokenizer;
  TextGenerationOptions text;
  int64_t seed = 1234;
  bool greedy = false;
  bool ignore_eos = false;
  int64_t batch_size = 8;
  std::string dtype = "bf16";
  int64_t threads = 0;
  std::string device;
  std::string memory_limit;
  bool json = false;
};

void add_prompt_options(CLI::App& app, GenerateOptions& options) {
  app.add_option("--model", options.model, "a checkpoint folder, or a run's checkpoints")
      ->required();
  auto* source = app.add_option_group("what to continue");
  source->add_option("--prompt", options.prompt, "a text");
  source
      ->add_option("--prompts", options.prompts_file,
                   "a file of texts, one a line, or of JSON lines with a \"prompt\" (.jsonl); - is "
                   "standard input")
      ->type_name("FILE");
  source->require_option(1);
  options.tokenizer.add_to(app, "file, folder or cached name [the checkpoint's own]");
  app.add_option("--max-new-tokens", options.text.generation.max_new_tokens,
                 "length of a continuation")
      ->capture_default_str()
      ->check(whole_number(1, std::numeric_limits<int32_t>::max()));
  app.add_option("--stop", options.text.stop_strings,
                 "a text ends in front of this; may be given several times")
      ->type_name("STRING")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--ignore-eos", options.ignore_eos, "go on behind the token that ends a text");
}

void add_sampling_options(CLI::App& app, GenerateOptions& options) {
  SamplingOptions& sampling = options.text.generation.sampling;
  auto* temperature =
      app.add_option("--temperature", sampling.temperature, "0: always the likeliest token")
          ->check(real_number(0))
          ->capture_default_str();
  app.add_flag("--greedy", options.greedy, "--temperature 0")->excludes(temperature);
  app.add_option("--top-k", sampling.top_k, "choose among the k likeliest; 0: among all")
      ->check(whole_number(0))
      ->capture_default_str();
  app.add_option("--top-p", sampling.top_p,
                 "choose among the likeliest that have this much probability together")
      ->check(real_number(0, 1))
      ->capture_default_str();
  app.add_option("--min-p", sampling.min_p,
                 "choose among those with at least this share of the likeliest one's probability")
      ->check(real_number(0, 1))
      ->capture_default_str();
  app.add_option("--repetition-penalty", sampling.repetition_penalty,
                 "above 1, tokens that were there already become less likely")
      ->check(real_number(0))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "same seed, same texts")
      ->capture_default_str()
      ->check(whole_number(0));
}

void add_run_options(CLI::App& app, GenerateOptions& options) {
  app.add_option("--batch-size", options.batch_size, "texts that grow at the same time")
      ->capture_default_str()
      ->check(whole_number(1, 4096));
  app.add_option("--dtype", options.dtype, "bf16 or fp32")
      ->capture_default_str()
      ->check(CLI::IsMember({"bf16", "fp32"}));
  add_device_option(app, options.device);
  app.add_option("--memory-limit", options.memory_limit,
                 "never use more, as in 8GiB [MEMORY_LIMIT, or what is free]");
  app.add_option("--threads", options.threads, "threads; 0: every core that this process may use")
      ->check(whole_number(0, 1024))
      ->capture_default_str();
  app.add_flag("--json", options.json, "print one JSON document, at the end");
}

void check_options(GenerateOptions& options) {
  SamplingOptions& sampling = options.text.generation.sampling;
  if (options.greedy) sampling.temperature = 0;
  sampling.seed = static_cast<uint64_t>(options.seed);
  check_sampling_options(sampling);
  for (const std::string& stop : options.text.stop_strings) {
    if (!stop.empty() && is_valid_utf8(stop)) continue;
    throw Error(ErrorKind::kUsage, stop.empty() ? "--stop is empty" : "--stop is not UTF-8",
                "give text in front of which a continuation shall end");
  }
}

struct Prompts {
  std::vector<PromptText> texts;
  std::vector<Prompt> tokens;

  int64_t longest() const {
    size_t tokens_of_longest = 0;
    for (const Prompt& prompt : tokens) {
      tokens_of_longest = std::max(tokens_of_longest, prompt.size());
    }
    return static_cast<int64_t>(tokens_of_longest);
  }
  int64_t bytes() const {
    int64_t sum = 0;
    for (const PromptText& text : texts) sum += static_cast<int64_t>(text.text.size());
    for (const Prompt& prompt : tokens) sum += static_cast<int64_t>(4 * prompt.size());
    return sum;
  }
};

void require_usable(const Prompt& prompt, const std::string& place, const ModelConfig& model) {
  if (prompt.empty()) {
    throw Error(ErrorKind::kData, place + " is empty", "give some text to continue");
  }
  if (static_cast<int64_t>(prompt.size()) >= model.max_position_embeddings) {
    throw Error(ErrorKind::kData,
                fmt::format("{} has {} tokens, and the model's {} positions leave no room to go on",
                            place, prompt.size(), model.max_position_embeddings),
                fmt::format("shorten it to {} tokens or fewer", model.max_position_embeddings - 1));
  }
  for (const int32_t id : prompt) {
    if (id < model.vocab_size) continue;
    throw Error(ErrorKind::kData,
                fmt::format("token id {} of {} is beyond the model's vocabulary of {}", id, place,
                            model.vocab_size),
                "give the tokenizer that the model was trained with (--tokenizer)");
  }
}

Prompts load_prompts(const GenerateOptions& options, const Tokenizer& tokenizer,
                     const ModelConfig& model) {
  Prompts prompts;
  prompts.texts = options.prompts_file.empty()
                      ? std::vector<PromptText>{{options.prompt, "--prompt"}}
                      : read_prompts(options.prompts_file);
  int64_t cut = 0;
  for (const PromptText& text : prompts.texts) {
    prompts.tokens.push_back(encode_prompt(tokenizer, text.text));
    require_usable(prompts.tokens.back(), text.place, model);
    cut += static_cast<int64_t>(prompts.tokens.back().size()) +
               options.text.generation.max_new_tokens >
           model.max_position_embeddings;
  }
  if (cut > 0) {
    log_warning(
        fmt::format("the model has {} positions: the texts of {} of {} prompts end there, before "
                    "--max-new-tokens {}",
                    model.max_position_embeddings, cut, prompts.texts.size(),
                    options.text.generation.max_new_tokens));
  }
  return prompts;
}

// Texts that are kept until the end, or until those before them are done: the prompts once more,
// tokens and characters.
int64_t text_bytes(const Prompts& prompts, int64_t max_new_tokens) {
  constexpr int64_t kBytesPerToken = 12;
  return prompts.bytes() +
         static_cast<int64_t>(prompts.tokens.size()) * max_new_tokens * kBytesPerToken;
}

Prediction require_memory(const GenerationShape& shape, DType dtype, const Prompts& prompts,
                          std::optional<int64_t> memory_limit_bytes) {
  const int64_t longest = prompts.longest(), held = prompts.bytes();
  const int64_t data = held + text_bytes(prompts, shape.capacity - longest);
  const Prediction prediction =
      predict_generation(shape, dtype, data, resident_bytes() - held, memory_limit_bytes);
  require_generation_fit(shape, dtype, longest, prediction);
  return prediction;
}

struct GenerationReport {
  std::string model;
  std::string dtype;
  int64_t batch_size = 0;
  GenerationTotals totals;
  int64_t planned_bytes = 0;
  int64_t peak_bytes = 0;
};

std::string report_json(const GenerationReport& report, const Prompts& prompts,
                        const std::vector<std::optional<GeneratedText>>& texts) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  int64_t generated = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const GeneratedText& text = *texts[i];
    generated += static_cast<int64_t>(text.tokens.size());
    list.push_back({{"prompt", prompts.texts[i].text},
                    {"text", text.text},
                    {"finish_reason", finish_reason_name(text.finished.reason)},
                    {"prompt_tokens", prompts.tokens[i]},
                    {"tokens", text.tokens},
                    {"prompt_tokens_per_second", text.finished.prompt_tokens_per_second},
                    {"tokens_per_second", text.finished.tokens_per_second}});
  }
  const GenerationTotals& totals = report.totals;
  const nlohmann::ordered_json document = {
      {"model", report.model},
      {"dtype", report.dtype},
      {"batch_size", report.batch_size},
      {"texts", list},
      {"prompt_tokens", totals.prompt_tokens},
      {"tokens", generated},
      {"prompt_tokens_per_second", totals.prompt_tokens_per_second()},
      {"tokens_per_second", totals.decoded_tokens_per_second()},
      {"planned_memory_bytes", report.planned_bytes},
      {"peak_memory_bytes", report.peak_bytes},
  };
  // What a user typed need not be UTF-8.
  return json_text(document, 2);
}

std::string report_line(const GenerationReport& report) {
  const GenerationTotals& totals = report.totals;
  return fmt::format(
      "prompts: {} tokens, {:.0f} tokens/s; continuations: {:.1f} tokens/s; peak memory {} of {} "
      "planned",
      format_count(totals.prompt_tokens), totals.prompt_tokens_per_second(),
      totals.decoded_tokens_per_second(), format_bytes(report.peak_bytes),
      format_bytes(report.planned_bytes));
}

void set_stop_tokens(const fs::path& folder, GenerateOptions& options) {
  if (options.ignore_eos) return;
  for (const int64_t id : load_special_tokens(folder).eos) {
    options.text.generation.stop_tokens.push_back(static_cast<int32_t>(id));
  }
}

int generate(GenerateOptions& options) {
  check_options(options);
  MachineConfig machine;
  machine.threads = options.threads;
  machine.memory_limit_bytes = memory_limit_option(options.memory_limit);
  machine.device = device_option(options.device);
  const int threads = prepare_machine(machine);
  const OpenedBackend opened = open_backend(machine);
  if (!opened.warning.empty()) log_warning(opened.warning);
  Backend& backend = opened.get();
  const DType dtype = options.dtype == "fp32" ? DType::kF32 : DType::kBF16;

  const fs::path folder = find_model_folder(options.model);
  const ModelConfig config = load_model_config(folder);
  set_stop_tokens(folder, options);
  options.text.generation.model = folder.string();
  const Tokenizer tokenizer =
      options.tokenizer.names_one() ? options.tokenizer.open() : open_tokenizer_of(folder.string());
  options.tokenizer.warn_if_not_of(folder.string(), tokenizer);
  const Prompts prompts = load_prompts(options, tokenizer, config);
  GenerationShape shape =
      generation_shape(config, prompts.tokens, options.text.generation.max_new_tokens,
                       options.batch_size, dtype, threads);
  if (backend.gpu() != nullptr) shape.gpu = *backend.gpu();
  const Prediction prediction = require_memory(shape, dtype, prompts, machine.memory_limit_bytes);

  const LoadedModel model(folder, dtype, backend.device());
  Generator generator(shape, model.parameters, {}, backend);
  TextPrinter printer(prompts.texts.size(), options.json);
  const GenerationTotals totals =
      generate_texts(generator, tokenizer, prompts.tokens, options.text, printer.events());

  const GenerationReport report{.model = folder.string(),
                                .dtype = options.dtype,
                                .batch_size = shape.sequences,
                                .totals = totals,
                                .planned_bytes = prediction.memory.total_bytes(),
                                .peak_bytes = peak_bytes(backend)};
  if (options.json) {
    fmt::print("{}\n", report_json(report, prompts, printer.texts()));
  } else {
    std::fputs((report_line(report) + "\n").c_str(), stderr);  // lost where nobody reads it
  }
  return 0;
}

}  // namespace

int run_generate_command(const std::vector<std::string>& arguments) {
  CLI::App app("Continue texts with a trained model.", "borealis generate");
  GenerateOptions options;
  add_prompt_options(app, options);
  add_sampling_options(app, options);
  add_run_options(app, options);
  if (!parse_arguments(app, arguments)) return 0;
  log_open(LogStream::kStderr, "WARNING");
  return generate(options);
}

}  // namespace borealis
