#include "data/data_file_list.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace borealis {
namespace {

constexpr const char* kLineShape =
    "a line reads: weight prefix corpus, without white space in any of them";

std::optional<double> number_of(const std::string& text) {
  double number = 0;
  const char* const begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const auto [end, code] = std::from_chars(begin, text.data() + text.size(), number);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

double parse_weight(const std::string& text, const std::string& where) {
  const auto number = number_of(text);
  if (!number) {
    throw Error(ErrorKind::kConfig, fmt::format("{}: '{}' is not a weight", where, text),
                kLineShape);
  }
  const double weight = *number;
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

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

DataFileEntry parse_line(const std::string& line, int number, const std::filesystem::path& list) {
  const std::string where = fmt::format("{}:{}", list.string(), number);
  const std::vector<std::string> fields = words_of(line);
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

void require_weight(const std::vector<DataFileEntry>& entries, const std::string& where) {
  double sum = 0;
  for (const DataFileEntry& entry : entries) sum += entry.weight;
  if (sum > 0 && std::isfinite(sum)) return;
  throw Error(ErrorKind::kConfig, fmt::format("the weights in {} add up to {}", where, sum),
              "give at least one file a positive weight");
}

// Whether every step-th of the words is a number, from the first on.
bool has_weights(const std::vector<std::string>& words, size_t step) {
  if (words.size() % step != 0) return false;
  for (size_t i = 0; i < words.size(); i += step) {
    if (!number_of(words[i])) return false;
  }
  return true;
}

}  // namespace

std::vector<DataFileEntry> read_data_file_list(const std::filesystem::path& path) {
  return parse_data_file_list(read_text_file(path), path);
}

std::vector<DataFileEntry> parse_data_file_list(const std::string& list,
                                                const std::filesystem::path& path) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  std::istringstream text(list.starts_with(kByteOrderMark) ? list.substr(kByteOrderMark.size())
                                                           : list);
  std::vector<DataFileEntry> entries;
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    const size_t first = line.find_first_not_of(" \t\r\v\f");
    if (first == std::string::npos || line[first] == '#') continue;
    entries.push_back(parse_line(line, number, path));
  }
  if (entries.empty()) {
    throw Error(ErrorKind::kConfig, fmt::format("the data list {} names no file", path.string()),
                kLineShape);
  }
  require_weight(entries, fmt::format("the data list {}", path.string()));
  return entries;
}

std::vector<DataFileEntry> parse_data_path(const std::string& words) {
  const std::vector<std::string> fields = words_of(words);
  const auto entry = [](double weight, const std::string& prefix, const std::string& corpus) {
    const std::string name = without_bin(prefix);
    return DataFileEntry{
        .weight = weight, .prefix = name, .listed_prefix = name, .corpus = corpus, .line = 0};
  };
  if (fields.size() == 1) return {entry(1, fields[0], "")};
  std::error_code unknown;  // one prefix with white space in it
  if (std::filesystem::exists(without_bin(words) + ".idx", unknown)) return {entry(1, words, "")};
  const size_t step = has_weights(fields, 3) ? 3 : 2;
  if (!has_weights(fields, step)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("DATA_PATH='{}' has no weight in front of every prefix", words),
                "give one prefix alone, or `weight prefix` or `weight prefix corpus` of each data "
                "set: 1 data/a 1 data/b");
  }
  std::vector<DataFileEntry> entries;
  for (size_t i = 0; i < fields.size(); i += step) {
    entries.push_back(entry(parse_weight(fields[i], "DATA_PATH"), fields[i + 1],
                            step == 3 ? fields[i + 2] : without_bin(fields[i + 1])));
  }
  require_weight(entries, "DATA_PATH");
  return entries;
}

std::vector<DataFileEntry> data_file_entries(const DataConfig& data) {
  return data.data_path.empty() ? read_data_file_list(data.data_file_list)
                                : parse_data_path(data.data_path);
}

}  // namespace borealis
