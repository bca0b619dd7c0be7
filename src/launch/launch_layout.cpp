#include "launch/launch_layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/cores.h"
#include "base/error.h"
#include "base/fault_text.h"
#include "kernels/cuda_module.h"

namespace borealis {

int64_t default_ranks_of_host(const Environment& environment, int64_t gpus, int64_t domains) {
  if (environment("DEVICE").value_or("auto") == "cpu") return domains;
  if (const auto visible = environment("CUDA_VISIBLE_DEVICES")) {
    const int64_t named = visible->empty() ? 0 : 1 + std::ranges::count(*visible, ',');
    gpus = std::min(gpus, named);
  }
  return gpus > 0 ? gpus : domains;
}

LaunchPlan plan_launch(const Environment& environment) {
  LaunchPlan plan;
  const int64_t gpus = has_cuda_module() ? nvidia_gpus() : 0;
  plan.layout = find_rank_layout(environment,
                                 default_ranks_of_host(environment, gpus, usable_numa_domains()));
  RankLayout& layout = plan.layout;
  if (layout.ranks() == 1 && is_local(layout)) return plan;
  try {
    plan.launcher = find_launcher(environment, layout.scheduler, this_machine_questions());
  } catch (const Error& error) {
    if (!layout.ranks_from.empty() || !is_local(layout)) throw;
    plan.note = fmt::format("one rank instead of {}: {}", layout.ranks_per_host, fault_text(error));
    layout.ranks_per_host = 1;
  }
  return plan;
}

}  // namespace borealis
