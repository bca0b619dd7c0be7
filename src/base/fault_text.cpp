#include "base/fault_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"

namespace borealis {
namespace {

using Json = nlohmann::json;

// What stands between two marks of the text; empty if it has not both.
std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
  const size_t begin = text.find(before);
  if (begin == std::string_view::npos) return "";
  text.remove_prefix(begin + before.size());
  const size_t end = text.find(after);
  return end == std::string_view::npos ? "" : text.substr(0, end);
}

// The library's numbers are documented and kept from version to version; its sentences are read
// only for what they quote, and a quotation that is not found is left out.
std::string json_fault_text(const Json::exception& fault) {
  constexpr int kKeyMissing = 403, kNumberTooLarge = 406, kTypeIsOther = 302, kHasNoKeys = 304;
  const std::string_view text = fault.what();
  if (dynamic_cast<const Json::parse_error*>(&fault) != nullptr) {
    std::string_view place = between(text, "parse error at ", ":");
    constexpr std::string_view kFirstLine = "line 1, ";  // the only one of a record a line
    if (place.starts_with(kFirstLine)) place.remove_prefix(kFirstLine.size());
    return place.empty() ? "it is not valid JSON"
                         : fmt::format("it is not valid JSON at {}", place);
  }
  switch (fault.id) {
    case kKeyMissing: {
      const std::string_view key = between(text, "key '", "' not found");
      return key.empty() ? "it lacks a key" : fmt::format("it lacks \"{}\"", key);
    }
    case kTypeIsOther: {
      const std::string_view wanted = between(text, "type must be ", ", but is ");
      const size_t found = text.rfind("but is ");
      if (wanted.empty() || found == std::string_view::npos) break;
      return fmt::format("it has a value of type {} where {} is expected", text.substr(found + 7),
                         wanted);
    }
    case kHasNoKeys:
      return "it has a plain value where an object is expected";
    case kNumberTooLarge:
      return "it has a number that is too large";
    default:
      break;
  }
  return "it has a value of another kind than is expected";
}

}  // namespace

std::string fault_text(const std::exception& fault) {
  if (const auto* json = dynamic_cast<const Json::exception*>(&fault))
    return json_fault_text(*json);
  std::string_view text = fault.what();
  if (const auto* error = dynamic_cast<const Error*>(&fault)) {
    text.remove_prefix(error_kind_name(error->kind()).size() + 2);  // "file: "
  }
  return std::string(text);
}

}  // namespace borealis
