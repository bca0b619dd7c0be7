#include "cli/sweep_points.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/memory.h"
#include "cli/run_setup.h"
#include "config/run_config_loader.h"
#include "config/settings.h"
#include "launch/launch_layout.h"
#include "planner/planner.h"
#include "sweep/families.h"
#include "sweep/point_command.h"

namespace borealis {
namespace {

// One problem of many points is told once.
class PointProblems {
 public:
  void add(const std::string& point, std::string text) {
    if (const size_t list = text.find("problems:\n  - "); list != std::string::npos) {
      text = text.substr(list + 14);
    }
    for (size_t end = 0; end != std::string::npos;) {
      end = text.find("\n  - ");
      std::vector<std::string>& points = points_of(text.substr(0, end));
      points.push_back(point);
      if (end != std::string::npos) text = text.substr(end + 5);
    }
  }
  // Error(kConfig) if there is one.
  void raise_any() const {
    Problems problems;
    for (const auto& [text, points] : all_) {
      const size_t others = points.size() - 1;
      problems.settings.push_back(
          fmt::format("{}{}: {}", points.front(),
                      others == 0 ? "" : fmt::format(" and {} more", others), text));
    }
    if (problems.any()) problems.raise();
  }

 private:
  std::vector<std::string>& points_of(const std::string& text) {
    for (auto& [known, points] : all_) {
      if (known == text) return points;
    }
    return all_.emplace_back(text, std::vector<std::string>()).second;
  }

  std::vector<std::pair<std::string, std::vector<std::string>>> all_;
};

}  // namespace

PointPlanner::PointPlanner(PointBasis basis)
    : basis_(std::move(basis)), program_bytes_(resident_bytes()) {}

std::vector<SweepPoint> PointPlanner::points(const std::vector<PointSettings>& all) {
  std::vector<SweepPoint> points;
  PointProblems problems;
  for (const PointSettings& settings : all) {
    SweepPoint point;
    point.name = point_name(settings);
    point.settings = settings;
    try {
      const auto [config, is_new] = configs_.try_emplace(point.name, load(settings));
      if (!is_new) {
        throw Error(ErrorKind::kConfig, "two points have this name", "sweep them apart");
      }
      point.key = make_point_key(program_version(), config->second);
      point.plan = plan(point);
      points.push_back(std::move(point));
    } catch (const Error& error) {
      problems.add(point.name, fault_text(error));
    }
  }
  problems.raise_any();
  return in_family_order(std::move(points));
}

PointPlan PointPlanner::plan(const SweepPoint& point) {
  const RunConfig& config = configs_.at(point.name);
  require_one_isa(config.machine);
  const int threads = prepare_machine(config.machine);
  const Prediction prediction =
      predict(config, make_run_layout(config, threads), planned_data(config).bytes, program_bytes_);
  return {.num_hidden_layers = config.model.num_hidden_layers,
          .parameters = prediction.parameters,
          .tokens_per_step = config.batch.global_batch_size * config.batch.seq_length,
          .flops_per_token = prediction.flops_per_token,
          .planned_bytes = prediction.memory.total_bytes(),
          .limit_bytes = prediction.limit.bytes,
          .fits = prediction.fits};
}

RunConfig PointPlanner::load(const PointSettings& settings) const {
  const Environment process = process_environment();
  const Environment environment =
      with_changes(process, point_environment(settings, process, basis_.cache_path));
  const RankLayout ranks = plan_launch(environment).layout;
  LoadOptions options = options_of_ranks(ranks);
  options.needs_data = basis_.needs_data;
  RunConfig config = load_run_config(environment, point_flags(basis_.flags, basis_.steps), options);
  share_host(ranks.ranks_per_host, config.machine);
  return config;
}

// What a process plans for depends on its instructions, which are chosen once.
void PointPlanner::require_one_isa(const MachineConfig& machine) {
  if (isa_.empty()) isa_ = machine.cpu_isa;
  if (isa_ == machine.cpu_isa) return;
  throw Error(ErrorKind::kConfig, "BOREALIS_CPU_ISA cannot vary within a sweep",
              "set it before the command, and sweep once for each, into folders of their own");
}

}  // namespace borealis
