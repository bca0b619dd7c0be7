// What a byte-level BPE tokenizer.json says, checked and resolved to ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

// A text that is found in the input before anything else and has an id of its own.
struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // only between characters that are no word characters
  bool lstrip = false;       // takes the white space on its left along
  bool rstrip = false;
  bool normalized = false;  // searched after those that are not
  bool special = false;     // left out when a text is decoded without special tokens
};

// One step from a text to its words. ByteLevel comes last.
struct WordStep {
  std::string pattern;            // Oniguruma; empty: no cut
  bool add_prefix_space = false;  // before the cut, unless there is one
  bool drop_gaps = false;         // what lies between two matches is left out
};

struct Merge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t result = 0;
};

struct TokenizerDefinition {
  std::vector<std::string> pieces;  // by id, in the byte-level alphabet; empty: no such id
  std::vector<Merge> merges;        // by rank
  std::vector<AddedToken> added_tokens;
  std::vector<WordStep> steps;
  std::vector<int32_t> prefix_ids;  // the post-processor's, around every text
  std::vector<int32_t> suffix_ids;
  std::optional<int32_t> unknown_id;  // for bytes that are no piece
  bool fuse_unknown = false;
  bool ignore_merges = false;              // a word that is a piece is that piece
  std::optional<std::string> end_of_text;  // eos_token of tokenizer_config.json
};

// `name` is what messages call the text. Throws Error(kData) naming the first thing that is
// malformed or not supported: models other than BPE, byte_fallback (SentencePiece's tokenizers),
// normalizers, unknown pre-tokenizers, post-processors and decoders.
TokenizerDefinition parse_tokenizer_json(std::string_view text, const std::string& name);
// Reads a tokenizer.json, or the one in a folder, and the tokenizer_config.json beside it.
TokenizerDefinition read_tokenizer(const std::filesystem::path& path);

// The text of a tokenizer.json for a definition whose only step is GPT-2's ByteLevel and that adds
// nothing around a text, as BpeTrainer makes them.
std::string tokenizer_json(const TokenizerDefinition& definition);
// And of the tokenizer_config.json beside it, for Hugging Face's AutoTokenizer.
std::string tokenizer_config_json(const TokenizerDefinition& definition);

}  // namespace borealis
