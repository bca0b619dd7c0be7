#include "planner/measured_links.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fault_text.h"

namespace borealis {
namespace {

[[noreturn]] void reject(const std::string& file, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{} {}", file, problem),
              "make it by `borealis launch doctor --json` on two or more ranks");
}

struct Link {
  double bytes_per_s = 0;
  double latency_s = 0;
};

// Of `members` that exchanged these sums over it: 2 (m-1) (S / m / b + l).
Link link_of(const std::vector<MeasuredSum>& sums, int64_t members) {
  const MeasuredSum &least = sums.front(), &most = sums.back();
  const auto m = static_cast<double>(members);
  const double passes = 2 * (m - 1);
  Link link{.bytes_per_s = passes / m * most.bytes / most.seconds, .latency_s = 0};
  link.latency_s = std::max(0.0, least.seconds / passes - least.bytes / m / link.bytes_per_s);
  return link;
}

}  // namespace

MeasuredLinks parse_measured_links(const std::string& text, const std::string& file) {
  MeasuredLinks links{.file = file, .hosts = 1, .ranks_per_host = 1, .sums = {}};
  std::map<std::string, int64_t> ranks_of_host;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    for (const nlohmann::json& rank : json.at("ranks")) ++ranks_of_host[rank.at("host")];
    for (const nlohmann::json& sum : json.at("all_reduce_f32")) {
      links.sums.push_back({.bytes = sum.at("bytes"), .seconds = sum.at("seconds")});
    }
  } catch (const nlohmann::json::exception& fault) {
    reject(file, fmt::format("is not what doctor prints ({})", fault_text(fault)));
  }
  if (ranks_of_host.empty() || links.sums.empty()) reject(file, "has no sums over several ranks");
  links.hosts = std::ssize(ranks_of_host);
  links.ranks_per_host = ranks_of_host.begin()->second;
  for (const auto& [host, ranks] : ranks_of_host) {
    if (ranks != links.ranks_per_host) reject(file, "is of hosts with different numbers of ranks");
  }
  if (links.hosts * links.ranks_per_host == 1) reject(file, "is of one rank");
  std::ranges::sort(links.sums, {}, &MeasuredSum::bytes);
  for (const MeasuredSum& sum : links.sums) {
    const bool good =
        sum.bytes >= 1 && sum.bytes < 1e18 && sum.seconds > 1e-12 && sum.seconds < 1e9;
    if (!good)
      reject(file, fmt::format("has a sum of {:g} bytes in {:g} s", sum.bytes, sum.seconds));
  }
  return links;
}

void take_measured_links(const std::vector<MeasuredLinks>& measured, Links& links) {
  for (const MeasuredLinks& one : measured) {
    if (one.hosts > 1) continue;
    const Link within = link_of(one.sums, one.ranks_per_host);
    links.within_host_bytes_per_s = within.bytes_per_s;
    links.within_host_latency_s = within.latency_s;
  }
  links.all_reduce = AllReduce::kHierarchical;
  for (const MeasuredLinks& one : measured) {
    if (one.hosts == 1) continue;
    std::vector<MeasuredSum> sums = one.sums;
    for (MeasuredSum& sum : sums) {
      const double all = sum.seconds;
      sum.seconds -= all_reduce_seconds(links, sum.bytes, 1, one.ranks_per_host);
      if (sum.seconds > 0) continue;
      reject(one.file, fmt::format("sums {:.0f} bytes over {} hosts in {:.3g} s, which is no more "
                                   "than its part within a host should take",
                                   sum.bytes, one.hosts, all));
    }
    const Link between = link_of(sums, one.hosts);
    links.between_hosts_bytes_per_s = between.bytes_per_s;
    links.between_hosts_latency_s = between.latency_s;
  }
}

}  // namespace borealis
