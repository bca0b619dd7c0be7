#include "data/file_checksum.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace borealis {

Checksum checksum_of_start(const std::filesystem::path& path, int64_t bytes) {
  constexpr size_t kBlockBytes = 8 << 20;
  Checksum sum;
  const MappedFile file(path);
  const auto size = static_cast<size_t>(bytes);
  if (file.bytes().size() < size) {
    throw Error(ErrorKind::kFile, fmt::format("{} is shorter than the {} bytes that were written",
                                              path.string(), bytes));
  }
  file.advise(MappedFile::Access::kInOrder);
  for (size_t begin = 0; begin < size; begin += kBlockBytes) {
    const size_t count = std::min(kBlockBytes, size - begin);
    sum.add(file.bytes().subspan(begin, count));
    file.forget(begin, count);
  }
  return sum;
}

std::string file_checksum(const std::filesystem::path& path) {
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown)) return "";
  return checksum_of_start(path, file_stamp(path).bytes).hex();
}

}  // namespace borealis
