#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>

#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/allocator.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "cli/program_version.h"
#include "cli/text_input_options.h"
#include "cli/tokenizer_options.h"
#include "cli/work_progress.h"
#include "data/tokenize_documents.h"
#include "data/tokenize_journal.h"
#include "train/signals.h"

namespace borealis {
namespace {

struct TokenizeArguments {
  TextInputOptions input;
  TokenizerOptions tokenizer;
  std::string output_prefix;
  TokenizeOptions options;
};

void add_options(CLI::App& app, TokenizeArguments& arguments) {
  arguments.input.add_to(app);
  TokenizeOptions& options = arguments.options;
  arguments.tokenizer.add_to(app, "its file, its folder, or a name in the Hugging Face cache");
  app.add_option("--output-prefix", arguments.output_prefix,
                 "writes <prefix>.bin, <prefix>.idx and <prefix>.meta.json")
      ->required();
  app.add_flag("--append-eod,!--no-append-eod", options.append_end,
               "end every document with the tokenizer's end-of-text token (default: yes)");
  app.add_option("--shard-tokens", options.shard_tokens,
                 "several pairs, <prefix>-00000 and so on, of at most so many tokens each (a "
                 "longer document has one for itself), and <prefix>.list, a data list of them")
      ->check(whole_number(1));
  app.add_option("--corpus", options.corpus,
                 "label of the shards in the data list (default: the prefix's last part)");
  app.add_option("--checkpoint-interval", options.checkpoint_seconds,
                 "seconds between two places from which a killed run goes on when it is started "
                 "again; 0: after every chunk of about 1 MiB")
      ->check(real_number(0))
      ->capture_default_str();
  app.add_flag("--start-over", options.start_over, "throw away what an unfinished run has done");
  app.add_flag("--overwrite", options.overwrite, "replace files that are there already");
}

double megabytes_per_second(const TokenizedCorpus& corpus, double seconds) {
  return static_cast<double>(corpus.text_bytes - corpus.earlier_text_bytes) * 1e-6 / seconds;
}

nlohmann::ordered_json json_of(const TokenizeArguments& arguments, const TokenizedCorpus& corpus,
                               int64_t stored_bytes, double seconds) {
  nlohmann::ordered_json json = {{"output_prefix", arguments.output_prefix},
                                 {"complete", corpus.complete},
                                 {"documents", corpus.documents},
                                 {"empty_documents", corpus.empty_documents},
                                 {"skipped_records", corpus.bad_records.skipped},
                                 {"repaired_records", corpus.bad_records.repaired},
                                 {"invalid_utf8_records", corpus.bad_records.invalid_utf8},
                                 {"tokens", corpus.tokens},
                                 {"bytes", corpus.text_bytes},
                                 {"stored_bytes", stored_bytes},
                                 {"earlier_bytes", corpus.earlier_text_bytes},
                                 {"dtype", token_type_name(corpus.type)},
                                 {"vocab_size", corpus.vocab_size},
                                 {"end_token", nullptr},
                                 {"pairs", nlohmann::ordered_json::array()},
                                 {"data_list", nullptr},
                                 {"threads", arguments.options.threads},
                                 {"seconds", seconds},
                                 {"mb_per_s", megabytes_per_second(corpus, seconds)}};
  if (corpus.end_token) json["end_token"] = *corpus.end_token;
  for (const auto& prefix : corpus.prefixes) json["pairs"].push_back(prefix.string());
  if (corpus.list) json["data_list"] = corpus.list->string();
  return json;
}

void report(const TokenizeArguments& arguments, const TokenizedCorpus& corpus, double seconds) {
  const std::string what =
      corpus.list ? fmt::format("{} ({} pairs)", corpus.list->string(), corpus.prefixes.size())
                  : fmt::format("{0}.bin, {0}.idx", arguments.output_prefix);
  log_info(fmt::format("{}: {} documents, {} tokens ({}) from {} of text in {}, {:.1f} MB/s", what,
                       format_count(corpus.documents), format_count(corpus.tokens),
                       token_type_name(corpus.type), format_bytes(corpus.text_bytes),
                       format_duration(seconds), megabytes_per_second(corpus, seconds)));
  if (corpus.empty_documents > 0) {
    log_info(fmt::format("{} empty documents were left out", format_count(corpus.empty_documents)));
  }
}

TokenizedCorpus run_tokenization(const TokenizeArguments& arguments, const DocumentFiles& files,
                                 const SignalWatch& signals) {
  const Tokenizer tokenizer = arguments.tokenizer.open();
  WorkProgress progress("tokenizing");
  return tokenize_documents(
      files, tokenizer, arguments.options,
      {.progress = [&](int64_t done, int64_t total,
                       int64_t text_bytes) { progress.update(done, total, text_bytes); },
       .should_stop = [&] { return signals.received() != nullptr; }});
}

// As a shell counts a process that a signal ended.
int exit_code_of(const SignalWatch& signals) { return signal_exit_code(signals.received()); }

int tokenize(TokenizeArguments& arguments) {
  log_open(arguments.input.json ? LogStream::kStderr : LogStream::kStdout, "INFO");
  give_back_freed_memory();
  const auto start = std::chrono::steady_clock::now();
  TokenizeOptions& options = arguments.options;
  options.output_prefix = arguments.output_prefix;
  options.tokenizer_path = arguments.tokenizer.model;
  options.threads = arguments.input.thread_count();
  options.program = fmt::format("borealis {}", program_version());
  if (options.corpus.empty()) options.corpus = options.output_prefix.filename().string();
  const DocumentFiles files = arguments.input.open();
  const SignalWatch signals;
  const TokenizedCorpus corpus = run_tokenization(arguments, files, signals);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  if (arguments.input.json) {
    fmt::print("{}\n",
               json_text(json_of(arguments, corpus, files.total_bytes(), elapsed.count()), 2));
  }
  if (!corpus.complete) {
    log_warning(fmt::format(
        "stopped by {} after {} documents, kept in {}: the same command goes on from there",
        signals.received(), format_count(corpus.documents),
        tokenize_journal_folder(options.output_prefix).string()));
    return exit_code_of(signals);
  }
  TextInputOptions::report(corpus.bad_records);
  if (!arguments.input.json) report(arguments, corpus, elapsed.count());
  return 0;
}

}  // namespace

int run_data_tokenize_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Turns text into a Megatron data set of token ids. The output does not depend on the number "
      "of threads. A run that was killed goes on where it was when the same command is given "
      "again.",
      "borealis data tokenize");
  TokenizeArguments parsed;
  add_options(app, parsed);
  return parse_arguments(app, arguments) ? tokenize(parsed) : 0;
}

}  // namespace borealis
