#include "planner/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "planner/nnls.h"

namespace borealis {
namespace {

constexpr double kLeastNoise = 0.003;
constexpr int kMostFits = 20;

// A row of the fit in units of the assumed constants: units_i assumed_i / measured, and what of the
// measured time communication leaves.
struct FitRow {
  StepVector slope{};
  double target = 1;
};

struct Fit {
  StepVector scale{};  // constants / assumed
  double noise = kLeastNoise;
};

double predicted(const FitRow& row, const StepVector& scale) {
  double sum = 0;
  for (size_t i = 0; i < kStepTerms; ++i) sum += row.slope[i] * scale[i];
  return sum;
}

StepVector fit_at(const std::vector<FitRow>& rows, const StepVector& deviation, double noise) {
  std::vector<std::vector<double>> a;
  std::vector<double> b;
  for (const FitRow& row : rows) {
    a.emplace_back();
    for (const double value : row.slope) a.back().push_back(value / noise);
    b.push_back(row.target / noise);
  }
  for (size_t i = 0; i < kStepTerms; ++i) {
    a.emplace_back(kStepTerms, 0.0);
    a.back()[i] = 1 / deviation[i];
    b.push_back(1 / deviation[i]);
  }
  const std::vector<double> x = non_negative_least_squares(a, b);
  StepVector scale{};
  std::ranges::copy(x, scale.begin());
  return scale;
}

// Rows that each tell something of their own leave fewer degrees of freedom; three is what one
// architecture tells (a layer, the head, a step).
double noise_of(const std::vector<FitRow>& rows, const StepVector& scale) {
  constexpr double kTold = 3;
  double sum = 0;
  for (const FitRow& row : rows) sum += std::pow(predicted(row, scale) - row.target, 2);
  const double free = std::max(1.0, static_cast<double>(rows.size()) - kTold);
  return std::max(kLeastNoise, std::sqrt(sum / free));
}

Fit fit(const std::vector<FitRow>& rows, const StepVector& deviation) {
  Fit fitted;
  for (int i = 0; i < kMostFits; ++i) {
    fitted.scale = fit_at(rows, deviation, fitted.noise);
    const double noise = noise_of(rows, fitted.scale);
    const bool settled = std::abs(noise - fitted.noise) < 1e-6;
    fitted.noise = noise;
    if (settled) break;
  }
  return fitted;
}

StepMatrix covariance_of(const std::vector<FitRow>& rows, const StepVector& deviation,
                         double noise) {
  std::vector<std::vector<double>> precision(kStepTerms, std::vector<double>(kStepTerms, 0));
  for (size_t i = 0; i < kStepTerms; ++i) {
    precision[i][i] = std::pow(deviation[i], -2);
    for (size_t j = 0; j < kStepTerms; ++j) {
      for (const FitRow& row : rows) {
        precision[i][j] += row.slope[i] * row.slope[j] / (noise * noise);
      }
    }
  }
  const auto inverted = inverse(std::move(precision));
  StepMatrix covariance{};
  for (size_t i = 0; i < inverted.size(); ++i) {
    std::ranges::copy(inverted[i], covariance[i].begin());
  }
  return covariance;
}

FitRow fit_row(const MachineModel& base, const MeasuredStep& step) {
  if (step.shape.dtype != base.dtype) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{} is in {}, the machine in {}", step.name,
                            dtype_name(step.shape.dtype), dtype_name(base.dtype)),
                "fit a machine of its own to each DTYPE");
  }
  const double communication = communication_seconds(step.shape, base.stack, base.links);
  if (!(communication < step.seconds)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{} took {:.4g} s, less than the {:.4g} s that the machine's links "
                            "need for its gradients",
                            step.name, step.seconds, communication),
                "give the machine faster links");
  }
  const StepVector units = step_units(step.shape, base.stack);
  FitRow row;
  for (size_t i = 0; i < kStepTerms; ++i) row.slope[i] = units[i] * base.assumed[i] / step.seconds;
  row.target = 1 - communication / step.seconds;
  return row;
}

}  // namespace

MachineCalibration calibrate(const MachineModel& base, const std::vector<MeasuredStep>& steps,
                             const std::string& source) {
  if (steps.size() < 2) {
    throw Error(ErrorKind::kData,
                fmt::format("{} configuration{} too few to calibrate a machine with", steps.size(),
                            steps.size() == 1 ? " is" : "s are"),
                "give two or more runs that differ in layers, width or sequence, or a sweep");
  }
  std::vector<FitRow> rows;
  for (const MeasuredStep& step : steps) rows.push_back(fit_row(base, step));
  const Fit all = fit(rows, base.assumed_deviation);
  MachineCalibration calibration;
  calibration.source = source;
  calibration.noise = all.noise;
  calibration.covariance = covariance_of(rows, base.assumed_deviation, all.noise);
  for (size_t i = 0; i < kStepTerms; ++i) calibration.seconds[i] = all.scale[i] * base.assumed[i];
  std::set<int64_t> hosts;
  for (size_t i = 0; i < steps.size(); ++i) {
    hosts.insert(steps[i].shape.hosts);
    std::vector<FitRow> others = rows;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const Fit without = fit(others, base.assumed_deviation);
    const auto seconds = [&](const Fit& by) {
      return (1 + predicted(rows[i], by.scale) - rows[i].target) * steps[i].seconds;
    };
    calibration.rows.push_back({.name = steps[i].name,
                                .measured_s = steps[i].seconds,
                                .fitted_s = seconds(all),
                                .left_out_s = seconds(without)});
  }
  calibration.hosts.assign(hosts.begin(), hosts.end());
  return calibration;
}

}  // namespace borealis
