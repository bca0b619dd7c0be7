// SentencePiece models for tests, trained on the spot by the library's own trainer.
#pragma once

#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file.h"

namespace borealis {

using TrainerOptions = std::unordered_map<std::string, std::string>;

class SentenceList final : public sentencepiece::SentenceIterator {
 public:
  explicit SentenceList(const std::vector<std::string>& sentences) : sentences_(sentences) {}
  bool done() const override { return at_ == sentences_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return sentences_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& sentences_;
  size_t at_ = 0;
};

inline std::string train_sentencepiece(TrainerOptions options) {
  std::vector<std::string> sentences;
  for (int i = 0; i < 20; ++i) {
    for (const char* sentence :
         {"the cat sat on the mat", "a cat and a hat and the rat", "In the beginning was the word",
          "na\u00efve caf\u00e9 \u2014 \u6771\u4eac\u90fd", "1234 5678 90",
          "  two  spaces   three"}) {
      sentences.push_back(sentence);
    }
  }
  options.emplace("minloglevel", "2");
  options.emplace("hard_vocab_limit", "false");
  SentenceList list(sentences);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(options, &list, &model);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return model;
}

// As Llama 2's: BPE over the text as it is, bytes for what is no piece, <unk> <s> </s>.
inline std::string llama2_like_model() {
  return train_sentencepiece({{"model_type", "bpe"},
                              {"vocab_size", "360"},
                              {"byte_fallback", "true"},
                              {"normalization_rule_name", "identity"},
                              {"remove_extra_whitespaces", "false"},
                              {"allow_whitespace_only_pieces", "true"}});
}

// SentencePiece's defaults: unigram, NFKC, runs of spaces become one.
inline std::string plain_unigram_model() {
  return train_sentencepiece({{"model_type", "unigram"}, {"vocab_size", "90"}});
}

// As Gemma's: no space before a text, pad, eos and bos before unk.
inline std::string gemma_like_model() {
  return train_sentencepiece({{"model_type", "bpe"},
                              {"vocab_size", "360"},
                              {"byte_fallback", "true"},
                              {"add_dummy_prefix", "false"},
                              {"remove_extra_whitespaces", "false"},
                              {"pad_id", "0"},
                              {"eos_id", "1"},
                              {"bos_id", "2"},
                              {"unk_id", "3"},
                              {"bos_piece", "<bos>"},
                              {"eos_piece", "<eos>"},
                              {"user_defined_symbols", "<2mass>"}});
}

}  // namespace borealis
