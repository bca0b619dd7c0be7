#include <fmt/format.h>

#include "base/log.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "cli/text_documents.h"
#include "telemetry/stopwatch.h"
#include "tokenizer/bpe_trainer.h"

namespace borealis {

int run_tokenizer_command(const std::vector<std::string>& arguments) {
  CLI::App app("Work with tokenizers.", "borealis tokenizer");
  app.require_subcommand(1);
  CLI::App* train = app.add_subcommand("train", "train a byte-level BPE on text or JSONL files");
  TextInput input;
  std::string format = "auto", output;
  int64_t vocab_size = 4096;
  train->add_option("--input", input.files, "text files (a document each) or JSONL")->required();
  train->add_option("--output", output, "folder for tokenizer.json")->required();
  train->add_option("--vocab-size", vocab_size, "entries, end-of-text token included")
      ->capture_default_str();
  train->add_option("--json-key", input.json_key, "where a JSONL line has its text")
      ->capture_default_str();
  train->add_option("--format", format, "auto, text or jsonl")->capture_default_str();
  if (!parse_arguments(app, arguments)) return 0;
  input.format = parse_text_format(format);
  log_open(LogStream::kStdout, "INFO");

  const Stopwatch stopwatch;
  BpeTrainer trainer;
  int64_t documents = 0, bytes = 0;
  for_each_document(input, [&](std::string_view text) {
    trainer.add_text(text);
    ++documents;
    bytes += static_cast<int64_t>(text.size());
  });
  log_info(fmt::format("{} documents, {}", documents, format_bytes(bytes)));
  const BpeTrainer::Result result = trainer.train(vocab_size);
  if (static_cast<int64_t>(result.pieces.size()) < vocab_size) {
    log_warning(fmt::format("the text has only {} entries to give, not {}", result.pieces.size(),
                            vocab_size));
  }
  write_tokenizer(result, output);
  log_info(fmt::format("{}/tokenizer.json: {} entries, {}", output, result.pieces.size(),
                       format_duration(stopwatch.elapsed_s())));
  return 0;
}

}  // namespace borealis
