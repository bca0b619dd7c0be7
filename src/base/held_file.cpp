#include "base/held_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file.h"

namespace borealis {

HeldFile::HeldFile(const std::filesystem::path& path) {
  file_stamp(path);  // throws for what is no regular file, and might wait for a writer
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) throw file_error("open", path, errno);
}

HeldFile::~HeldFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::filesystem::path HeldFile::path() const {
  return fmt::format("/proc/self/fd/{}", descriptor_);
}

}  // namespace borealis
