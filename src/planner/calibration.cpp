#include "planner/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/error.h"
#include "planner/nnls.h"

namespace borealis {
namespace {

constexpr double kLeastNoise = 0.003;
constexpr double kMostNoise = 1;
constexpr double kNoiseStep = 1.02;

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

// The noise for which the rows as they are, with constants as far from the assumed ones as
// `deviation` says, are likeliest (evidence; MacKay, Bayesian interpolation, 1992): a fit that
// follows every row by constants that nobody would have assumed has to be paid for.
// With B = slopes x deviations, r what the assumed constants leave of the rows, and s the noise
//   -2 log p = (n - k) log s^2 + log det(B'B + s^2) + (r'r - r'B (B'B + s^2)^-1 B'r) / s^2 + const
double noise_of(const std::vector<FitRow>& rows, const StepVector& deviation) {
  std::vector<std::vector<double>> gram(kStepTerms, std::vector<double>(kStepTerms, 0));
  StepVector projected{};
  double squares = 0;
  for (const FitRow& row : rows) {
    StepVector one{};
    one.fill(1);
    const double left = row.target - predicted(row, one);
    squares += left * left;
    for (size_t i = 0; i < kStepTerms; ++i) {
      projected[i] += row.slope[i] * deviation[i] * left;
      for (size_t j = 0; j < kStepTerms; ++j) {
        gram[i][j] += row.slope[i] * deviation[i] * row.slope[j] * deviation[j];
      }
    }
  }
  const auto cost = [&](double noise) {
    const double variance = noise * noise;
    auto with_noise = gram;
    for (size_t i = 0; i < kStepTerms; ++i) with_noise[i][i] += variance;
    const auto inverted = inverse(with_noise);
    if (inverted.empty()) return std::numeric_limits<double>::infinity();
    double explained = 0;
    for (size_t i = 0; i < kStepTerms; ++i) {
      for (size_t j = 0; j < kStepTerms; ++j) {
        explained += projected[i] * inverted[i][j] * projected[j];
      }
    }
    const double free = static_cast<double>(rows.size()) - static_cast<double>(kStepTerms);
    return free * std::log(variance) + log_determinant(with_noise) +
           (squares - explained) / variance;
  };
  double best = kLeastNoise;
  for (double noise = kLeastNoise; noise < kMostNoise; noise *= kNoiseStep) {
    if (cost(noise) < cost(best)) best = noise;
  }
  return best;
}

Fit fit(const std::vector<FitRow>& rows, const StepVector& deviation) {
  const double noise = noise_of(rows, deviation);
  return {.scale = fit_at(rows, deviation, noise), .noise = noise};
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

// What of a measured step is communication. The longer its passes are, the more of the exchange
// goes on beside them, so both are looked for together: the longest computation that, with what it
// leaves uncovered, takes no longer than the step. The assumptions say which part of it passes are.
double communication_of(const MachineModel& base, const MeasuredStep& step,
                        const StepVector& units) {
  double assumed_s = 0;
  for (size_t i = 0; i < kStepTerms; ++i) assumed_s += units[i] * base.assumed[i];
  const double passes_share = passes_seconds(units, base.assumed) / assumed_s;
  const auto uncovered = [&](double computing_s) {
    return communication_seconds(step.shape, base.stack, base.links, passes_share * computing_s);
  };
  if (!(uncovered(0) < step.seconds)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{} took {:.4g} s, less than the {:.4g} s that the machine's links "
                            "need for its gradients",
                            step.name, step.seconds, uncovered(0)),
                "give the machine faster links");
  }
  double low = 0, high = step.seconds;
  constexpr int kHalvings = 50;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (middle + uncovered(middle) <= step.seconds ? low : high) = middle;
  }
  return step.seconds - low;
}

FitRow fit_row(const MachineModel& base, const MeasuredStep& step) {
  if (step.shape.dtype != base.dtype) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{} is in {}, the machine in {}", step.name,
                            dtype_name(step.shape.dtype), dtype_name(base.dtype)),
                "fit a machine of its own to each DTYPE");
  }
  const StepVector units = machine_units(base, step.shape);
  const double communication = communication_of(base, step, units);
  FitRow row;
  for (size_t i = 0; i < kStepTerms; ++i) row.slope[i] = units[i] * base.assumed[i] / step.seconds;
  row.target = 1 - communication / step.seconds;
  return row;
}

}  // namespace

MachineCalibration calibrate(const MachineModel& base, const std::vector<MeasuredStep>& steps,
                             const std::string& source) {
  // The same work again tells more of the noise, but nothing of the constants.
  std::set<StepVector> configurations;
  for (const MeasuredStep& step : steps) configurations.insert(machine_units(base, step.shape));
  if (configurations.size() < 2) {
    throw Error(
        ErrorKind::kData,
        fmt::format(
            "{} configuration{} too few to calibrate a machine with{}", configurations.size(),
            configurations.size() == 1 ? " is" : "s are",
            steps.size() > 1 ? fmt::format(" (all {} steps are of the same)", steps.size()) : ""),
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
  std::set<int64_t> hosts, ranks_per_host;
  for (size_t i = 0; i < steps.size(); ++i) {
    hosts.insert(steps[i].shape.hosts);
    ranks_per_host.insert(steps[i].shape.ranks_per_host);
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
  calibration.ranks_per_host.assign(ranks_per_host.begin(), ranks_per_host.end());
  return calibration;
}

}  // namespace borealis
