#include "base/file_pattern.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <system_error>

#include "base/error.h"

namespace borealis {
namespace {

class GlobResult {
 public:
  explicit GlobResult(const std::string& pattern)
      : code_(::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &result_)) {}
  ~GlobResult() { ::globfree(&result_); }
  GlobResult(const GlobResult&) = delete;
  GlobResult& operator=(const GlobResult&) = delete;

  int code() const { return code_; }
  std::vector<std::filesystem::path> paths() const {
    return {result_.gl_pathv, result_.gl_pathv + result_.gl_pathc};
  }

 private:
  glob_t result_ = {};
  int code_;
};

}  // namespace

std::vector<std::filesystem::path> matching_files(const std::string& pattern) {
  std::error_code unknown;
  if (pattern.find_first_of("*?[") == std::string::npos ||
      std::filesystem::exists(pattern, unknown)) {
    return {pattern};
  }
  const GlobResult found(pattern);
  if (found.code() == GLOB_NOSPACE) throw std::bad_alloc();
  if (found.code() != 0 || found.paths().empty()) {
    throw Error(ErrorKind::kFile, fmt::format("no file matches the pattern '{}'", pattern),
                "check the folder and the spelling");
  }
  std::vector<std::filesystem::path> files = found.paths();
  std::ranges::sort(files, {}, [](const std::filesystem::path& path) { return path.native(); });
  return files;
}

}  // namespace borealis
