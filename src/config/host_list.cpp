#include "config/host_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace borealis {
namespace {

// More hosts than any machine has: what asks for more is a mistake.
constexpr size_t kMostHosts = 1'000'000;

std::optional<int64_t> count_of(std::string_view text) {
  const std::optional<int64_t> number = whole_number(text);
  return number && *number >= 0 ? number : std::nullopt;
}

// One line of a host file without its comment; none: it is no host.
std::optional<ListedHost> listed_host(const std::string& line) {
  std::istringstream words(line);
  ListedHost host;
  words >> host.name;
  const size_t colon = host.name.find(':');
  // Two colons are an address of IPv6.
  if (colon != std::string::npos && host.name.find(':', colon + 1) == std::string::npos) {
    const auto slots = count_of(std::string_view(host.name).substr(colon + 1));
    if (!slots || *slots == 0) return std::nullopt;
    host.slots = *slots;
    host.name.resize(colon);
  }
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) return std::nullopt;
    if (word.substr(0, equals) != "slots") continue;  // "max_slots=", "port=" of Open MPI
    const auto slots = count_of(std::string_view(word).substr(equals + 1));
    if (!slots || *slots == 0) return std::nullopt;
    host.slots = *slots;
  }
  const bool is_name = !host.name.empty() && host.name.find_first_of("=,/^") == std::string::npos;
  return is_name ? std::optional(host) : std::nullopt;
}

[[noreturn]] void refuse(std::string_view list) {
  throw Error(ErrorKind::kConfig, fmt::format("{} is no list of hosts as Slurm writes them", list),
              "unset it where this is no job of Slurm");
}

// "001-003,7" of one bracket.
std::vector<std::string> expand_numbers(std::string_view group, std::string_view list) {
  std::vector<std::string> all;
  std::istringstream parts{std::string(group)};
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t dash = part.find('-');
    const std::string first = part.substr(0, dash);
    const std::string last = dash == std::string::npos ? first : part.substr(dash + 1);
    const auto from = count_of(first), to = count_of(last);
    if (!from || !to || *to < *from || static_cast<size_t>(*to - *from) >= kMostHosts) refuse(list);
    for (int64_t i = *from; i <= *to; ++i) all.push_back(fmt::format("{:0{}}", i, first.size()));
  }
  if (all.empty()) refuse(list);
  return all;
}

// An entry without commas outside of its brackets.
std::vector<std::string> expand_entry(std::string_view entry, std::string_view list) {
  const size_t open = entry.find('[');
  if (open == std::string_view::npos) {
    if (entry.empty() || entry.find(']') != std::string_view::npos) refuse(list);
    return {std::string(entry)};
  }
  const size_t close = entry.find(']', open);
  if (close == std::string_view::npos) refuse(list);
  const std::vector<std::string> numbers =
      expand_numbers(entry.substr(open + 1, close - open - 1), list);
  const std::string_view behind = entry.substr(close + 1);
  const std::vector<std::string> ends =
      behind.empty() ? std::vector<std::string>{""} : expand_entry(behind, list);
  if (numbers.size() * ends.size() > kMostHosts) refuse(list);
  std::vector<std::string> all;
  for (const std::string& number : numbers) {
    for (const std::string& end : ends) {
      all.push_back(fmt::format("{}{}{}", entry.substr(0, open), number, end));
    }
  }
  return all;
}

}  // namespace

std::vector<ListedHost> read_host_file(const std::filesystem::path& path) {
  std::vector<ListedHost> hosts;
  std::istringstream lines(read_text_file(path));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);  // a byte order mark
    line.resize(std::min(line.size(), line.find('#')));
    if (trimmed(line).empty()) continue;
    const std::optional<ListedHost> listed = listed_host(line);
    if (!listed) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("{}, line {}: \"{}\" is no host", path.string(), number,
                              clean_utf8(trimmed(line).substr(0, 60))),
                  "a line is a name, \"name slots=4\" or \"name:4\"");
    }
    const auto known = std::ranges::find(hosts, listed->name, &ListedHost::name);
    if (known == hosts.end()) {
      hosts.push_back(*listed);
    } else {
      known->slots = std::max<int64_t>(1, known->slots) + std::max<int64_t>(1, listed->slots);
    }
  }
  if (hosts.empty()) {
    throw Error(ErrorKind::kConfig, fmt::format("{} lists no host", path.string()),
                "write a name a line, or unset the variable");
  }
  return hosts;
}

std::vector<std::string> expand_slurm_hosts(std::string_view list) {
  std::vector<std::string> hosts;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= list.size(); ++i) {
    const char c = i < list.size() ? list[i] : ',';
    if (c == '[') ++depth;
    if (c == ']') --depth;
    if (c != ',' || (depth > 0 && i < list.size())) continue;
    for (std::string& host : expand_entry(list.substr(begin, i - begin), list)) {
      hosts.push_back(std::move(host));
    }
    if (hosts.size() > kMostHosts) refuse(list);
    begin = i + 1;
  }
  return hosts;
}

std::vector<int64_t> expand_slurm_counts(std::string_view counts) {
  std::vector<int64_t> all;
  std::istringstream parts{std::string(counts)};
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t times_at = part.find("(x");
    const auto count = count_of(part.substr(0, times_at));
    std::optional<int64_t> times = 1;
    if (times_at != std::string::npos) {
      times = part.back() == ')' ? count_of(part.substr(times_at + 2, part.size() - times_at - 3))
                                 : std::nullopt;
    }
    if (!count || !times || all.size() + static_cast<size_t>(*times) > kMostHosts) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("{} is no list of counts as Slurm writes them", counts),
                  "unset it where this is no job of Slurm");
    }
    all.insert(all.end(), static_cast<size_t>(*times), *count);
  }
  return all;
}

}  // namespace borealis
