// What a plan for a machine says to people.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/units.h"
#include "config/option_limits.h"
#include "planner/machine_plan.h"

namespace borealis {
namespace {

constexpr double kBand = 2;  // standard deviations that are shown

std::string percent(double share, int digits = 1) {
  return fmt::format("{:.{}f} %", 100 * share, digits);
}

// The rate that the same model has on the fewest hosts of the table; 0: it does not fit there.
double rate_on_fewest_hosts(const std::vector<MachinePoint>& points, const MachinePoint& of) {
  const MachinePoint* fewest = nullptr;
  for (const MachinePoint& point : points) {
    const bool same = point.model == of.model && point.settings == of.settings &&
                      point.num_hidden_layers == of.num_hidden_layers && point.fits;
    if (same && (fewest == nullptr || point.hosts < fewest->hosts)) fewest = &point;
  }
  return fewest == nullptr ? 0 : fewest->tokens_per_gpu_per_second;
}

std::string rate_text(double rate) {
  return rate >= 100 ? fmt::format("{:.0f}", rate) : fmt::format("{:.3g}", rate);
}

std::string end_of_memory(const MachinePoint& point) {
  const std::string limit = fmt::format("{}{}", format_bytes(point.memory_bytes),
                                        point.is_limited ? " (MEMORY_LIMIT)" : "");
  if (!point.most_layers) return fmt::format("memory does not end within {} layers", kMaxLayers);
  if (*point.most_layers == 0) return fmt::format("not one layer fits in {}", limit);
  return fmt::format("memory ends behind {} layer{}{}", *point.most_layers,
                     *point.most_layers == 1 ? "" : "s",
                     point.is_limited ? fmt::format(" within {}", limit) : "");
}

std::string constant_text(size_t term, double seconds) {
  if (seconds == 0) return "no time";
  switch (term) {
    case kProducts:
    case kAttention:
      return fmt::format("{:.4g} TFLOP/s", 1e-12 / seconds);
    case kTraffic:
      return fmt::format("{:.4g} GB/s", 1e-9 / seconds);
    case kParameters:
      return fmt::format("{:.4g} ns a parameter", 1e9 * seconds);
    default:
      return fmt::format("{:.4g} ms", 1e3 * seconds);
  }
}

}  // namespace

std::vector<std::string> machine_lines(const MachineModel& machine) {
  std::vector<std::string> lines = {
      fmt::format("{}: {}", machine.name, machine.description),
      fmt::format(
          "{} a rank, of which {} are kept free; {} a host{}; stack {}, {}",
          format_bytes(machine.memory_bytes), format_bytes(machine.reserve_bytes),
          machine.ranks_per_host == 1 ? "a rank" : fmt::format("{} ranks", machine.ranks_per_host),
          machine.cores_per_host == 0
              ? ""
              : fmt::format(" on {} cores, which more ranks would share", machine.cores_per_host),
          training_stack_name(machine.stack), dtype_name(machine.dtype))};
  if (!machine.calibration) {
    lines.push_back("uncalibrated: these figures were not fitted to measured steps");
  } else {
    const MachineCalibration& calibration = *machine.calibration;
    const CalibrationErrors errors = calibration.errors();
    lines.push_back(fmt::format(
        "calibrated on {} steps of {} (hosts: {}): residuals up to {}, each from the others up to "
        "{} (rms {})",
        calibration.rows.size(), calibration.source, fmt::join(calibration.hosts, ", "),
        percent(errors.largest_residual), percent(errors.largest_left_out),
        percent(errors.rms_left_out)));
  }
  if (!machine.provenance.empty()) lines.push_back(machine.provenance);
  return lines;
}

std::vector<std::vector<std::string>> point_table(const std::vector<MachinePoint>& points) {
  const auto differs = [&](auto member) {
    return std::ranges::any_of(
        points, [&](const MachinePoint& point) { return point.*member != points.front().*member; });
  };
  const bool scales = differs(&MachinePoint::hosts);
  const bool budget = !points.empty() && points.front().train_s.has_value();
  std::vector<std::string> header = {"model",        "layers", "size (B)", "hosts",  "ranks",
                                     "tokens/GPU/s", "+-",     "TFLOPs",   "memory", "fits"};
  const bool varies = differs(&MachinePoint::settings);
  if (varies) header.insert(header.begin() + 1, "settings");
  if (scales) header.emplace_back("of fewest hosts");
  if (budget) {
    header.emplace_back("time");
    header.emplace_back("node hours");
  }
  header.emplace_back("standing");
  std::vector<std::vector<std::string>> table = {header};
  for (const MachinePoint& point : points) {
    const auto if_fits = [&](const std::string& text) { return point.fits ? text : "-"; };
    std::vector<std::string> row = {
        point.model,
        std::to_string(point.num_hidden_layers),
        fmt::format("{:.2f}", static_cast<double>(point.parameters) * 1e-9),
        std::to_string(point.hosts),
        std::to_string(point.ranks),
        if_fits(rate_text(point.tokens_per_gpu_per_second)),
        if_fits(percent(kBand * point.deviation)),
        if_fits(fmt::format("{:.4g}", point.tflops)),
        format_bytes(point.total_bytes),
        point.fits ? "yes" : "no"};
    if (varies) row.insert(row.begin() + 1, point.settings);
    if (scales) {
      const double fewest = rate_on_fewest_hosts(points, point);
      row.push_back(if_fits(percent(point.tokens_per_gpu_per_second / fewest)));
    }
    if (budget) {
      row.push_back(if_fits(format_duration(*point.train_s)));
      row.push_back(if_fits(rate_text(*point.node_hours)));
    }
    row.push_back(point.standing);
    table.push_back(std::move(row));
  }
  return table;
}

std::vector<std::string> memory_end_lines(const std::vector<MachinePoint>& points) {
  std::vector<std::string> lines;
  for (const MachinePoint& point : points) {
    std::string line =
        point.settings.empty() ? point.model : fmt::format("{} ({})", point.model, point.settings);
    line += ": " + end_of_memory(point);
    if (point.ranks > 1) line += fmt::format(" on {} ranks", point.ranks);
    if (std::ranges::find(lines, line) == lines.end()) lines.push_back(line);
  }
  return lines;
}

std::vector<std::vector<std::string>> residual_table(const MachineCalibration& calibration) {
  std::vector<std::vector<std::string>> table = {
      {"step", "measured", "fitted", "error", "error if left out"}};
  for (const CalibrationRow& row : calibration.rows) {
    table.push_back({row.name, fmt::format("{:.4g} s", row.measured_s),
                     fmt::format("{:.4g} s", row.fitted_s),
                     fmt::format("{:+.2f} %", 100 * row.residual()),
                     fmt::format("{:+.2f} %", 100 * row.left_out_error())});
  }
  return table;
}

std::vector<std::string> constant_lines(const MachineModel& machine) {
  constexpr std::array<const char*, kStepTerms> kNames = {
      "matrix products", "attention, by its formula", "memory traffic", "work a parameter",
      "a step besides"};
  std::vector<std::string> lines;
  for (size_t i = 0; i < kStepTerms; ++i) {
    lines.push_back(fmt::format("{:<26} {} (assumed {})", kNames[i],
                                constant_text(i, machine.seconds()[i]),
                                constant_text(i, machine.assumed[i])));
  }
  return lines;
}

}  // namespace borealis
