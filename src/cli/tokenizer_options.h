// The options that name a tokenizer on the command line of `data tokenize` and `generate`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "config/tokenizer_lookup.h"
#include "tokenizer/tokenizer.h"

namespace borealis {

struct TokenizerOptions {
  std::string model;  // --tokenizer
  std::string type = "HFTokenizer";
  std::string vocab_file;
  std::string merge_file;
  int64_t vocab_size = 0;  // of NullTokenizer

  // `help` says what --tokenizer is by default, if it has one.
  void add_to(CLI::App& app, const std::string& help);
  bool names_one() const;  // throws Error(kUsage) for an unknown type
  // Looks it up as `train` does TOKENIZER_MODEL; the result has a source. Throws Error(kUsage) if
  // nothing is named, Error(kFile) listing where it was looked for.
  TokenizerLookup find() const;
  Tokenizer open() const;  // throws as find() and open_tokenizer()
  // Where one is named that is not that of the checkpoint's folder.
  void warn_if_not_of(const std::string& folder, const Tokenizer& tokenizer) const;

 private:
  void require_known_type() const;
};

// The tokenizer of a checkpoint's folder, by its files. Throws as above.
Tokenizer open_tokenizer_of(const std::string& folder);

}  // namespace borealis
