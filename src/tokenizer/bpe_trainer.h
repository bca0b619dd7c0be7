// Trains a byte-level BPE (Sennrich et al. 2016, algorithm 1, with incremental pair counts) and
// writes it as Hugging Face files. The result depends on the texts and their order in no other way
// than through word counts; ties go to the pair of lower ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokenizer/split_pattern.h"

namespace borealis {

inline constexpr const char* kEndOfText = "<|endoftext|>";

class BpeTrainer {
 public:
  BpeTrainer() : pattern_(kGpt2Pattern) {}
  void add_text(std::string_view text);  // counts its words

  struct Result {
    std::vector<std::string> pieces;                  // bytes of id 0, 1, ...; 0 is kEndOfText
    std::vector<std::pair<int32_t, int32_t>> merges;  // in order of rank
  };
  // The end-of-text token, the 256 bytes, and merges up to vocab_size entries, or as many as the
  // texts have. Throws Error(kConfig) for a size below 257, Error(kData) for texts without a word.
  Result train(int64_t vocab_size) const;

 private:
  SplitPattern pattern_;
  std::unordered_map<std::string, int64_t> counts_;
};

// tokenizer.json and tokenizer_config.json.
void write_tokenizer(const BpeTrainer::Result& result, const std::filesystem::path& folder);

}  // namespace borealis
