// A performance report as a group publishes it in Markdown: a table of results, the architectures
// of its models, and raw data, line by line. The layout is that of "AuroraGPT-v1 (Small)".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

// A number as it stands in the text: its digits say how it was rounded.
struct PublishedNumber {
  std::string text;
  double value = 0;
  int64_t line = 0;  // in the file, from 1 on

  int decimals() const;
};

// | model-arch | nlayers | model size (B) | tpgps | TFLOPs |
struct PublishedRow {
  std::string family;  // "llama3": the model's name in small letters, without its layers
  int64_t layers = 0;
  PublishedNumber size_billions, tokens_per_gpu, tflops;
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
  PublishedNumber value;
  PublishedNumber last_step;  // "[TFLOPS-lm:...]"; no text: the line has none

  std::string name() const;  // "llama3 x 14, global batch 48, 2025-08-21-124405"
  bool is_same_run(const PublishedRun& other) const;
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

struct PublishedReport {
  std::string tokenizer_model;   // of the command, TOKENIZER_MODEL=...; empty: not given
  int64_t micro_batch_size = 1;  // of the command, MICRO_BATCH=...
  std::vector<PublishedRow> rows;
  std::map<std::string, PublishedArchitecture> architectures;  // by family
  std::vector<PublishedList> lists;
  std::vector<PublishedDivision> divisions;
};

// Lines of other forms are text and passed over. Throws Error(kData) where there is no table of
// results, naming `path`.
PublishedReport parse_published_report(std::string_view text, const std::string& path);

}  // namespace borealis
