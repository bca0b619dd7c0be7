#include "telemetry/step_text.h"

#include <fmt/format.h>

#include <cmath>

#include "base/units.h"

namespace borealis {
namespace {

template <typename Format>
std::string known(double value, Format format) {
  if (std::isnan(value)) return "-";
  return std::isinf(value) ? fmt::format("{}", value) : format(value);
}

}  // namespace

std::string loss_text(double loss) {
  return std::isfinite(loss) ? fmt::format("{:.4f}", loss) : fmt::format("{}", loss);
}

std::string grad_norm_text(std::optional<double> norm) {
  if (!norm) return "-";
  if (std::isnan(*norm)) return "nan";  // some have a sign, which says nothing
  return std::abs(*norm) < 1e5 ? fmt::format("{:.3f}", *norm) : fmt::format("{:.2e}", *norm);
}

std::string learning_rate_text(double rate) {
  return known(rate, [](double value) { return fmt::format("{:.2e}", value); });
}

std::string step_time_text(double milliseconds) {
  return known(milliseconds, [](double ms) {
    if (ms < 1000) return fmt::format("{:.1f} ms", ms);
    return ms < 60'000 ? fmt::format("{:.2f} s", ms * 1e-3) : format_duration(ms * 1e-3);
  });
}

std::string token_rate_text(double tokens_per_second) {
  return known(tokens_per_second, [](double rate) { return format_count(std::llround(rate)); });
}

std::string tflops_text(double tflops) {
  return known(tflops, [](double rate) { return fmt::format("{:.{}f}", rate, rate < 10 ? 3 : 1); });
}

std::string gemm_share_text(double share) {
  return share > 0 ? fmt::format("{:.0f} %", 100 * share) : "-";
}

std::string bytes_text(int64_t bytes) { return bytes > 0 ? format_bytes(bytes) : "-"; }

}  // namespace borealis
