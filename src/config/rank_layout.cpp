#include "config/rank_layout.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "config/host_list.h"
#include "config/settings.h"

namespace borealis {
namespace {

constexpr const char* kHostFile = "HOSTFILE";
constexpr const char* kRanksPerHost = "NGPU_PER_HOST";
constexpr const char* kRanks = "WORLD_SIZE";

// Of a variable that counts something; the contract's own are checked again when the run reads
// them.
std::optional<int64_t> count_of(const Environment& environment, const char* variable) {
  const std::optional<std::string> text = set_value(environment, variable);
  if (!text) return std::nullopt;
  const std::optional<int64_t> count = whole_number(*text);
  constexpr int64_t kMost = 10'000'000;
  if (!count || *count < 1 || *count > kMost) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}={} is no number of ranks, 1 to {}", variable, *text, kMost),
                "correct or unset it");
  }
  return count;
}

// The hosts, and what their list gives each; 0: nothing.
struct FoundHosts {
  RankLayout layout;
  std::vector<int64_t> slots;
  std::string slots_from;  // for messages
};

void take_file(const std::string& variable, const std::string& path, FoundHosts& found) {
  found.layout.hosts_from = found.slots_from = fmt::format("{}={}", variable, path);
  for (const ListedHost& host : read_host_file(path)) {
    found.layout.hosts.push_back(host.name);
    found.slots.push_back(host.slots);
  }
}

FoundHosts find_hosts(const Environment& environment) {
  FoundHosts found;
  RankLayout& layout = found.layout;
  const auto slurm_list = set_value(environment, "SLURM_JOB_NODELIST");
  const auto node_file = set_value(environment, "PBS_NODEFILE");
  if (slurm_list) layout.scheduler = Scheduler::kSlurm;
  if (!slurm_list && node_file) layout.scheduler = Scheduler::kPbs;
  if (const auto path = set_value(environment, kHostFile)) {
    take_file(kHostFile, *path, found);
    layout.hosts_chosen = true;
  } else if (slurm_list) {
    layout.hosts_from = fmt::format("SLURM_JOB_NODELIST={}", *slurm_list);
    layout.hosts = expand_slurm_hosts(*slurm_list);
    // Where nobody asked for tasks, Slurm counts one a host.
    const auto tasks = set_value(environment, "SLURM_NTASKS")
                           ? set_value(environment, "SLURM_TASKS_PER_NODE")
                           : std::nullopt;
    if (tasks) {
      found.slots = expand_slurm_counts(*tasks);
      found.slots_from = fmt::format("SLURM_TASKS_PER_NODE={}", *tasks);
    }
  } else if (node_file) {
    take_file("PBS_NODEFILE", *node_file, found);
  } else {
    layout.hosts_from = "this machine";
  }
  return found;
}

// What the list of hosts gives each of them, if it says so.
std::optional<int64_t> slots_of_each(const FoundHosts& found) {
  const auto [least, most] = std::ranges::minmax_element(found.slots);
  if (found.slots.empty() || *most == 0) return std::nullopt;
  const int64_t fewest = std::max<int64_t>(1, *least);  // who is listed without a number has one
  if (fewest == *most) return *most;
  throw Error(ErrorKind::kConfig,
              fmt::format("{} gives its hosts {} to {} ranks; all have to have equally many",
                          found.slots_from, fewest, *most),
              fmt::format("say how many: {}", kRanksPerHost));
}

// Under whatever domain.
bool is_this_host(const std::string& name) {
  if (name == "localhost" || name == "127.0.0.1" || name == "::1") return true;
  std::array<char, 256> own{};
  if (::gethostname(own.data(), own.size() - 1) != 0) return false;
  const std::string_view here = own.data();
  return name.substr(0, name.find('.')) == here.substr(0, here.find('.'));
}

}  // namespace

RankLayout find_rank_layout(const Environment& environment, int64_t default_ranks_per_host) {
  FoundHosts found = find_hosts(environment);
  RankLayout& layout = found.layout;
  const auto per_host = count_of(environment, kRanksPerHost);
  const auto ranks = count_of(environment, kRanks);
  if (per_host) {
    layout.ranks_per_host = *per_host;
    layout.ranks_from = fmt::format("{}={}", kRanksPerHost, *per_host);
  } else if (ranks) {
    layout.ranks_per_host = std::max<int64_t>(1, *ranks / layout.host_count());
    layout.ranks_from = fmt::format("{}={}", kRanks, *ranks);
  } else if (const auto tasks = layout.scheduler == Scheduler::kSlurm
                                    ? count_of(environment, "SLURM_NTASKS_PER_NODE")
                                    : std::nullopt) {
    layout.ranks_per_host = *tasks;
    layout.ranks_from = fmt::format("SLURM_NTASKS_PER_NODE={}", *tasks);
  } else if (const auto slots = slots_of_each(found)) {
    layout.ranks_per_host = *slots;
    layout.ranks_from = found.slots_from;
  } else {
    layout.ranks_per_host = default_ranks_per_host;
  }
  if (ranks && *ranks != layout.ranks()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}={}, but {} host{} ({}) with {} ranks each make {}", kRanks, *ranks,
                            layout.host_count(), layout.host_count() == 1 ? "" : "s",
                            layout.hosts_from, layout.ranks_per_host, layout.ranks()),
                fmt::format("unset {}, or correct {}", kRanks, kRanksPerHost));
  }
  return layout;
}

bool is_local(const RankLayout& layout) {
  return layout.hosts.empty() || (layout.hosts.size() == 1 && is_this_host(layout.hosts.front()));
}

std::string layout_text(const RankLayout& layout) {
  const int64_t hosts = layout.host_count(), ranks = layout.ranks();
  return fmt::format("{} rank{} on {} host{}", ranks, ranks == 1 ? "" : "s", hosts,
                     hosts == 1 ? "" : "s");
}

}  // namespace borealis
