#include <fmt/format.h>

#include <array>
#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/allocator.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "cli/text_input_options.h"
#include "cli/work_progress.h"
#include "tokenizer/bpe_trainer.h"

namespace borealis {
namespace {

struct TrainOptions {
  TextInputOptions input;
  std::string output;
  bool overwrite = false;
  BpeTrainingOptions training;
};

void add_options(CLI::App& app, TrainOptions& options) {
  options.input.add_to(app);
  app.add_option("--output", options.output, "folder for tokenizer.json and tokenizer_config.json")
      ->required();
  app.add_flag("--overwrite", options.overwrite, "replace a tokenizer that is there already");
  app.add_option("--vocab-size", options.training.vocab_size,
                 "entries, the 256 bytes and <|endoftext|> included")
      ->check(whole_number(1, std::numeric_limits<int32_t>::max()))
      ->capture_default_str();
  app.add_option("--min-frequency", options.training.min_frequency,
                 "least occurrences of a pair that becomes an entry")
      ->check(whole_number(1))
      ->capture_default_str();
}

void report(const TrainOptions& options, const TokenizerDefinition& tokenizer, size_t words,
            int64_t bytes, double seconds) {
  const auto size = static_cast<int64_t>(tokenizer.pieces.size());
  if (size < options.training.vocab_size) {
    log_warning(
        fmt::format("the vocabulary has {} entries, not the {} of --vocab-size: no further pair of "
                    "the text occurs {} times; give more text{}",
                    size, options.training.vocab_size, options.training.min_frequency,
                    options.training.min_frequency > 1 ? ", or a lower --min-frequency" : ""));
  }
  if (options.input.json) {
    const nlohmann::ordered_json document = {
        {"output", options.output}, {"vocab_size", size}, {"merges", tokenizer.merges.size()},
        {"distinct_words", words},  {"bytes", bytes},     {"seconds", seconds}};
    fmt::print("{}\n", json_text(document, 2));
    return;
  }
  log_info(fmt::format("{}/tokenizer.json: {} entries from {} of text ({} different words) in {}",
                       options.output, size, format_bytes(bytes),
                       format_count(static_cast<int64_t>(words)), format_duration(seconds)));
}

void refuse_existing(const std::filesystem::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    if (!std::filesystem::exists(folder / name)) continue;
    throw Error(ErrorKind::kUsage, (folder / name).string() + " exists",
                "choose another --output, or give --overwrite to replace it");
  }
}

int train(const TrainOptions& options) {
  log_open(options.input.json ? LogStream::kStderr : LogStream::kStdout, "INFO");
  if (!options.overwrite) refuse_existing(options.output);
  give_back_freed_memory();
  const auto start = std::chrono::steady_clock::now();
  const DocumentFiles files = options.input.open();
  WordCounts words;
  BadRecordLog bad_records;
  TokenizerDefinition tokenizer;
  {
    WorkProgress progress("counting words");
    words = count_words(
        files, options.input.thread_count(),
        [&](int64_t done, int64_t total) { progress.update(done, total); }, &bad_records);
  }
  TextInputOptions::report(bad_records.counts());
  if (words.empty()) {
    throw Error(ErrorKind::kData, "the input has no text", "give files that are not empty");
  }
  {
    WorkProgress progress("merging pairs");
    tokenizer = train_bpe(words, options.training,
                          [&](int64_t done, int64_t total) { progress.update(done, total); });
  }
  const std::filesystem::path folder(options.output);
  borealis::create_directories(folder);
  // The large one first: what fails then fails before the small one is in place.
  write_file_atomically(folder / "tokenizer.json", tokenizer_json(tokenizer));
  write_file_atomically(folder / "tokenizer_config.json", tokenizer_config_json(tokenizer));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  report(options, tokenizer, words.size(), files.total_bytes(), elapsed.count());
  return 0;
}

int run_train_command_of_tokenizer(const std::vector<std::string>& arguments) {
  CLI::App app("Trains a byte-level BPE tokenizer and writes it as a Hugging Face tokenizer.json.",
               "borealis tokenizer train");
  TrainOptions options;
  add_options(app, options);
  return parse_arguments(app, arguments) ? train(options) : 0;
}

constexpr std::array kTokenizerCommands = {Command{
    "train", "train a byte-level BPE tokenizer and write it as a Hugging Face tokenizer.json",
    run_train_command_of_tokenizer}};

}  // namespace

int run_tokenizer_command(const std::vector<std::string>& arguments) {
  return run_group({"borealis tokenizer", "Makes tokenizers.", kTokenizerCommands}, arguments);
}

}  // namespace borealis
