// CHECK(condition[, message]): our own contracts. A violation is a bug in Borealis, not in its
// input, and ends the process with the place it was found.
#pragma once

#include <string_view>

namespace borealis {
[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               std::string_view message = {});
}  // namespace borealis

#define CHECK(condition, ...)                                                              \
  do {                                                                                     \
    if (!(condition)) [[unlikely]]                                                         \
      ::borealis::check_failed(#condition, __FILE__, __LINE__ __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)
