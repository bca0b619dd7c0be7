// Byte-level BPE tokenizers in Hugging Face's tokenizer.json form (Sennrich et al. 2016; Radford et
// al. 2019): GPT-2, Llama 3, SmolLM and those that `borealis tokenizer train` writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

class Tokenizer {
 public:
  // `path`: a tokenizer.json or the folder that holds one. Throws Error(kFile), or Error(kData)
  // that names what is corrupt or what this program does not support (SentencePiece-like models).
  explicit Tokenizer(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Ids of a text. Added tokens in it ("<|endoftext|>") become their ids; bytes that are not UTF-8
  // become U+FFFD. Safe to call from several threads.
  std::vector<int32_t> encode(std::string_view text) const;
  // The same with what the file's template puts before and after a text (a bos token, say).
  std::vector<int32_t> encode_document(std::string_view text) const;

  // Bytes of the tokens, one after the other; not always whole UTF-8 characters. Unknown ids are
  // "".
  std::string token_bytes(int32_t id) const;
  std::string decode(std::span<const int32_t> ids) const;  // special tokens left out

  int64_t vocab_size() const;  // base vocabulary; ids of added tokens may lie beyond it
  int64_t largest_id() const;
  std::optional<int32_t> end_of_text() const;  // eos of tokenizer_config.json, else the usual names

 private:
  struct Model;
  std::unique_ptr<Model> model_;
};

// Decodes a stream token by token and gives out only whole characters.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  std::string add(int32_t id);
  std::string finish();  // what was held back, made valid

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
};

}  // namespace borealis
