// The machine that a run was made on, for its report.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace borealis {

struct MachineInfo {
  std::string hostname;
  std::string cpu_model;         // "AMD EPYC 9B45"; "unknown" if the kernel does not say
  int64_t cores = 0;             // logical, usable by this process, or by all ranks of its host
  int64_t memory_bytes = 0;      // of the machine
  std::string operating_system;  // "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"
};

// The processor in the text of /proc/cpuinfo: its model name, or where it has none (Arm) its core
// by implementer and part, "Arm Neoverse-V2"; empty if it says neither.
std::string cpu_model_in(std::string_view cpuinfo);

// From /proc and uname; what cannot be read stays empty or 0.
MachineInfo describe_machine();

}  // namespace borealis
