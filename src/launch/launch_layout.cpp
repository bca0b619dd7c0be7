#include "launch/launch_layout.h"

#include <fmt/format.h>

#include "base/cores.h"
#include "base/error.h"
#include "base/fault_text.h"

namespace borealis {

LaunchPlan plan_launch(const Environment& environment) {
  LaunchPlan plan;
  plan.layout = find_rank_layout(environment, usable_numa_domains());
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
