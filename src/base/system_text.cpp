#include "base/system_text.h"

#include "base/error.h"
#include "base/file.h"

namespace borealis {

std::string text_or_empty(const std::filesystem::path& path) {
  try {
    return read_text_file(path);
  } catch (const Error&) {
    return "";
  }
}

}  // namespace borealis
