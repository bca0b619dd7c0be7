#include "telemetry/step_series.h"

#include <algorithm>
#include <cmath>

namespace borealis {
namespace {

constexpr size_t kFirstSteps = 32;  // those of a run's start, which are unlike the others
constexpr size_t kMostStretches = 256;

// Parts of the most steps at the stride, which what is kept besides takes.
constexpr size_t kLastPart = 64, kSkippedPart = 16, kStretchPart = 64;

// Of the kth kind of extreme: the largest is it. NaN never is.
double rank_of(const StepRecord& step, size_t kind) {
  switch (kind) {
    case 0:
      return step.lm_loss;
    case 1:
      return -step.lm_loss;
    case 2:
      return step.tokens_per_gpu_per_second;
    case 3:
      return -step.tokens_per_gpu_per_second;
    default:
      return step.grad_norm.value_or(std::numeric_limits<double>::quiet_NaN());
  }
}

// Keeps the first and every second behind it.
template <typename T>
void halve(std::vector<T>& values) {
  size_t kept = 0;
  for (size_t i = 0; i < values.size(); i += 2) values[kept++] = values[i];
  values.resize(kept);
}

}  // namespace

void StepSeries::add(const StepRecord& step) {
  if (!step.skipped && std::isfinite(step.lm_loss)) {
    if (!std::isfinite(first_loss_)) first_loss_ = step.lm_loss;
    final_loss_ = step.lm_loss;
  }
  // Of a damaged file, not of a clock: what is negative or beyond all numbers.
  if (step.elapsed_ms > 0 && std::isfinite(training_ms_ + step.elapsed_ms)) {
    training_ms_ += step.elapsed_ms;
  }
  Kept kept{count_, step};
  kept.record.training_ms = training_ms_;
  ++count_;
  keep_at_stride(kept);
  const auto most_last = static_cast<int64_t>(std::max<size_t>(1, most_steps_ / kLastPart));
  last_.push_back(kept);
  if (std::ssize(last_) == 2 * most_last) last_.erase(last_.begin(), last_.begin() + most_last);
  if (first_.size() < std::min(kFirstSteps, most_steps_)) {
    first_.push_back(kept);
  } else if (step.skipped) {
    keep_skipped(kept);
  } else {
    keep_extremes(kept);
  }
}

void StepSeries::keep_at_stride(const Kept& step) {
  if (step.place % stride_ != 0) return;
  at_stride_.push_back(step);
  if (at_stride_.size() <= most_steps_) return;
  halve(at_stride_);
  stride_ *= 2;
}

void StepSeries::keep_skipped(const Kept& step) {
  if (skipped_count_++ % skipped_stride_ != 0) return;
  skipped_.push_back(step);
  if (skipped_.size() <= std::max<size_t>(1, most_steps_ / kSkippedPart)) return;
  halve(skipped_);
  skipped_stride_ *= 2;
}

void StepSeries::take_extreme(const Kept& step, size_t which, Stretch& stretch) {
  std::optional<Kept>& most = stretch.of[which];
  const double rank = rank_of(step.record, which);
  if (!std::isfinite(rank) || (most && rank <= rank_of(most->record, which))) return;
  most = step;
}

void StepSeries::keep_extremes(const Kept& step) {
  const size_t most = std::clamp<size_t>(most_steps_ / kStretchPart, 1, kMostStretches);
  while (static_cast<size_t>(step.place / stretch_steps_) >= most) {
    for (size_t i = 0; i < stretches_.size(); ++i) {
      if (i % 2 == 0) {
        stretches_[i / 2] = stretches_[i];
        continue;
      }
      for (size_t kind = 0; kind < kExtremes; ++kind) {
        if (const auto& other = stretches_[i].of[kind]) {
          take_extreme(*other, kind, stretches_[i / 2]);
        }
      }
    }
    stretches_.resize((stretches_.size() + 1) / 2);
    stretch_steps_ *= 2;
  }
  const auto at = static_cast<size_t>(step.place / stretch_steps_);
  if (at >= stretches_.size()) stretches_.resize(at + 1);
  for (size_t kind = 0; kind < kExtremes; ++kind) take_extreme(step, kind, stretches_[at]);
}

std::vector<StepRecord> StepSeries::steps() const {
  std::vector<const Kept*> all;
  const auto take = [&all](const auto& some) {
    for (const Kept& kept : some) all.push_back(&kept);
  };
  take(at_stride_);
  if (stride_ > 1) {
    take(first_);
    take(last_);
    take(skipped_);
    for (const Stretch& stretch : stretches_) {
      for (const std::optional<Kept>& kept : stretch.of) {
        if (kept) all.push_back(&*kept);
      }
    }
    std::ranges::sort(all, {}, &Kept::place);
    const auto twice = std::ranges::unique(all, {}, &Kept::place);
    all.erase(twice.begin(), twice.end());
  }
  std::vector<StepRecord> steps;
  steps.reserve(all.size());
  for (const Kept* kept : all) {
    steps.push_back(kept->record);
    steps.back().stands_out = kept->place % stride_ != 0;
  }
  return steps;
}

}  // namespace borealis
