#include "checkpoint/checksums.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/checksum.h"
#include "base/error.h"
#include "base/file.h"
#include "checkpoint/damage.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGap = "  ";

bool is_checksum(std::string_view text) {
  return text.size() == Checksum::kHexDigits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// A path that stays in its folder, in the one spelling that we write.
bool is_inside(const std::string& name) {
  const fs::path path(name);
  if (name.empty() || name == "." || path.is_absolute()) return false;
  if (name.find('\0') != std::string::npos) return false;  // another file would be opened
  if (path.lexically_normal().string() != name) return false;
  return std::ranges::none_of(path, [](const fs::path& part) { return part == ".."; }) &&
         path.has_filename();
}

[[noreturn]] void refuse_damaged(const fs::path& path) {
  throw Error(ErrorKind::kData,
              fmt::format("{} is damaged: its content does not have the checksum in {}",
                          path.string(), kChecksumsFile),
              "use another checkpoint, or restore the file");
}

}  // namespace

std::string checksums_text(const FileChecksums& checksums) {
  std::string text;
  for (const auto& [file, checksum] : checksums) {
    text += fmt::format("{}{}{}\n", checksum, kGap, file);
  }
  return text;
}

FileChecksums parse_checksums(std::string_view text, const fs::path& path) {
  FileChecksums checksums;
  int64_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    if (end == std::string_view::npos)
      reject_checkpoint(path, fmt::format("line {} is cut off", number));
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    const std::string_view checksum = line.substr(0, Checksum::kHexDigits);
    const std::string_view rest = line.substr(checksum.size());
    const std::string file(rest.substr(0, kGap.size()) == kGap ? rest.substr(kGap.size()) : "");
    if (!is_checksum(checksum) || !is_inside(file)) {
      reject_checkpoint(path,
                        fmt::format("line {} is not a checksum and a file of the folder", number));
    }
    if (!checksums.emplace(file, checksum).second) {
      reject_checkpoint(path, fmt::format("names {} twice", file));
    }
  }
  if (checksums.empty()) reject_checkpoint(path, "names no file");
  return checksums;
}

FileChecksums read_checksums(const fs::path& folder) {
  const fs::path path = folder / kChecksumsFile;
  return parse_checksums(read_text_file(path), path);
}

std::vector<std::string> files_beneath(const fs::path& folder) {
  std::vector<std::string> files;
  std::vector<fs::path> folders = {""};
  while (!folders.empty()) {
    const fs::path below = folders.back();
    folders.pop_back();
    const fs::path here = below.empty() ? folder : folder / below;
    std::error_code code;
    for (fs::directory_iterator entry(here, code), end; !code && entry != end;
         entry.increment(code)) {
      const fs::path name = below / entry->path().filename();
      if (entry->is_directory(code) && !entry->is_symlink(code)) folders.push_back(name);
      if (entry->is_regular_file(code)) files.push_back(name.string());
    }
    if (code) throw file_error("list", here, code.value());
  }
  std::ranges::sort(files);
  return files;
}

bool needs_checksum(const std::string& file) {
  if (file.starts_with("state/")) return true;
  if (file.find('/') != std::string::npos || file == kChecksumsFile) return false;
  return file == "config.json" || file == "generation_config.json" ||
         file == "special_tokens_map.json" || file.starts_with("tokenizer") ||
         file == "vocab.json" || file == "merges.txt" ||  // GPT-2's
         file.ends_with(".safetensors") || file.ends_with(".safetensors.index.json");
}

void require_listed(const fs::path& folder, const FileChecksums& checksums,
                    const std::function<bool(const std::string&)>& wanted) {
  for (const std::string& file : files_beneath(folder)) {
    if (!needs_checksum(file) || !wanted(file) || checksums.contains(file)) continue;
    reject_checkpoint(folder / kChecksumsFile, fmt::format("has no checksum of {}", file));
  }
}

void verify_file(const fs::path& folder, const std::string& file, const std::string& checksum,
                 DirectBlocks& blocks) {
  const auto ignore = [](std::span<const std::byte>) {};
  if (read_direct(folder / file, blocks, ignore) != checksum) refuse_damaged(folder / file);
}

std::string read_verified_text(const fs::path& folder, const std::string& file,
                               const FileChecksums& checksums) {
  const auto expected = checksums.find(file);
  if (expected == checksums.end()) {
    reject_checkpoint(folder / kChecksumsFile, fmt::format("has no checksum of {}", file));
  }
  file_stamp(folder / file);  // throws for what is no regular file, and would not end
  std::string text = read_text_file(folder / file);
  Checksum checksum;
  checksum.add(std::as_bytes(std::span(text)));
  if (checksum.hex() != expected->second) refuse_damaged(folder / file);
  return text;
}

}  // namespace borealis
