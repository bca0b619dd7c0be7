#include "data/data_fingerprint.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/checksum.h"
#include "base/file.h"
#include "data/split_plan.h"

namespace borealis {
namespace {

constexpr size_t kEndBytes = size_t{64} << 10;

void add_file(const std::string& path, Checksum& sum) {
  const MappedFile file(path);
  const std::span<const std::byte> bytes = file.bytes();
  const size_t size = bytes.size();
  sum.add(std::as_bytes(std::span(&size, 1)));
  sum.add(bytes.first(std::min(size, kEndBytes)));
  sum.add(bytes.last(std::min(size, kEndBytes)));
}

}  // namespace

std::string data_fingerprint(const RunConfig& config) {
  if (config.data.mock_data) return "";
  Checksum sum;
  const auto files = open_data_files(config);
  for (const OpenedFile& file : *files) {
    for (const char* suffix : {".idx", ".bin"}) add_file(file.data.prefix() + suffix, sum);
  }
  return sum.hex().substr(0, 16);
}

}  // namespace borealis
