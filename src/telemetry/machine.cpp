#include "telemetry/machine.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <optional>
#include <string_view>

#include "base/process.h"
#include "base/system_text.h"

namespace borealis {
namespace {

// Text after `name` and its separators on the first line that starts with it.
std::string value_of_line(std::string_view text, std::string_view name) {
  for (size_t start = 0; start < text.size();) {
    size_t end = text.find('\n', start);
    if (end == std::string_view::npos) end = text.size();
    std::string_view line = text.substr(start, end - start);
    start = end + 1;
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    const size_t value = line.find_first_not_of(" \t:=\"");
    if (value == std::string_view::npos) return "";
    line.remove_prefix(value);
    return std::string(line.substr(0, line.find_last_not_of(" \t\"") + 1));
  }
  return "";
}

}  // namespace

MachineInfo describe_machine() {
  MachineInfo info;
  info.cpu_model = value_of_line(text_or_empty("/proc/cpuinfo"), "model name");
  if (info.cpu_model.empty()) info.cpu_model = "unknown";
  info.cores = usable_cores();
  info.memory_bytes = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  info.operating_system = value_of_line(text_or_empty("/etc/os-release"), "PRETTY_NAME");
  utsname name{};
  if (::uname(&name) == 0) {
    info.hostname = name.nodename;
    if (!info.operating_system.empty()) info.operating_system += ", ";
    info.operating_system += fmt::format("{} {}, {}", name.sysname, name.release, name.machine);
  }
  return info;
}

}  // namespace borealis
