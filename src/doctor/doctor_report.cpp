#include "doctor/doctor_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/json_excerpt.h"
#include "base/median.h"
#include "base/units.h"

namespace borealis {
namespace {

// Consecutive ranks of one host.
struct HostRanks {
  std::string host;
  std::vector<const RankProbe*> probes;
};

std::vector<HostRanks> by_host(const std::vector<RankProbe>& probes) {
  std::vector<HostRanks> hosts;
  for (const RankProbe& probe : probes) {
    auto at = std::ranges::find(hosts, probe.host, &HostRanks::host);
    if (at == hosts.end()) at = hosts.insert(hosts.end(), {probe.host, {}});
    at->probes.push_back(&probe);
  }
  return hosts;
}

// "0.61 (0.58 to 0.62)" of a rate that is divided by `unit`.
std::string spread(const std::vector<const RankProbe*>& probes, double RankProbe::*rate,
                   double unit) {
  std::vector<double> rates;
  for (const RankProbe* probe : probes) rates.push_back(probe->*rate / unit);
  const auto [least, most] = std::ranges::minmax(rates);
  if (most == 0) return "no room to measure";
  if (rates.size() == 1) return fmt::format("{:.3g}", most);
  return fmt::format("{:.3g} ({:.3g} to {:.3g})", median(rates), least, most);
}

std::string seconds_text(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.1f} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.2f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

std::string hosts_table(const DoctorReport& report) {
  std::string text =
      fmt::format("{:<20} {:>12} {:>14} {:>12}  {:<26} {}\n", "host", "ranks", "threads/cores",
                  "free memory", "GEMM TFLOP/s a rank", "memory GB/s a rank");
  for (const HostRanks& host : by_host(report.ranks)) {
    std::vector<int64_t> ranks;
    for (const RankProbe* probe : host.probes) ranks.push_back(probe->rank);
    const RankProbe& first = *host.probes.front();
    const std::string cores =
        fmt::format("{}/{}{}", first.threads, first.cores, first.core_sharers > 1 ? " shared" : "");
    text += fmt::format(
        "{:<20} {:>12} {:>14} {:>12}  {:<26} {}\n", host.host, rank_ranges(ranks), cores,
        format_bytes(first.gpu.empty() ? first.available_bytes : first.gpu_free_bytes),
        spread(host.probes, &RankProbe::gemm_flops_per_s, 1e12),
        spread(host.probes, &RankProbe::memory_bytes_per_s, 1e9));
  }
  return text;
}

std::string sums_table(const DoctorReport& report) {
  if (report.sums.empty()) return "";
  std::string text = fmt::format(
      "\nsums of f32 over all ranks{}; a barrier takes {}\n{:>10} {:>12} "
      "{:>12}\n",
      report.sums_between_gpus ? ", between their GPUs" : "", seconds_text(report.barrier_s),
      "size", "time", "bus GB/s");
  for (const AllReduceRate& sum : report.sums) {
    text += fmt::format("{:>10} {:>12} {:>12.2f}\n", format_bytes(sum.bytes),
                        seconds_text(sum.seconds), sum.bus_bytes_per_s * 1e-9);
  }
  return text;
}

}  // namespace

std::string doctor_text(const DoctorReport& report) {
  const RankProbe& first = report.ranks.front();
  const auto hosts = std::ssize(by_host(report.ranks));
  std::string text = fmt::format(
      "borealis {}, {}\n{} rank{} on {} host{}, together after {:.1f} s\n{}; {}\n{}data: {}\n\n",
      first.program, first.library.empty() ? "without MPI" : first.library, report.ranks.size(),
      report.ranks.size() == 1 ? "" : "s", hosts, hosts == 1 ? "" : "s", report.start_s,
      first.cpu_model, first.isa,
      first.gpu.empty()
          ? ""
          : fmt::format("computing on {}, whose memory and rates these are\n", first.gpu),
      first.data.empty() ? "none at hand (DATA_FILE_LIST)" : first.data);
  text += hosts_table(report) + sums_table(report) + "\n";
  for (const std::string& fault : report.diagnosis.faults) text += "FAULT   " + fault + "\n";
  for (const std::string& remark : report.diagnosis.remarks) text += "remark  " + remark + "\n";
  if (report.diagnosis.faults.empty()) {
    text += report.diagnosis.remarks.empty() ? "all is well\n" : "nothing stands in a run's way\n";
  }
  return text;
}

std::string doctor_json(const DoctorReport& report) {
  using Json = nlohmann::ordered_json;
  Json ranks = Json::array(), sums = Json::array();
  for (const RankProbe& probe : report.ranks) ranks.push_back(rank_probe_json(probe));
  for (const AllReduceRate& sum : report.sums) {
    sums.push_back(
        {{"bytes", sum.bytes}, {"seconds", sum.seconds}, {"bus_bytes_per_s", sum.bus_bytes_per_s}});
  }
  const Json document = {{"ranks", ranks},
                         {"start_s", report.start_s},
                         {"barrier_s", report.barrier_s},
                         {"all_reduce_f32", sums},
                         {"all_reduce_between_gpus", report.sums_between_gpus},
                         {"faults", report.diagnosis.faults},
                         {"remarks", report.diagnosis.remarks}};
  return json_text(document, 2) + "\n";
}

}  // namespace borealis
