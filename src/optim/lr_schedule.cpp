#include "optim/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace borealis {
namespace {

// Where a sample count lies on the schedule. Letters as in the contract: M peak, m floor.
struct Point {
  const ScheduleConfig& schedule;
  double n;  // samples consumed
  double D;  // decay length
  double w;  // warm-up length
  double x() const { return n - w; }
  double M() const { return schedule.learning_rate; }
  double m() const { return schedule.min_learning_rate; }
};

double half_cosine(double t) { return 0.5 * (1.0 + std::cos(std::numbers::pi * t)); }

double constant(const Point& p) {
  if (!p.schedule.constant_plus_cooldown) return p.M();
  // The last C samples cool down along 1 - sqrt(r); the fraction is of the whole length D.
  const double C = std::trunc(p.schedule.constant_plus_cooldown_fraction * p.D);
  const double T = p.D - p.w;
  if (p.x() >= T) return p.m();
  if (p.x() < T - C) return p.M();
  const double r = std::clamp((p.x() - (T - C)) / C, 0.0, 1.0);
  return p.m() + (p.M() - p.m()) * (1.0 - std::sqrt(r));
}

double linear(const Point& p) {
  if (p.n > p.D) return p.m();
  return p.m() + (p.M() - p.m()) * (1.0 - p.x() / (p.D - p.w));
}

double cosine(const Point& p) {
  if (p.n > p.D) return p.m();
  return p.m() + (p.M() - p.m()) * half_cosine(p.x() / (p.D - p.w));
}

double inverse_square_root(const Point& p) {
  if (p.n > p.D) return p.m();
  return std::max(p.m(), p.M() * std::sqrt(std::max(p.w, 1.0)) / std::sqrt(std::max(p.n, 1.0)));
}

// Decay to a constant, hold it, then anneal exponentially to the floor. `decay` maps [0, 1] to
// [1, 0]: from the peak to the constant.
template <typename Decay>
double infinite(const Point& p, Decay decay) {
  if (p.n > p.D) return p.m();
  const double K = p.schedule.cooldown_fraction * p.D;
  const double J = p.schedule.constant_fraction * p.D;
  const double c = p.schedule.constant_learning_rate;
  if (K > 0 && p.x() <= K) return c + (p.M() - c) * decay(p.x() / K);
  if (p.x() <= K + J) return c;
  const double annealed = c * std::exp(std::log(p.m() / c) * (p.x() - K - J) / (p.D - p.w - K - J));
  return std::max(p.m(), annealed);
}

double infinite_inverse_square_root(const Point& p) {
  constexpr double kTimescale = 10.0;
  const auto g = [](double t) { return 1.0 / std::sqrt(1.0 + kTimescale * t) - 1.0; };
  return infinite(p, [&](double t) { return 1.0 - g(t) / g(1.0); });
}

}  // namespace

double learning_rate_at(const ScheduleConfig& schedule, double samples, double decay_samples) {
  const Point p{schedule, samples, decay_samples, schedule.warmup_fraction * decay_samples};
  if (p.w > 0 && p.n <= p.w) return p.M() * p.n / p.w;
  switch (schedule.decay_style) {
    case LrDecayStyle::kConstant:
      return constant(p);
    case LrDecayStyle::kLinear:
      return linear(p);
    case LrDecayStyle::kCosine:
      return cosine(p);
    case LrDecayStyle::kInverseSquareRoot:
      return inverse_square_root(p);
    case LrDecayStyle::kInfiniteCosine:
      return infinite(p, half_cosine);
    case LrDecayStyle::kInfiniteInverseSquareRoot:
      return infinite_inverse_square_root(p);
  }
  return p.M();
}

}  // namespace borealis
