// The options that `data tokenize` and `tokenizer train` have in common: where the text comes from.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tokenizer/documents.h"

namespace borealis {

struct TextInputOptions {
  std::vector<std::string> files;
  std::string format = "auto";
  std::string json_key = "text";
  int threads = 0;
  bool json = false;

  void add_to(CLI::App& app);
  DocumentFiles open() const;
  int thread_count() const;  // 0 means every core that this process may use
};

}  // namespace borealis
