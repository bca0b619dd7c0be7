// Any text as a checkpoint's checksums: files of its folder, which come back from what we write of
// them, or an Error. And as the name of a piece of the state.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/checksum.h"
#include "base/error.h"
#include "checkpoint/checksums.h"
#include "checkpoint/state_pieces.h"

namespace borealis {
namespace {

void read(std::string_view text) {
  try {
    const FileChecksums checksums = parse_checksums(text, "checksums.xxh128");
    CHECK(!checksums.empty());
    for (const auto& [file, checksum] : checksums) {
      CHECK(checksum.size() == Checksum::kHexDigits);
      CHECK(file.find('\0') == std::string::npos, "another file would be opened");
      const std::string inside = (std::filesystem::path("/a") / file).lexically_normal().string();
      CHECK(inside.starts_with("/a/") && inside.size() > 3);
    }
    CHECK(parse_checksums(checksums_text(checksums), "checksums.xxh128") == checksums);
  } catch (const Error&) {
  }
}

void read_name(std::string_view name) {
  if (const auto piece = parse_piece_name(name)) {
    CHECK(piece->begin >= 0);
    const auto again = parse_piece_name(piece_name(piece->kind, piece->tensor, piece->begin));
    CHECK(again && again->kind == piece->kind && again->tensor == piece->tensor);
    CHECK(again->begin == piece->begin);
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  borealis::read(text);
  borealis::read_name(text);
  return 0;
}
