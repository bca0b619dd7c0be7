#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/data_run_options.h"
#include "cli/run_setup.h"
#include "data/batch_loader.h"
#include "data/brief_check.h"
#include "data/document_ends.h"
#include "data/split_bounds.h"
#include "kernels/cross_entropy.h"
#include "tokenizer/open_tokenizer.h"

namespace borealis {
namespace {

const DataRunCommand kBatchesCommand{
    .name = "batches",
    .summary =
        "Prints the batches that a configuration sees, one JSON object a line: split, step, rank\n"
        "and tokens, a list with one sample of SEQ + 1 tokens for every row of the rank's\n"
        "micro-batches of the step, in order. The first SEQ of a sample are the input, the last\n"
        "SEQ the targets. Step n of training uses up to n * GLOBAL_BATCH samples.",
    .own_help =
        "  --split NAME          train, valid or test (default: train)\n"
        "  --steps N             steps to print (default: 1)\n"
        "  --consumed-samples N  samples of the split that were used before (default: 0)\n"
        "  --tokens FORMAT       ids, or text by TOKENIZER_MODEL (default: ids)\n"
        "  --fields LIST         of tokens, loss_mask, position_ids and document_starts, with\n"
        "                        commas; all but tokens have SEQ numbers a row (default: tokens)\n",
    .flags = {"--split", "--steps", "--consumed-samples", "--tokens", "--fields", "--world-size"}};

// [seq_length + 1]: what was read, before inputs and targets were made of it.
std::vector<int32_t> sample_of(const Batch& batch, int64_t row) {
  const auto first = batch.tokens.begin() + row * batch.seq_length;
  std::vector<int32_t> sample(first, first + batch.seq_length);
  sample.push_back(batch.targets[static_cast<size_t>((row + 1) * batch.seq_length - 1)]);
  return sample;
}

// [seq_length] of a row of one of the other fields.
std::vector<int32_t> row_of(const std::string& field, const Batch& batch, int64_t row) {
  std::vector<int32_t> values(static_cast<size_t>(batch.seq_length), 0);
  const size_t first = static_cast<size_t>(row) * values.size();
  for (size_t t = 0; t < values.size(); ++t) {
    if (field == "loss_mask") {
      values[t] = batch.targets[first + t] == kNoTarget ? 0 : 1;
    } else if (field == "position_ids") {
      values[t] = batch.positions.empty() ? static_cast<int32_t>(t) : batch.positions[first + t];
    } else if (!batch.document_starts.empty()) {
      values[t] = batch.document_starts[first + t];
    }
  }
  return values;
}

// A line of JSON, a list of rows for every field.
class BatchPrinter {
 public:
  explicit BatchPrinter(const DataRunOptions& options)
      : ends_(document_ends(options.config.data)), fields_(options.fields), rows_(fields_.size()) {
    if (options.token_format != "text") return;
    const auto source = tokenizer_source(options.config.data);
    if (!source) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("--tokens text: the tokenizer {} was not found",
                              options.config.data.tokenizer_model),
                  "name it by TOKENIZER_MODEL, or use --tokens ids");
    }
    tokenizer_ = std::make_unique<Tokenizer>(open_tokenizer(*source));
  }

  // A micro-batch in which nothing is masked yet: the token behind a masked one would be lost.
  void add(Batch& batch) {
    const size_t tokens = place_of("tokens");
    for (int64_t row = 0; row < batch.batch_size && tokens < fields_.size(); ++row) {
      add_tokens(sample_of(batch, row), rows_[tokens]);
    }
    if (ends_) mark_documents(*ends_, batch);
    for (size_t i = 0; i < fields_.size(); ++i) {
      if (i == tokens) continue;
      for (int64_t row = 0; row < batch.batch_size; ++row) {
        add_numbers(row_of(fields_[i], batch, row), rows_[i]);
      }
    }
  }
  void print(const std::string& split, int64_t step, int64_t rank) {
    std::string line = fmt::format(R"({{"split":"{}","step":{},"rank":{})", split, step, rank);
    for (size_t i = 0; i < fields_.size(); ++i) {
      line += fmt::format(R"(,"{}":[)", fields_[i]);
      line += std::exchange(rows_[i], {});
      line += ']';
    }
    line += "}\n";
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) {
      throw Error(ErrorKind::kFile, "cannot write to the standard output");
    }
  }

 private:
  size_t place_of(std::string_view field) const {
    return static_cast<size_t>(std::ranges::find(fields_, field) - fields_.begin());
  }
  void add_tokens(const std::vector<int32_t>& sample, std::string& rows) const {
    if (!tokenizer_) return add_numbers(sample, rows);
    if (!rows.empty()) rows += ',';
    const nlohmann::json text = tokenizer_->decode(sample, false);
    rows += json_text(text);
  }
  static void add_numbers(const std::vector<int32_t>& numbers, std::string& rows) {
    if (!rows.empty()) rows += ',';
    char separator = '[';
    for (const int32_t number : numbers) {
      fmt::format_to(std::back_inserter(rows), "{}{}", std::exchange(separator, ','), number);
    }
    rows += ']';
  }

  std::optional<DocumentEnds> ends_;
  std::vector<std::string> fields_;
  std::vector<std::string> rows_;  // of each field so far
  std::unique_ptr<Tokenizer> tokenizer_;
};

int print_batches(const DataRunOptions& options) {
  RunConfig config = options.config;
  config.data.eod_mask_loss = config.data.reset_position_ids = config.data.reset_attention_mask =
      false;  // the printer marks documents itself
  const Split split = options.splits.empty() ? Split::kTrain : options.splits.front();
  BatchPrinter printer(options);
  std::vector<std::unique_ptr<BatchSource>> ranks;
  for (int64_t rank = 0; rank < config.parallel.data_parallel_size(); ++rank) {
    ranks.push_back(make_batch_source(config, split, options.consumed_samples, rank));
    if (!ranks.back()) {
      throw Error(
          ErrorKind::kConfig,
          fmt::format("the split {} gives {} no {}", config.data.split, split_option_name(split),
                      requested_samples(config, split) == 0 ? "share" : "document"),
          fmt::format("raise {} (or its number in --split), or name another split",
                      split == Split::kTrain   ? "TRAIN_SPLIT"
                      : split == Split::kValid ? "VAL_SPLIT"
                                               : "TEST_SPLIT"));
    }
  }
  const int64_t done = options.consumed_samples / config.batch.global_batch_size;
  Batch batch;
  for (int64_t step = 1; step <= options.steps; ++step) {
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      for (int64_t micro = 0; micro < config.batch.grad_accum_steps; ++micro) {
        ranks[rank]->next(batch);
        printer.add(batch);
      }
      // Of ranks that share sequences the first is named.
      printer.print(split_option_name(split), done + step,
                    static_cast<int64_t>(rank) * config.parallel.sequence_parallel_size);
    }
  }
  return 0;
}

}  // namespace

int run_data_batches_command(const std::vector<std::string>& arguments) {
  const auto options = read_data_run_options(arguments, kBatchesCommand);
  if (!options) return 0;
  prepare_machine(options->config.machine);
  warn_of_damaged_files(options->config);
  return print_batches(*options);
}

}  // namespace borealis
