#include <fmt/format.h>
#include <omp.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "cli/text_documents.h"
#include "data/indexed_dataset_writer.h"
#include "telemetry/stopwatch.h"
#include "tokenizer/tokenizer.h"

namespace borealis {
namespace {

constexpr int64_t kBatchBytes = int64_t{16} << 20;  // of text in memory at a time
constexpr double kProgressSeconds = 5;

// Encodes documents with all threads and writes them in order.
class ParallelTokenizer {
 public:
  ParallelTokenizer(const Tokenizer& tokenizer, bool append_eod, IndexedDatasetWriter& writer)
      : tokenizer_(tokenizer), writer_(writer) {
    if (!append_eod) return;
    end_of_document_ = tokenizer.end_of_text();
    if (!end_of_document_) {
      throw Error(ErrorKind::kData, "the tokenizer has no end-of-text token to append",
                  "use --no-append-eod, or name its eos_token in tokenizer_config.json");
    }
  }

  void add(std::string_view text) {
    texts_.emplace_back(text);
    pending_bytes_ += static_cast<int64_t>(text.size());
    if (pending_bytes_ >= kBatchBytes) flush();
  }

  void flush() {
    std::vector<std::vector<int32_t>> encoded(texts_.size());
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < texts_.size(); ++i) {
      encoded[i] = tokenizer_.encode_document(texts_[i]);
      // The end token belongs to its document and counts in its length.
      if (end_of_document_ && !encoded[i].empty()) encoded[i].push_back(*end_of_document_);
    }
    for (const std::vector<int32_t>& ids : encoded) {
      if (!ids.empty()) writer_.add_document(ids);  // none where nothing was said
    }
    done_bytes_ += pending_bytes_;
    pending_bytes_ = 0;
    texts_.clear();
    if (since_progress_.elapsed_s() >= kProgressSeconds) {
      since_progress_.lap_ms();
      log_info(fmt::format("{} documents, {}, {:.1f} MB/s", writer_.document_count(),
                           format_bytes(done_bytes_), rate_mb_per_s()));
    }
  }

  double rate_mb_per_s() const {
    return static_cast<double>(done_bytes_) * 1e-6 / since_start_.elapsed_s();
  }
  int64_t done_bytes() const { return done_bytes_; }

 private:
  const Tokenizer& tokenizer_;
  IndexedDatasetWriter& writer_;
  std::optional<int32_t> end_of_document_;
  std::vector<std::string> texts_;
  int64_t pending_bytes_ = 0, done_bytes_ = 0;
  Stopwatch since_start_, since_progress_;
};

}  // namespace

int run_data_command(const std::vector<std::string>& arguments) {
  CLI::App app("Prepare training data.", "borealis data");
  app.require_subcommand(1);
  CLI::App* tokenize =
      app.add_subcommand("tokenize", "text or JSONL files to PREFIX.bin and PREFIX.idx");
  TextInput input;
  std::string format = "auto", prefix, tokenizer_path;
  bool append_eod = true, json = false;
  int threads = usable_cores();
  tokenize->add_option("--input", input.files, "text files (a document each) or JSONL")->required();
  tokenize->add_option("--tokenizer", tokenizer_path, "tokenizer.json or its folder")->required();
  tokenize->add_option("--output-prefix", prefix, "path without .bin and .idx")->required();
  tokenize->add_option("--json-key", input.json_key, "where a JSONL line has its text")
      ->capture_default_str();
  tokenize->add_option("--format", format, "auto, text or jsonl")->capture_default_str();
  tokenize->add_flag("--append-eod,!--no-append-eod", append_eod,
                     "end every document with the end-of-text token [yes]");
  tokenize->add_option("--threads", threads, "threads that encode")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  tokenize->add_flag("--json", json, "print one JSON document");
  if (!parse_arguments(app, arguments)) return 0;
  input.format = parse_text_format(format);
  log_open(json ? LogStream::kStderr : LogStream::kStdout, "INFO");
  omp_set_num_threads(threads);

  const Tokenizer tokenizer(tokenizer_path);
  const TokenType type = token_type_for_vocabulary(tokenizer.largest_id() + 1);
  IndexedDatasetWriter writer(prefix, type);
  ParallelTokenizer parallel(tokenizer, append_eod, writer);
  for_each_document(input, [&](std::string_view text) { parallel.add(text); });
  parallel.flush();
  if (writer.document_count() == 0) {
    throw Error(ErrorKind::kData, "the input holds no text", "check --input and --json-key");
  }
  writer.commit();
  if (json) {
    const nlohmann::ordered_json summary = {{"output_prefix", prefix},
                                            {"documents", writer.document_count()},
                                            {"tokens", writer.token_count()},
                                            {"text_bytes", parallel.done_bytes()},
                                            {"mb_per_second", parallel.rate_mb_per_s()}};
    fmt::print("{}\n", summary.dump(2));
  } else {
    log_info(fmt::format("{}: {} documents, {} tokens, {:.1f} MB/s", prefix,
                         writer.document_count(), writer.token_count(), parallel.rate_mb_per_s()));
  }
  return 0;
}

}  // namespace borealis
