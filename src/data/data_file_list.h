// A data file list: one "weight prefix corpus" a line, blank lines aside (contract section 7.3).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace borealis {

struct DataFileEntry {
  double weight = 0;             // finite, >= 0; only the ratio to the others counts
  std::filesystem::path prefix;  // without .bin; resolved
  std::string listed_prefix;     // as it stands in the list, without .bin
  std::string corpus;            // label
  int line = 0;                  // 1-based
};

// A relative prefix is looked up beside the list file, then in the working folder. Throws
// Error(kFile) if the list cannot be read, Error(kConfig) with the line number for a malformed line
// and for a list without entries or without a positive weight.
std::vector<DataFileEntry> read_data_file_list(const std::filesystem::path& path);
// The same of a list's text; `path` is for messages and relative prefixes.
std::vector<DataFileEntry> parse_data_file_list(const std::string& list,
                                                const std::filesystem::path& path);

}  // namespace borealis
