// Trains a byte-level BPE tokenizer: counts the words of a text (GPT-2's expression), starts from
// the 256 bytes, and makes the most frequent pair of adjacent pieces a piece of its own until the
// vocabulary is full (Sennrich et al. 2016). Deterministic: of equally frequent pairs the one with
// the lower ids is taken, as in the tokenizers library, whose result it equals; but no piece gets
// longer than 65536 bytes in GPT-2's alphabet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tokenizer/documents.h"
#include "tokenizer/tokenizer_definition.h"

namespace borealis {

using WordCounts = std::unordered_map<std::string, int64_t>;

// Called now and then, by one thread at a time, with what is done of what is to be done.
using ProgressFunction = std::function<void(int64_t done, int64_t total)>;

// Occurrences of every word in all documents. Progress in bytes.
WordCounts count_words(const DocumentFiles& files, int threads, const ProgressFunction& progress,
                       BadRecordLog* bad = nullptr);

struct BpeTrainingOptions {
  int64_t vocab_size = 4096;  // special tokens and the 256 bytes included
  int64_t min_frequency = 2;  // of a pair that is merged
  std::vector<std::string> special_tokens = {"<|endoftext|>"};  // ids 0, 1, ...
};

// The vocabulary comes out smaller if the words have too few frequent pairs. Throws Error(kConfig)
// if vocab_size does not even hold the bytes and special tokens. Progress in pieces.
TokenizerDefinition train_bpe(const WordCounts& words, const BpeTrainingOptions& options,
                              const ProgressFunction& progress);

}  // namespace borealis
