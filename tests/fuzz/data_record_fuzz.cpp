// Any text as the record beside a data set: a record that comes back as it is, or an Error.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/error.h"
#include "data/data_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace borealis;
  try {
    const DataRecord record = parse_data_record(std::string(data, data + size), "fuzz");
    CHECK(parse_data_record(data_record_json(record), "fuzz") == record);
    CHECK(!describe_tokenizer(record.tokenizer).empty());
  } catch (const Error&) {
  }
  return 0;
}
