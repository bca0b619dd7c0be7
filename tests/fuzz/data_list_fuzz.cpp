// Any text as a data file list: entries, or an Error.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/error.h"
#include "data/data_file_list.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace borealis;
  try {
    const auto entries = parse_data_file_list(std::string(data, data + size), "/nowhere/list.txt");
    double sum = 0;
    for (const DataFileEntry& entry : entries) {
      CHECK(std::isfinite(entry.weight) && entry.weight >= 0 && !entry.corpus.empty());
      CHECK(entry.listed_prefix.find(".bin") == std::string::npos);
      sum += entry.weight;
    }
    CHECK(sum > 0);
  } catch (const Error&) {
  }
  return 0;
}
