#include "launch/launch_layout.h"

#include <fmt/format.h>

#include "base/cores.h"
#include "base/error.h"
#include "base/fault_text.h"

namespace borealis {

namespace {

// Of a host for which nothing else says how many it has: one a memory domain, but one for the GPU.
int64_t ranks_of_host(const Environment& environment) {
  const bool on_gpu = environment("DEVICE").value_or("auto") != "cpu" && has_nvidia_driver();
  return on_gpu ? 1 : usable_numa_domains();
}

}  // namespace

LaunchPlan plan_launch(const Environment& environment) {
  LaunchPlan plan;
  plan.layout = find_rank_layout(environment, ranks_of_host(environment));
  RankLayout& layout = plan.layout;
  if (layout.ranks() == 1 && is_local(layout)) return plan;
  try {
    plan.launcher = find_launcher(environment, layout.scheduler, this_machine_questions());
  } catch (const Error& error) {
    if (!layout.ranks_from.empty() || !is_local(layout)) throw;
    plan.note =
        fmt::format("one rank for {} memory domains: {}", layout.ranks_per_host, fault_text(error));
    layout.ranks_per_host = 1;
  }
  return plan;
}

}  // namespace borealis
