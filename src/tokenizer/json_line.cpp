#include "tokenizer/json_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fault_text.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

constexpr const char* kOneObject = "every line must be one JSON object";

// The code unit of the escape \uXXXX that starts at `at`.
std::optional<uint32_t> escaped_unit(std::string_view text, size_t at) {
  constexpr size_t kLength = 6;
  if (at + kLength > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
  uint32_t unit = 0;
  const char* const end = text.data() + at + kLength;
  const auto result = std::from_chars(text.data() + at + 2, end, unit, 16);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return unit;
}

bool is_high_surrogate(uint32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool is_low_surrogate(uint32_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

// Appends what the escape at `at` stands for and returns its length.
size_t append_escape(std::string_view text, size_t at, std::string& out) {
  const auto unit = escaped_unit(text, at);
  if (!unit) {
    const std::string_view pair = text.substr(at, 2);
    out += pair;
    return pair.size();
  }
  if (!is_high_surrogate(*unit) && !is_low_surrogate(*unit)) {
    out += text.substr(at, 6);
    return 6;
  }
  const auto next = escaped_unit(text, at + 6);
  if (is_high_surrogate(*unit) && next && is_low_surrogate(*next)) {
    out += text.substr(at, 12);
    return 12;
  }
  out += "\\ufffd";
  return 6;
}

nlohmann::json parse(std::string_view line, bool repair, std::optional<RecordFault>& fault) {
  try {
    return nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception& error) {
    const bool valid = is_valid_utf8(line);
    const std::string text = fault_text(error);
    const size_t place = text.find(" at ");
    fault = RecordFault{.problem = !valid ? "not JSON: it holds bytes that are not UTF-8"
                                   : place == text.npos ? "not JSON"
                                                        : "not JSON" + text.substr(place),
                        .remedy = kOneObject,
                        .invalid_utf8 = !valid};
  }
  if (!repair) return nlohmann::json(nlohmann::json::value_t::discarded);
  return nlohmann::json::parse(repaired_json(line), nullptr, false);
}

}  // namespace

std::string repaired_json(std::string_view line) {
  constexpr std::array<std::string_view, 3> kNoNumbers = {"NaN", "Infinity", "-Infinity"};
  const std::string text = replace_invalid_utf8(line);
  const std::string_view view = text;
  std::string out;
  bool in_string = false;
  for (size_t at = 0; at < text.size();) {
    if (in_string && text[at] == '\\') {
      at += append_escape(view, at, out);
      continue;
    }
    if (text[at] == '"') in_string = !in_string;
    size_t length = 0;
    for (const std::string_view word : kNoNumbers) {
      if (!in_string && view.substr(at).starts_with(word)) length = word.size();
    }
    if (length > 0) {
      out += "null";
    } else {
      out += text[at];
    }
    at += std::max<size_t>(length, 1);
  }
  return out;
}

JsonLineText text_of_json_line(std::string_view line, const std::string& key, bool repair,
                               const std::string& key_remedy) {
  JsonLineText result;
  const auto refused = [&](const std::string& problem, const std::string& remedy) {
    const bool invalid_utf8 = result.fault && result.fault->invalid_utf8;
    result.fault = RecordFault{problem, remedy, invalid_utf8};
    return result;
  };
  nlohmann::json document = parse(line, repair, result.fault);
  if (document.is_discarded()) return result;
  if (!document.is_object()) return refused("not a JSON object", kOneObject);
  const auto value = document.find(key);
  if (value == document.end()) return refused(fmt::format("no key \"{}\"", key), key_remedy);
  if (!value->is_string()) {
    return refused(fmt::format("the value of \"{}\" is not a string", key), key_remedy);
  }
  result.text = std::move(value->get_ref<std::string&>());
  return result;
}

}  // namespace borealis
