// What a SentencePiece .model says about itself, read without the library: enough to size a model's
// vocabulary and to know what the library's own functions do not tell.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace borealis {

struct SentencePieceFacts {
  std::vector<std::string> pieces;  // by id
  std::string algorithm;            // "unigram", "bpe", "word" or "char"
  // Names of control pieces; empty where the model has none.
  std::string bos, eos, pad;
  bool denormalizes = false;  // rewrites decoded text by rules of its own
};

// Throws Error(kFile), or Error(kData) for a file that is no SentencePiece model.
SentencePieceFacts read_sentencepiece_facts(const std::filesystem::path& file);

// The tokens that Megatron's SentencePieceTokenizer looks for in a text: those that are no pieces
// of the model have ids after the last piece, in this order.
struct SentencePieceToken {
  std::string text;
  int32_t id = 0;
};
std::vector<SentencePieceToken> megatron_tokens(const SentencePieceFacts& facts);

}  // namespace borealis
