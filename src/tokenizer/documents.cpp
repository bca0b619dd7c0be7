#include "tokenizer/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

constexpr size_t kSliceBytes = 1 << 20;

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

bool looks_like_json_lines(const std::filesystem::path& path) {
  constexpr std::array kEndings = {".jsonl", ".ndjson", ".json"};
  return std::ranges::find(kEndings, path.extension().string()) != kEndings.end();
}

void refuse_compressed(const std::filesystem::path& path, std::string_view text) {
  const bool gzip = text.starts_with("\x1f\x8b");
  const bool zstd = text.starts_with("\x28\xb5\x2f\xfd");
  if (!gzip && !zstd) return;
  throw Error(ErrorKind::kFile,
              fmt::format("{} is compressed with {}", path.string(), gzip ? "gzip" : "zstd"),
              fmt::format("unpack it first: {} -d -k {}", gzip ? "gzip" : "zstd", path.string()));
}

}  // namespace

DocumentFiles::DocumentFiles(std::vector<std::filesystem::path> files, TextFormat format,
                             std::string json_key)
    : files_(std::move(files)), json_key_(std::move(json_key)) {
  for (size_t file = 0; file < files_.size(); ++file) add_file(file, format);
}

void DocumentFiles::add_file(size_t file, TextFormat format) {
  const std::filesystem::path& path = files_[file];
  const MappedFile mapped(path);
  refuse_compressed(path, text_of(mapped));
  const size_t size = mapped.bytes().size();
  total_bytes_ += static_cast<int64_t>(size);
  const bool json_lines = format == TextFormat::kJsonLines ||
                          (format == TextFormat::kAuto && looks_like_json_lines(path));
  if (!json_lines) {
    slices_.push_back({file, 0, size, false});
    return;
  }
  for (size_t begin = 0; begin < size; begin += kSliceBytes) {
    slices_.push_back({file, begin, std::min(size, begin + kSliceBytes), true});
  }
}

int64_t DocumentFiles::slice_bytes(int64_t slice) const {
  const Slice& part = slices_[static_cast<size_t>(slice)];
  return static_cast<int64_t>(part.end - part.begin);
}

void DocumentFiles::read_slice(int64_t slice,
                               const std::function<void(std::string_view)>& visit) const {
  const Slice& part = slices_[static_cast<size_t>(slice)];
  const MappedFile mapped(files_[part.file]);
  const std::string_view text = text_of(mapped);
  if (part.json_lines) {
    read_lines(part, text, visit);
  } else if (!text.empty()) {
    visit(text);
  }
}

void DocumentFiles::read_lines(const Slice& slice, std::string_view text,
                               const std::function<void(std::string_view)>& visit) const {
  size_t begin = slice.begin;
  if (begin > 0) {
    // The line that began before this slice belongs to the one before.
    const size_t end_of_line = text.find('\n', begin - 1);
    begin = end_of_line == std::string_view::npos ? text.size() : end_of_line + 1;
  }
  while (begin < std::min(slice.end, text.size())) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      visit(text_of_line(slice, text, line));
    }
    begin = end + 1;
  }
}

std::string DocumentFiles::text_of_line(const Slice& slice, std::string_view text,
                                        std::string_view line) const {
  const auto refuse = [&](const std::string& problem, const std::string& remedy) {
    const auto before = text.substr(0, static_cast<size_t>(line.data() - text.data()));
    const auto number = 1 + std::ranges::count(before, '\n');
    throw Error(ErrorKind::kData,
                fmt::format("{}:{}: {}", files_[slice.file].string(), number, problem), remedy);
  };
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception& error) {
    // The library's message quotes the line, which may not be UTF-8.
    refuse(replace_invalid_utf8(fmt::format("not JSON: {}", error.what())),
           "every line must be one JSON object; for plain text use --format text");
  }
  if (!document.is_object()) refuse("not a JSON object", "every line must be one JSON object");
  const auto value = document.find(json_key_);
  if (value == document.end()) {
    refuse(fmt::format("no key \"{}\"", json_key_), "name the key of the text with --json-key");
  }
  if (!value->is_string()) {
    refuse(fmt::format("the value of \"{}\" is not a string", json_key_),
           "name the key of the text with --json-key");
  }
  return value->get<std::string>();
}

}  // namespace borealis
