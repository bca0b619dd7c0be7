// A data file list: one "weight prefix corpus" a line, blank lines and those that start with '#'
// aside (contract section 7.3). Or the same on the command line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "config/run_config.h"

namespace borealis {

struct DataFileEntry {
  double weight = 0;             // finite, >= 0; only the ratio to the others counts
  std::filesystem::path prefix;  // without .bin; resolved
  std::string listed_prefix;     // as it stands in the list, without .bin
  std::string corpus;            // label; empty for a prefix that stands alone
  int line = 0;                  // 1-based; 0: on the command line
  bool operator==(const DataFileEntry&) const = default;
};

// A relative prefix is looked up beside the list file, then in the working folder. Throws
// Error(kFile) if the list cannot be read, Error(kConfig) with the line number for a malformed line
// and for a list without entries or without a positive weight.
std::vector<DataFileEntry> read_data_file_list(const std::filesystem::path& path);
// The same of a list's text; `path` is for messages and relative prefixes.
std::vector<DataFileEntry> parse_data_file_list(const std::string& list,
                                                const std::filesystem::path& path);
// DATA_PATH: one prefix; or triples `weight prefix corpus`; or pairs `weight prefix`, each of which
// is a corpus of its own that is called by its prefix. Relative prefixes are looked up in the
// working folder. Throws Error(kConfig).
std::vector<DataFileEntry> parse_data_path(const std::string& words);
// Those of a run, of either kind.
std::vector<DataFileEntry> data_file_entries(const DataConfig& data);

}  // namespace borealis
