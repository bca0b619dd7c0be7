#include "sweep/sweep_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/units.h"
#include "sweep/families.h"

namespace borealis {
namespace {

std::string billions(int64_t parameters) {
  return fmt::format("{:.2f}", static_cast<double>(parameters) * 1e-9);
}

std::vector<std::string> result_row(const std::filesystem::path& folder, const SweepState& state,
                                    const SweepPoint& point) {
  const Measurement measured = measure_runs(folder, point.runs, state.warmup_steps);
  return {point.name,
          std::to_string(measured.num_hidden_layers),
          billions(measured.parameters),
          fmt::format("{:.0f}", measured.tokens_per_gpu_per_second),
          fmt::format("{:.3f}", measured.tflops),
          format_bytes(measured.planned_bytes),
          format_bytes(measured.peak_bytes),
          std::to_string(point.runs.size())};
}

std::string memory_end(const SweepPoint& point) {
  const char* how = point.state == PointState::kKilled        ? "was killed"
                    : point.state == PointState::kOutOfMemory ? "ran out of it"
                                                              : "does not fit";
  return fmt::format("memory ends at {}, which {}: {}\n", point.name, how,
                     planned_of_limit(point.plan.planned_bytes, point.plan.limit_bytes,
                                      point.state == PointState::kDoesNotFit));
}

}  // namespace

std::string aligned_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string gap(widths[i] - row[i].size(), ' ');
      text += i == 0 ? row[i] + gap : "  " + gap + row[i];
    }
    text += '\n';
  }
  return text;
}

std::string point_line(const SweepPoint& point, const std::optional<Measurement>& measured) {
  if (!measured) {
    return fmt::format("{}  {}  {}", point.name, point_state_name(point.state), point.reason);
  }
  return fmt::format("{}  {}  {:.0f} tokens/s/GPU  {:.3f} TFLOPs  {} of {} planned", point.name,
                     point_state_name(point.state), measured->tokens_per_gpu_per_second,
                     measured->tflops, format_bytes(measured->peak_bytes),
                     format_bytes(measured->planned_bytes));
}

std::string plan_table(const SweepState& state, const SweepClock& clock, bool try_all) {
  std::vector<std::vector<std::string>> rows = {{"point", "layers", "parameters (B)", "memory",
                                                 "limit", "fits", "TFLOP/step", "state", "time"}};
  int64_t fitting = 0;
  for (const SweepPoint& point : state.points) {
    if (!point.in_grid) continue;
    const auto runs = state.repeats - static_cast<int64_t>(point.runs.size());
    const std::optional<double> seconds = clock.run_seconds(point);
    const bool is_predicted = seconds && point.plan.fits && !is_settled(point);
    fitting += point.plan.fits ? 1 : 0;
    rows.push_back({point.name, std::to_string(point.plan.num_hidden_layers),
                    billions(point.plan.parameters), format_bytes(point.plan.planned_bytes),
                    format_bytes(point.plan.limit_bytes), point.plan.fits ? "yes" : "no",
                    fmt::format("{:.4g}", point.plan.flops_per_step() * 1e-12),
                    std::string(point_state_name(point.state)),
                    is_predicted ? format_duration(*seconds * static_cast<double>(runs)) : "-"});
  }
  const auto left = clock.seconds_left(state.points, state.repeats, try_all);
  return aligned_table(rows) +
         fmt::format("{} points, {} fit{}\n", rows.size() - 1, fitting,
                     left ? fmt::format(", {} left", format_duration(*left)) : "");
}

std::string results_text(const std::filesystem::path& folder, const SweepState& state) {
  std::vector<std::vector<std::string>> rows = {
      {"point", "layers", "parameters (B)", "tokens/s/GPU", "TFLOPs", "planned", "peak", "runs"}};
  std::string ends;
  for (size_t i = 0; i < state.points.size(); ++i) {
    const SweepPoint& point = state.points[i];
    if (point.state == PointState::kDone) {
      try {
        rows.push_back(result_row(folder, state, point));
      } catch (const Error& fault) {  // of an earlier command, whose folders are not this one's
        ends += fmt::format("{}: {}\n", point.name, fault_text(fault));
      }
    } else if (point.state == PointState::kFailed) {
      ends += fmt::format("{} failed: {}\n", point.name, point.reason);
    } else if (is_settled(point) && out_of_memory_before(state.points, i) == nullptr) {
      ends += memory_end(point);
    }
  }
  if (rows.size() == 1) return "no point was measured\n" + ends;
  return fmt::format("medians over the steps after the first {}\n", state.warmup_steps) +
         aligned_table(rows) + ends;
}

}  // namespace borealis
