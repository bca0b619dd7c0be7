// The options of the commands that read text: where it comes from.
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
  std::string document_per = "file";
  std::string on_bad_record = "fail";
  std::string max_document_bytes = "1GiB";
  int threads = 0;
  bool json = false;

  void add_to(CLI::App& app);         // all of them, with --input for the files
  void add_format_to(CLI::App& app);  // what the files hold
  void add_run_to(CLI::App& app);     // threads, json
  DocumentFiles open() const;
  static void report(const BadRecordCounts& bad);  // a warning with the totals, if there are any
  int thread_count() const;                        // 0 means every core that this process may use
};

}  // namespace borealis
