#include "planner/machine_model.h"

#include <algorithm>
#include <cmath>

namespace borealis {
namespace {

// Links are seldom measured, and a step seldom reaches what they promise.
constexpr double kLinkDeviation = 0.5;

}  // namespace

CalibrationErrors MachineCalibration::errors() const {
  CalibrationErrors errors;
  for (const CalibrationRow& row : rows) {
    const double left_out = std::abs(row.left_out_error());
    errors.largest_residual = std::max(errors.largest_residual, std::abs(row.residual()));
    errors.largest_left_out = std::max(errors.largest_left_out, left_out);
    errors.rms_left_out += left_out * left_out / static_cast<double>(rows.size());
  }
  errors.rms_left_out = std::sqrt(errors.rms_left_out);
  return errors;
}

double MachineModel::rank_share(int64_t ranks_on_host) const {
  if (cores_per_host == 0) return 1;
  return static_cast<double>(ranks_per_host) / static_cast<double>(ranks_on_host);
}

int64_t MachineModel::rank_memory_bytes(int64_t ranks_on_host) const {
  return static_cast<int64_t>(rank_share(ranks_on_host) * static_cast<double>(memory_bytes));
}

int64_t MachineModel::rank_reserve_bytes(int64_t ranks_on_host) const {
  return static_cast<int64_t>(rank_share(ranks_on_host) * static_cast<double>(reserve_bytes));
}

StepVector machine_units(const MachineModel& machine, const StepShape& shape) {
  StepVector units = step_units(shape, machine.stack);
  for (const size_t i : {kProducts, kAttention, kTraffic, kParameters}) {
    units[i] /= machine.rank_share(shape.ranks_per_host);
  }
  return units;
}

double passes_seconds(const StepVector& units, const StepVector& seconds) {
  double sum = 0;
  for (const size_t i : {kProducts, kAttention, kTraffic}) sum += units[i] * seconds[i];
  return sum;
}

StepEstimate estimate_step(const MachineModel& machine, const StepShape& shape) {
  const StepVector units = machine_units(machine, shape);
  StepEstimate estimate;
  estimate.communication_s = communication_seconds(shape, machine.stack, machine.links,
                                                   passes_seconds(units, machine.seconds()));
  estimate.seconds = estimate.communication_s;
  for (size_t i = 0; i < kStepTerms; ++i) estimate.seconds += units[i] * machine.seconds()[i];

  // How the time changes, relatively, with each constant in units of its assumed value.
  StepVector slope{};
  for (size_t i = 0; i < kStepTerms; ++i)
    slope[i] = units[i] * machine.assumed[i] / estimate.seconds;
  double variance = 0;
  for (size_t i = 0; i < kStepTerms; ++i) {
    for (size_t j = 0; j < kStepTerms; ++j) {
      const double own = i == j ? std::pow(machine.assumed_deviation[i], 2) : 0;
      variance +=
          slope[i] * slope[j] * (machine.calibration ? machine.calibration->covariance[i][j] : own);
    }
  }
  estimate.calibrated = machine.calibration.has_value();
  estimate.known_hosts = shape.ranks() == 1;
  if (machine.calibration) {
    // Few rows are fitted better than they predict one another.
    const double noise = machine.calibration->noise;
    variance += std::pow(std::max(noise, machine.calibration->errors().rms_left_out), 2);
    const auto has = [](const std::vector<int64_t>& numbers, int64_t number) {
      return std::ranges::find(numbers, number) != numbers.end();
    };
    estimate.known_hosts |= has(machine.calibration->hosts, shape.hosts) &&
                            has(machine.calibration->ranks_per_host, shape.ranks_per_host);
  }
  if (!estimate.known_hosts) {
    variance += std::pow(kLinkDeviation * estimate.communication_s / estimate.seconds, 2);
  }
  estimate.deviation = std::sqrt(std::max(0.0, variance));
  return estimate;
}

std::optional<GpuProfile> MachineModel::gpu() const {
  if (gpu_multiprocessors == 0) return std::nullopt;
  GpuProfile profile;
  profile.name = name;
  profile.multiprocessors = static_cast<int>(gpu_multiprocessors);
  profile.memory_bytes = memory_bytes;
  profile.context_bytes = reserve_bytes;
  profile.has_group = true;
  return profile;
}

}  // namespace borealis
