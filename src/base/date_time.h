// Dates and times as people read them.
#pragma once

#include <fmt/chrono.h>

#include <ctime>
#include <string>

namespace borealis {

// "2026-11-29 21:41:40", of this machine's time zone.
inline std::string date_time_text(std::time_t time = std::time(nullptr)) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(time));
}

}  // namespace borealis
