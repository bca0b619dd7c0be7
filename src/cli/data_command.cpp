#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "cli/text_input_options.h"
#include "cli/tokenizer_options.h"
#include "cli/work_progress.h"
#include "data/tokenize_documents.h"

namespace borealis {
namespace {

struct TokenizeOptions {
  TextInputOptions input;
  TokenizerOptions tokenizer;
  std::string output_prefix;
  bool append_end = true;
};

void add_options(CLI::App& app, TokenizeOptions& options) {
  options.input.add_to(app);
  options.tokenizer.add_to(app, "its file, its folder, or a name in the Hugging Face cache");
  app.add_option("--output-prefix", options.output_prefix, "writes <prefix>.bin and <prefix>.idx")
      ->required();
  app.add_flag("--append-eod,!--no-append-eod", options.append_end,
               "end every document with the tokenizer's end-of-text token (default: yes)");
}

void report(const TokenizeOptions& options, const TokenizedCorpus& corpus, int64_t bytes,
            double seconds) {
  if (options.input.json) {
    nlohmann::ordered_json document = {{"output_prefix", options.output_prefix},
                                       {"documents", corpus.documents},
                                       {"empty_documents", corpus.empty_documents},
                                       {"tokens", corpus.tokens},
                                       {"bytes", bytes},
                                       {"dtype", token_type_name(corpus.type)},
                                       {"vocab_size", corpus.vocab_size},
                                       {"end_token", nullptr},
                                       {"seconds", seconds}};
    if (corpus.end_token) document["end_token"] = *corpus.end_token;
    fmt::print("{}\n", document.dump(2));
    return;
  }
  log_info(fmt::format("{0}.bin, {0}.idx: {1} documents, {2} tokens ({3}) from {4} of text in {5}",
                       options.output_prefix, format_count(corpus.documents),
                       format_count(corpus.tokens), token_type_name(corpus.type),
                       format_bytes(bytes), format_duration(seconds)));
  if (corpus.empty_documents > 0) {
    log_info(fmt::format("{} empty documents were left out", format_count(corpus.empty_documents)));
  }
}

int tokenize(const TokenizeOptions& options) {
  log_open(options.input.json ? LogStream::kStderr : LogStream::kStdout, "INFO");
  const auto start = std::chrono::steady_clock::now();
  const DocumentFiles files = options.input.open();
  const Tokenizer tokenizer = options.tokenizer.open();
  TokenizedCorpus corpus;
  {
    WorkProgress progress("tokenizing");
    corpus = tokenize_documents(files, tokenizer,
                                {.output_prefix = options.output_prefix,
                                 .append_end = options.append_end,
                                 .threads = options.input.thread_count()},
                                [&](int64_t done, int64_t total) { progress.update(done, total); });
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  report(options, corpus, files.total_bytes(), elapsed.count());
  return 0;
}

}  // namespace

int run_data_command(const std::vector<std::string>& arguments) {
  const std::vector<std::string> rest(arguments.begin() + (arguments.empty() ? 0 : 1),
                                      arguments.end());
  if (!arguments.empty() && arguments[0] == "blend") return run_data_blend_command(rest);
  if (!arguments.empty() && arguments[0] == "batches") return run_data_batches_command(rest);
  CLI::App app("Prepares training data.", "borealis data");
  app.require_subcommand(1);
  TokenizeOptions options;
  CLI::App* command =
      app.add_subcommand("tokenize", "turn text into a Megatron data set of token ids");
  add_options(*command, options);
  app.add_subcommand("blend", "what a data list yields: tokens, epochs, share of each corpus");
  app.add_subcommand("batches", "the batches that a configuration sees, as JSON lines");
  return parse_arguments(app, arguments) ? tokenize(options) : 0;
}

}  // namespace borealis
