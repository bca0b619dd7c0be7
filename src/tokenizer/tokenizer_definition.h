// What a BPE tokenizer.json says, checked and resolved to ids. A text goes through added tokens,
// normalizer, pre-tokenizer and model; ids come back through the decoder.
#pragma once

#include <cstddef>
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
  bool normalized = false;  // searched after those that are not, in normalized text
  bool special = false;     // left out when a text is decoded without special tokens
};

struct NormalizerStep {
  enum class Kind { kReplace, kReplaceRegex, kPrepend, kNfc, kNfd, kNfkc, kNfkd };
  Kind kind = Kind::kReplace;
  std::string pattern;  // kReplace: the text; kReplaceRegex: Oniguruma
  std::string content;  // what replaces it, or is put before a text that is not empty
};

// What becomes of a match of a pre-tokenizer's pattern.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

// One step from a text to its words, in this order: spaces are replaced, a prefix is put before the
// text, and it is cut.
struct WordStep {
  enum class Prefix { kNever, kAlways, kFirst };  // kFirst: only where the whole text begins
  std::string space;                              // in place of every ' '; empty: stays
  std::string prefix;                             // unless the text begins with it
  Prefix prefix_scheme = Prefix::kNever;
  std::string pattern;   // Oniguruma; empty: no cut
  bool literal = false;  // the pattern is the text that matches
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  // the gaps between matches are the matches
};

struct DecoderStep {
  enum class Kind {
    kByteLevel,     // all tokens together, from GPT-2's alphabet to UTF-8
    kReplace,       // in each token
    kByteFallback,  // runs of byte tokens become their characters
    kFuse,          // all tokens become one
    kStrip,         // up to so many of a character at either end of each token
    kMetaspace,     // in each token; in the first the character becomes nothing if strip_first
  };
  Kind kind = Kind::kByteLevel;
  std::string pattern;  // kReplace; kStrip and kMetaspace: the character
  std::string content;  // kReplace
  size_t strip_left = 0;
  size_t strip_right = 0;
  bool strip_first = false;
};

struct Merge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t result = 0;
};

struct TokenizerDefinition {
  std::vector<std::string> pieces;  // by id, as the file spells them; empty: no such id
  std::vector<Merge> merges;        // by rank
  std::vector<AddedToken> added_tokens;
  std::vector<int32_t> added_only_ids;  // of added tokens that are no pieces of the model
  std::vector<NormalizerStep> normalizer;
  std::vector<WordStep> steps;
  std::vector<DecoderStep> decoder = {{}};  // empty: tokens are joined with spaces
  std::vector<int32_t> prefix_ids;          // the post-processor's, around every text
  std::vector<int32_t> suffix_ids;
  bool byte_level = true;             // words are bytes, in GPT-2's alphabet; else characters
  bool byte_fallback = false;         // characters that are no piece become byte tokens
  std::optional<int32_t> unknown_id;  // for what is no piece then
  bool fuse_unknown = false;
  bool ignore_merges = false;              // a word that is a piece is that piece
  std::optional<std::string> end_of_text;  // eos_token of tokenizer_config.json
};

// `name` is what messages call the text. Throws Error(kData) naming the first thing that is
// malformed or not supported.
TokenizerDefinition parse_tokenizer_json(std::string_view text, const std::string& name);
// Reads a tokenizer.json, or the one in a folder, and the tokenizer_config.json beside it.
TokenizerDefinition read_tokenizer(const std::filesystem::path& path);

// The text of a tokenizer.json for a definition whose only step is GPT-2's ByteLevel and that adds
// nothing around a text, as BpeTrainer makes them.
std::string tokenizer_json(const TokenizerDefinition& definition);
// And of the tokenizer_config.json beside it, for Hugging Face's AutoTokenizer.
std::string tokenizer_config_json(const TokenizerDefinition& definition);

}  // namespace borealis
