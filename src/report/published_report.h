// A performance report as a group publishes it in Markdown: a table of results, the architectures
// of its models, and raw data, line by line. The layout is that of "AuroraGPT-v1 (Small)", with
// what reports of ours have besides: columns of the table, TFLOPs by formula, common variables,
// counts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

// A number as it stands in the text: its digits say how it was rounded.
struct PublishedNumber {
  std::string text;
  double value = 0;  // NaN: the text is no number, "not measured" or "nan"
  int64_t line = 0;  // in the file, from 1 on

  int decimals() const;
  bool is_known() const;
  // The most by which rounding to its digits moved it.
  double rounding() const;
};

// "8018 to 8102".
struct PublishedRange {
  PublishedNumber low, high;
};

// What sets a row apart from others of its family and layers, "AMD EPYC, 2 cores, DTYPE=bf16".
struct PublishedConfiguration {
  std::string text;     // as it stands
  std::string machine;  // "AMD EPYC, 2 cores"; empty: it does not say
  std::map<std::string, std::string> values;

  std::optional<int64_t> number(const std::string& variable) const;
};

// | model-arch | nlayers | model size (B) | tpgps | TFLOPs |, and of ours also min to max of the
// last two, runs, and configuration.
struct PublishedRow {
  std::string family;  // "llama3": the model's name in small letters, without its layers
  int64_t layers = 0;
  PublishedNumber size_billions, tokens_per_gpu, tflops;
  std::optional<PublishedRange> tokens_per_gpu_range, tflops_range;
  std::optional<int64_t> runs;
  PublishedConfiguration configuration;

  std::string name() const;  // "llama3 x 14, DTYPE=bf16"
};

// | model-arch | nlayers | configuration | lm | ds | ... |, by formula.
struct PublishedFormulaRow {
  std::string family;
  int64_t layers = 0;
  std::string configuration;
  std::map<std::string, PublishedNumber> tflops;  // by the formula's key
};

// "HEADS: 24" and so on, in a block named "<family>-architecture.yaml"; ours have VOCAB_SIZE,
// HEAD_DIM and TIED_EMBEDDINGS besides.
struct PublishedArchitecture {
  std::map<std::string, int64_t> values;
  int64_t line = 0;
};

// One run in a list of raw data.
struct PublishedRun {
  std::string family;
  int64_t layers = 0;
  int64_t hosts = 0;  // 0: the line does not say
  int64_t global_batch = 0;
  std::string stamp;  // of its start: with the rest it names the run
  std::string machine;
  // "[NHOST:2][MB:1][GAS:2][GB:48]"; 0: the line has none.
  int64_t tagged_hosts = 0, micro_batch = 0, accumulation = 0, tagged_batch = 0;
  PublishedNumber value;
  PublishedNumber last_step;  // "[TFLOPS-lm:...]"; no text: the line has none

  std::string name() const;  // "llama3 x 14, global batch 48, 2025-08-21-124405"
};

enum class PublishedQuantity { kTflops, kTokensPerGpu, kTokens, kSize };

struct PublishedList {
  PublishedQuantity quantity = PublishedQuantity::kTflops;
  std::string title;
  std::vector<PublishedRun> runs;
};

// "175552 / 24 = 7315.5"
struct PublishedDivision {
  PublishedNumber dividend, divisor, quotient;
};

// A count that a sentence names, "Together that is 24 steps", or a variable that all runs have in
// common, "GLOBAL_BATCH: 4".
struct PublishedCount {
  int64_t value = 0;
  int64_t line = 0;
};

struct PublishedReport {
  std::string tokenizer_model;   // of the command, TOKENIZER_MODEL=...; empty: not given
  int64_t micro_batch_size = 1;  // of the command, MICRO_BATCH=...
  std::vector<PublishedRow> rows;
  std::vector<PublishedFormulaRow> formula_rows;
  std::map<std::string, std::vector<PublishedArchitecture>> architectures;  // by family
  std::vector<PublishedList> lists;
  std::vector<PublishedDivision> divisions;
  std::map<std::string, PublishedCount> common;  // by the variable; those that are whole numbers
  std::optional<PublishedCount> configurations, runs, steps;
  int64_t warmup_steps = 0;  // first steps of a run that do not count, the fewest of all runs
};

// Lines of other forms are text and passed over. Throws Error(kData) where there is no table of
// results, naming `path`.
PublishedReport parse_published_report(std::string_view text, const std::string& path);

}  // namespace borealis
