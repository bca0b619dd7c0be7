#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "base/error.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/data_run_options.h"
#include "cli/run_setup.h"
#include "data/batch_loader.h"
#include "data/brief_check.h"
#include "data/split_bounds.h"
#include "tokenizer/open_tokenizer.h"

namespace borealis {
namespace {

const DataRunCommand kCommand{
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
        "  --tokens FORMAT       ids, or text by TOKENIZER_MODEL (default: ids)\n",
    .flags = {"--split", "--steps", "--consumed-samples", "--tokens", "--world-size"}};

// [rows, seq_length + 1]: what was read, before inputs and targets were made of it.
std::vector<int32_t> sample_of(const Batch& batch, int64_t row) {
  const auto first = batch.tokens.begin() + row * batch.seq_length;
  std::vector<int32_t> sample(first, first + batch.seq_length);
  sample.push_back(batch.targets[static_cast<size_t>((row + 1) * batch.seq_length - 1)]);
  return sample;
}

class BatchPrinter {
 public:
  explicit BatchPrinter(const DataRunOptions& options) {
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

  void start(const std::string& split, int64_t step, int64_t rank) {
    line_.clear();
    fmt::format_to(out(), R"({{"split":"{}","step":{},"rank":{},"tokens":[)", split, step, rank);
    first_ = true;
  }
  void add(std::span<const int32_t> sample) {
    if (!std::exchange(first_, false)) line_.push_back(',');
    if (tokenizer_) {
      const nlohmann::json text = tokenizer_->decode(sample, false);
      fmt::format_to(out(), "{}",
                     text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
      return;
    }
    char separator = '[';
    for (const int32_t token : sample) {
      fmt::format_to(out(), "{}{}", separator, token);
      separator = ',';
    }
    line_.push_back(']');
  }
  void finish() {
    line_.append(std::string_view("]}\n"));
    if (std::fwrite(line_.data(), 1, line_.size(), stdout) != line_.size()) {
      throw Error(ErrorKind::kFile, "cannot write to the standard output");
    }
  }

 private:
  std::back_insert_iterator<fmt::memory_buffer> out() { return std::back_inserter(line_); }

  std::unique_ptr<Tokenizer> tokenizer_;
  fmt::memory_buffer line_;
  bool first_ = true;
};

const char* json_name(Split split) {
  return split == Split::kTrain ? "train" : split == Split::kValid ? "valid" : "test";
}

int print_batches(const DataRunOptions& options) {
  const RunConfig& config = options.config;
  const Split split = options.splits.empty() ? Split::kTrain : options.splits.front();
  BatchPrinter printer(options);
  std::vector<std::unique_ptr<BatchSource>> ranks;
  for (int64_t rank = 0; rank < config.parallel.data_parallel_size(); ++rank) {
    ranks.push_back(make_batch_source(config, split, options.consumed_samples, rank));
    if (!ranks.back()) {
      throw Error(
          ErrorKind::kConfig,
          fmt::format("the split {} gives {} no share", config.data.split, json_name(split)),
          "choose another --split, or give it a share");
    }
  }
  const int64_t done = options.consumed_samples / config.batch.global_batch_size;
  Batch batch;
  for (int64_t step = 1; step <= options.steps; ++step) {
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      printer.start(json_name(split), done + step, static_cast<int64_t>(rank));
      for (int64_t micro = 0; micro < config.batch.grad_accum_steps; ++micro) {
        ranks[rank]->next(batch);
        for (int64_t row = 0; row < batch.batch_size; ++row) printer.add(sample_of(batch, row));
      }
      printer.finish();
    }
  }
  return 0;
}

}  // namespace

int run_data_batches_command(const std::vector<std::string>& arguments) {
  const auto options = read_data_run_options(arguments, kCommand);
  if (!options) return 0;
  prepare_machine(options->config.machine);
  warn_of_damaged_files(options->config);
  return print_batches(*options);
}

}  // namespace borealis
