// Numbers as people read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace borealis {

inline constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
inline constexpr double kMiB = 1024.0 * 1024.0;

std::string format_bytes(int64_t bytes);      // "1.98 GiB", "12.0 MiB", "512 B"
std::string format_count(int64_t count);      // "1 975 544 832": groups of three
std::string format_duration(double seconds);  // "4.2 s", "3 min 10 s", "2 h 05 min"
// "20GiB", "20GB", "512M", "1e9", "123": bytes; nullopt if it is none of these, or a part of a
// byte.
std::optional<int64_t> parse_bytes(std::string_view text);

}  // namespace borealis
