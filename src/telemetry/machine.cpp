#include "telemetry/machine.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>

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

struct ArmCore {
  std::string_view implementer, part, name;
};
// Those that servers have (Linux, arch/arm64/include/asm/cputype.h).
constexpr std::array<ArmCore, 7> kArmCores = {
    ArmCore{"0x41", "0xd0c", "Arm Neoverse-N1"}, {"0x41", "0xd40", "Arm Neoverse-V1"},
    {"0x41", "0xd49", "Arm Neoverse-N2"},        {"0x41", "0xd4f", "Arm Neoverse-V2"},
    {"0x41", "0xd84", "Arm Neoverse-V3"},        {"0x41", "0xd8e", "Arm Neoverse-N3"},
    {"0x46", "0x001", "Fujitsu A64FX"}};

}  // namespace

std::string cpu_model_in(std::string_view cpuinfo) {
  std::string model = value_of_line(cpuinfo, "model name");
  if (!model.empty()) return model;
  const std::string implementer = value_of_line(cpuinfo, "CPU implementer");
  const std::string part = value_of_line(cpuinfo, "CPU part");
  for (const ArmCore& core : kArmCores) {
    if (core.implementer == implementer && core.part == part) return std::string(core.name);
  }
  return implementer.empty() ? "" : fmt::format("Arm core {} of {}", part, implementer);
}

MachineInfo describe_machine() {
  MachineInfo info;
  info.cpu_model = cpu_model_in(text_or_empty("/proc/cpuinfo"));
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
