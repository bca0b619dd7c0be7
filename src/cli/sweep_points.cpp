#include "cli/sweep_points.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "cli/program_version.h"
#include "cli/run_setup.h"
#include "config/run_config_loader.h"
#include "config/settings.h"
#include "launch/launch_layout.h"
#include "sweep/child_process.h"
#include "sweep/families.h"
#include "sweep/point_command.h"
#include "sweep/sweep_runner.h"

namespace borealis {
namespace {

// One problem of many points is told once.
class PointProblems {
 public:
  void add(const std::string& point, const Error& error) {
    if (const auto* listed = dynamic_cast<const ListedProblems*>(&error)) {
      for (const std::string& problem : listed->all()) points_of(problem).push_back(point);
    } else {
      points_of(fault_text(error)).push_back(point);
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

std::string plan_failure(const ChildAnswer& answer) {
  constexpr std::string_view kOurs = "borealis: ";
  const std::string line = failure_line(answer.errors);
  if (line.empty()) {
    return fmt::format("`borealis plan` ended with exit code {}", answer.end.exit_code);
  }
  return line.starts_with(kOurs) ? line.substr(kOurs.size()) : line;
}

}  // namespace

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
      point.plan = plan(point);
      point.key = make_point_key(program_version(), config->second, point.plan.gpu);
      points.push_back(std::move(point));
    } catch (const Error& error) {
      problems.add(point.name, error);
    }
  }
  problems.raise_any();
  return in_family_order(std::move(points));
}

PointPlan PointPlanner::plan(const SweepPoint& point) const {
  const RunConfig& config = configs_.at(point.name);
  ChildCommand command;
  command.arguments = point_flags(basis_.flags, basis_.steps);
  command.arguments.insert(command.arguments.begin(), "plan");
  command.arguments.emplace_back("--json");
  command.environment = point_environment(point.settings, process_environment(), basis_.cache_path);
  const ChildAnswer answer = answer_of_child(std::move(command));
  if (answer.end.exit_code != 0) {
    throw Error(ErrorKind::kConfig, plan_failure(answer));
  }
  const nlohmann::json plan = nlohmann::json::parse(answer.output);
  const nlohmann::json& memory = plan.at("memory");
  const std::string device = plan.at("device");
  return {.gpu = device == "cpu" ? "" : device,
          .num_hidden_layers = config.model.num_hidden_layers,
          .parameters = plan.at("parameters"),
          .tokens_per_step = config.batch.global_batch_size * config.batch.seq_length,
          .flops_per_token = plan.at("flops_per_token"),
          .planned_bytes = memory.at("total_bytes"),
          .limit_bytes = memory.at("limit_bytes"),
          .fits = plan.at("fits")};
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

}  // namespace borealis
