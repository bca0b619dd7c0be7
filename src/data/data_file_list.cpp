#include "data/data_file_list.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace borealis {
namespace {

constexpr const char* kLineShape = "a line reads: weight prefix corpus";

double parse_weight(const std::string& text, const std::string& where) {
  double weight = 0;
  const char* const begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const auto [end, code] = std::from_chars(begin, text.data() + text.size(), weight);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(weight)) {
    throw Error(ErrorKind::kConfig, fmt::format("{}: '{}' is not a weight", where, text),
                kLineShape);
  }
  if (weight < 0) {
    throw Error(ErrorKind::kConfig, fmt::format("{}: the weight {} is negative", where, text),
                "weights are zero or more");
  }
  return weight;
}

// The reference cuts at the first ".bin", wherever it stands.
std::string without_bin(const std::string& prefix) { return prefix.substr(0, prefix.find(".bin")); }

std::filesystem::path resolve_prefix(const std::string& prefix, const std::filesystem::path& list) {
  const std::filesystem::path path(prefix);
  if (path.is_absolute()) return path;
  const std::filesystem::path beside = (list.parent_path() / path).lexically_normal();
  const auto has_index = [](const std::filesystem::path& candidate) {
    std::error_code unknown;  // a name that is too long, say: whoever opens it tells
    return std::filesystem::exists(candidate.string() + ".idx", unknown);
  };
  return !has_index(beside) && has_index(path) ? path : beside;
}

DataFileEntry parse_line(const std::string& line, int number, const std::filesystem::path& list) {
  const std::string where = fmt::format("{}:{}", list.string(), number);
  std::istringstream stream(line);
  std::vector<std::string> fields;
  for (std::string field; stream >> field;) fields.push_back(field);
  if (fields.size() != 3) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}: {} field{} instead of 3", where, fields.size(),
                            fields.size() == 1 ? "" : "s"),
                kLineShape);
  }
  return {.weight = parse_weight(fields[0], where),
          .prefix = resolve_prefix(without_bin(fields[1]), list),
          .listed_prefix = without_bin(fields[1]),
          .corpus = fields[2],
          .line = number};
}

}  // namespace

std::vector<DataFileEntry> read_data_file_list(const std::filesystem::path& path) {
  return parse_data_file_list(read_text_file(path), path);
}

std::vector<DataFileEntry> parse_data_file_list(const std::string& list,
                                                const std::filesystem::path& path) {
  std::istringstream text(list);
  std::vector<DataFileEntry> entries;
  double sum = 0;
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    if (line.find_first_not_of(" \t\r\v\f") == std::string::npos) continue;
    entries.push_back(parse_line(line, number, path));
    sum += entries.back().weight;
  }
  if (entries.empty()) {
    throw Error(ErrorKind::kConfig, fmt::format("the data list {} names no file", path.string()),
                kLineShape);
  }
  if (!(sum > 0) || !std::isfinite(sum)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("the weights in the data list {} add up to {}", path.string(), sum),
                "give at least one file a positive weight");
  }
  return entries;
}

}  // namespace borealis
