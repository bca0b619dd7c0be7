// Finds the list of data sets that DATA_FILE_LIST names.
#pragma once

#include <string>
#include <vector>

namespace borealis {

struct DataListLookup {
  std::string path;                // empty where it was not found
  bool without_machine = false;    // found as <dir>/<file>, not as <dir>/<machine>/<file>
  std::vector<std::string> tried;  // every path that was looked at
  // The first of them that is there but is no file: "data is a folder"; empty: none is.
  std::string unusable = {};
};

// Tries `list` from the working directory, then from `home` (may be empty); then, if it has the
// form <dir>/<machine>/<file>, the same with <dir>/<file>: lists are kept by machine, and this
// machine may have none of its own.
DataListLookup find_data_list(const std::string& list, const std::string& home);

}  // namespace borealis
