// A line of JSON Lines, and its text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/bad_records.h"

namespace borealis {

struct JsonLineText {
  std::optional<std::string> text;   // of a sound line, and of a mended one
  std::optional<RecordFault> fault;  // what is, or was, wrong
};

// The string under `key` of a line that is one JSON object. With `repair` a line that is not JSON
// is tried once more as repaired_json() has it. `key_remedy`: what to do about a line without it.
JsonLineText text_of_json_line(std::string_view line, const std::string& key, bool repair,
                               const std::string& key_remedy);

// What Python's json writes and its readers take, though it is not JSON, as JSON: bytes that are
// not UTF-8 and \u escapes of half a surrogate pair become U+FFFD, and NaN, Infinity and -Infinity
// become null. Anything else stays.
std::string repaired_json(std::string_view line);

}  // namespace borealis
