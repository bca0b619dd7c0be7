#include "doctor/diagnosis.h"

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <utility>

#include "base/median.h"

namespace borealis {
namespace {

constexpr double kSlowShare = 0.8;

std::string on_host(const RankProbe& probe) {
  return fmt::format("rank {} on {}", probe.rank, probe.host);
}

// Values that ranks other than the first have, each once with its ranks.
void compare(const std::vector<RankProbe>& probes, std::string RankProbe::*field, const char* name,
             std::vector<std::string>& lines) {
  std::map<std::string, std::vector<int64_t>> others;
  for (const RankProbe& probe : probes) {
    if (probe.*field != probes.front().*field) others[probe.*field].push_back(probe.rank);
  }
  const auto shown = [](const std::string& value) { return value.empty() ? "none" : value; };
  for (const auto& [value, ranks] : others) {
    lines.push_back(fmt::format("{} of rank{} {}: {}; of rank 0: {}", name,
                                ranks.size() == 1 ? "" : "s", rank_ranges(ranks), shown(value),
                                shown(probes.front().*field)));
  }
}

void find_slow(const std::vector<RankProbe>& probes, double RankProbe::*rate, const char* name,
               std::vector<std::string>& lines) {
  std::vector<double> rates;
  for (const RankProbe& probe : probes) rates.push_back(probe.*rate);
  const double middle = median(rates);
  for (const RankProbe& probe : probes) {
    if (probe.*rate >= kSlowShare * middle) continue;
    lines.push_back(fmt::format("{} is slow: its {} is {:.0f} % of the ranks' median",
                                on_host(probe), name, 100 * probe.*rate / middle));
  }
}

// Threads on cores that other ranks of the host have as well.
void find_crowds(const std::vector<RankProbe>& probes, std::vector<std::string>& lines) {
  std::map<std::pair<std::string, std::string>, std::vector<int64_t>> crowds;
  for (const RankProbe& probe : probes) {
    const int64_t threads = probe.threads * probe.core_sharers;
    if (threads <= probe.cores) continue;
    crowds[{probe.host, fmt::format("{} threads of {} rank{} share {} core{}", threads,
                                    probe.core_sharers, probe.core_sharers == 1 ? "" : "s",
                                    probe.cores, probe.cores == 1 ? "" : "s")}]
        .push_back(probe.rank);
  }
  for (const auto& [crowd, ranks] : crowds) {
    lines.push_back(fmt::format("on {} {} (ranks {}): give the launcher's binding, or --threads",
                                crowd.first, crowd.second, rank_ranges(ranks)));
  }
}

}  // namespace

Diagnosis diagnose(const std::vector<RankProbe>& probes) {
  Diagnosis diagnosis;
  compare(probes, &RankProbe::program, "program", diagnosis.faults);
  compare(probes, &RankProbe::library, "MPI library", diagnosis.faults);
  compare(probes, &RankProbe::isa, "instructions", diagnosis.faults);
  compare(probes, &RankProbe::gpu, "GPU", diagnosis.faults);
  compare(probes, &RankProbe::exchange, "exchange between GPUs", diagnosis.faults);
  std::map<std::string, std::vector<int64_t>> unread;
  for (const RankProbe& probe : probes) {
    if (!probe.data_fault.empty()) unread[probe.data_fault].push_back(probe.rank);
  }
  for (const auto& [fault, ranks] : unread) {
    diagnosis.faults.push_back(fmt::format("data of rank{} {}: {}", ranks.size() == 1 ? "" : "s",
                                           rank_ranges(ranks), fault));
  }
  if (unread.empty()) compare(probes, &RankProbe::data, "data", diagnosis.faults);
  compare(probes, &RankProbe::cpu_model, "processor", diagnosis.remarks);
  find_slow(probes, &RankProbe::gemm_flops_per_s, "GEMM rate", diagnosis.remarks);
  find_slow(probes, &RankProbe::memory_bytes_per_s, "memory bandwidth", diagnosis.remarks);
  find_crowds(probes, diagnosis.remarks);
  return diagnosis;
}

}  // namespace borealis
