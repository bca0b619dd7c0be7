#include "publish/comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/json_excerpt.h"
#include "base/median.h"
#include "base/units.h"
#include "publish/report_tables.h"
#include "report/report_content.h"
#include "telemetry/finite_or_null.h"

namespace borealis {
namespace {

constexpr size_t kFewestRuns = 3;
constexpr size_t kMostStretches = 10;
constexpr size_t kStretchSteps = 3;

// What matches a row of one report with one of the other.
std::string key_of(const PerformanceReport& report, const ResultRow& row, bool with_machine) {
  std::string key = fmt::format("{} {}", row.family, row.layers);
  const std::vector<NamedValue> features = rate_features(report.runs[row.runs.front()]);
  for (size_t i = with_machine ? 0 : 2; i < features.size(); ++i) key += "\n" + features[i].value;
  return key + "\n" + row.grid;
}

bool has_one_machine(const PerformanceReport& report) {
  std::set<std::string> machines;
  for (const MeasuredRun& run : report.runs) {
    const std::vector<NamedValue> features = rate_features(run);
    machines.insert(features[0].value + "\n" + features[1].value);
  }
  return machines.size() == 1;
}

double log_median(std::span<const StepRecord> steps) {
  std::vector<double> rates;
  for (const StepRecord& step : steps) {
    const double rate = step.tokens_per_gpu_per_second;
    if (std::isfinite(rate) && rate > 0) rates.push_back(rate);
  }
  return rates.empty() ? std::numeric_limits<double>::quiet_NaN()
                       : std::log(median(std::move(rates)));
}

// Independent looks at a row's rate: its runs, or stretches of them.
std::vector<double> samples_of(const PerformanceReport& report, const ResultRow& row) {
  std::vector<double> samples;
  for (const size_t index : row.runs) {
    const std::span<const StepRecord> steps = report.runs[index].steps;
    const size_t stretches =
        row.runs.size() >= kFewestRuns
            ? 1
            : std::clamp<size_t>(steps.size() / kStretchSteps, 1, kMostStretches);
    for (size_t i = 0; i < stretches; ++i) {
      const size_t begin = i * steps.size() / stretches, end = (i + 1) * steps.size() / stretches;
      samples.push_back(log_median(steps.subspan(begin, end - begin)));
    }
  }
  std::erase_if(samples, [](double value) { return !std::isfinite(value); });
  return samples;
}

struct Sample {
  double mean = 0;
  double squared_error = 0;  // of the mean
  double freedom = 0;
};

std::optional<Sample> sample_of(const std::vector<double>& values) {
  if (values.size() < 2) return std::nullopt;
  const auto count = static_cast<double>(values.size());
  Sample sample;
  for (const double value : values) sample.mean += value / count;
  double squares = 0;
  for (const double value : values) squares += (value - sample.mean) * (value - sample.mean);
  sample.squared_error = squares / (count - 1) / count;
  sample.freedom = count - 1;
  return sample;
}

// Welch's interval of the difference of two means.
void judge(const std::vector<double>& before, const std::vector<double>& after, double threshold,
           ComparedRow& row) {
  const std::optional<Sample> a = sample_of(before), b = sample_of(after);
  if (!a || !b) return;
  const double variance = a->squared_error + b->squared_error;
  double half_width = 0;
  if (variance > 0) {
    const double freedom = variance * variance /
                           (a->squared_error * a->squared_error / a->freedom +
                            b->squared_error * b->squared_error / b->freedom);
    half_width = student_t_99(freedom) * std::sqrt(variance);
  }
  row.uncertainty = std::expm1(half_width);
  const double difference = b->mean - a->mean;
  const bool changed = std::abs(difference) > half_width && std::abs(row.change) > threshold;
  row.verdict = !changed ? Verdict::kSame : difference > 0 ? Verdict::kFaster : Verdict::kSlower;
}

// Of a row that the other report has not; where that has the same model, also by what this one
// differs in from the first of its rows, and its variant does not say.
std::string name_of(const PerformanceReport& report, const ResultRow& row,
                    const PerformanceReport& other) {
  const std::string name = fmt::format("{}, {} layers", row.series(), row.layers);
  const auto like = std::ranges::find_if(other.rows, [&row](const ResultRow& one) {
    return one.family == row.family && one.layers == row.layers;
  });
  if (like == other.rows.end()) return name;
  const std::vector<NamedValue> features = rate_features(report.runs[row.runs.front()]);
  const std::vector<NamedValue> others = rate_features(other.runs[like->runs.front()]);
  std::vector<std::string> differing;
  for (size_t i = 0; i < features.size(); ++i) {
    const std::string feature = fmt::format("{}={}", features[i].name, features[i].value);
    const bool is_said =
        row.variant.find(i == 0 ? features[i].value : feature) != std::string::npos;
    if (features[i].value != others[i].value && !is_said) differing.push_back(feature);
  }
  return differing.empty() ? name : fmt::format("{} ({})", name, fmt::join(differing, ", "));
}

}  // namespace

double student_t_99(double freedom) {
  struct Quantile {
    double freedom, t;
  };
  constexpr std::array kTable = {Quantile{1, 63.657}, Quantile{2, 9.925},  Quantile{3, 5.841},
                                 Quantile{4, 4.604},  Quantile{5, 4.032},  Quantile{6, 3.707},
                                 Quantile{8, 3.355},  Quantile{10, 3.169}, Quantile{15, 2.947},
                                 Quantile{20, 2.845}, Quantile{30, 2.750}, Quantile{60, 2.660}};
  constexpr double kNormal = 2.576;
  if (freedom <= kTable.front().freedom) return kTable.front().t;
  // Straight in 1 / freedom, which lies above the curve.
  Quantile low = kTable.front();
  for (const Quantile& high : kTable) {
    if (freedom <= high.freedom) {
      if (high.freedom == low.freedom) return high.t;
      const double share = (1 / low.freedom - 1 / freedom) / (1 / low.freedom - 1 / high.freedom);
      return low.t + share * (high.t - low.t);
    }
    low = high;
  }
  return kNormal + (low.t - kNormal) * low.freedom / freedom;
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFaster:
      return "faster";
    case Verdict::kSlower:
      return "slower";
    case Verdict::kSame:
      return "within noise";
    case Verdict::kUnknown:
      return "too few steps to tell";
  }
  return "";
}

Comparison compare_reports(const PerformanceReport& before, const PerformanceReport& after,
                           double threshold) {
  const bool with_machine = !has_one_machine(before) || !has_one_machine(after);
  std::map<std::string, const ResultRow*> others;
  for (const ResultRow& row : after.rows) others[key_of(after, row, with_machine)] = &row;
  Comparison comparison;
  std::set<const ResultRow*> matched;
  for (const ResultRow& row : before.rows) {
    const auto found = others.find(key_of(before, row, with_machine));
    if (found == others.end()) {
      comparison.only_before.push_back(name_of(before, row, after));
      continue;
    }
    const ResultRow& other = *found->second;
    matched.insert(&other);
    ComparedRow compared;
    compared.family = row.family;
    compared.variant = row.variant;
    compared.layers = row.layers;
    compared.before = row.tokens_per_gpu_per_second.median;
    compared.after = other.tokens_per_gpu_per_second.median;
    compared.change = compared.after / compared.before - 1;
    compared.peak_before = row.peak_bytes;
    compared.peak_after = other.peak_bytes;
    judge(samples_of(before, row), samples_of(after, other), threshold, compared);
    comparison.rows.push_back(std::move(compared));
  }
  for (const ResultRow& row : after.rows) {
    if (!matched.contains(&row)) comparison.only_after.push_back(name_of(after, row, before));
  }
  return comparison;
}

ReportTable comparison_table(const Comparison& comparison) {
  ReportTable table;
  table.caption = "Comparison";
  table.header = {"model-arch", "nlayers",     "tpgps before", "tpgps after",
                  "change",     "99 % within", "verdict",      "peak before, after"};
  table.numeric = {false, true, true, true, true, true, false, false};
  for (const ComparedRow& row : comparison.rows) {
    table.rows.push_back(
        {row.variant.empty() ? row.family : fmt::format("{}, {}", row.family, row.variant),
         std::to_string(row.layers), format_significant(row.before), format_significant(row.after),
         fmt::format("{:+.1f} %", 100 * row.change),
         row.uncertainty ? fmt::format("± {:.1f} %", 100 * *row.uncertainty) : "-",
         std::string(verdict_name(row.verdict)),
         fmt::format("{}, {}", measured_bytes_text(row.peak_before),
                     measured_bytes_text(row.peak_after))});
  }
  return table;
}

std::string comparison_json(const Comparison& comparison) {
  using Json = nlohmann::ordered_json;
  Json rows = Json::array();
  for (const ComparedRow& row : comparison.rows) {
    rows.push_back({{"model_arch", row.family},
                    {"nlayers", row.layers},
                    {"variant", row.variant},
                    {"tokens_per_gpu_per_second_before", finite_or_null(row.before)},
                    {"tokens_per_gpu_per_second_after", finite_or_null(row.after)},
                    {"change", finite_or_null(row.change)},
                    {"uncertainty_99", finite_or_null(row.uncertainty)},
                    {"verdict", verdict_name(row.verdict)},
                    {"peak_memory_bytes_before", row.peak_before},
                    {"peak_memory_bytes_after", row.peak_after}});
  }
  const Json json = {{"rows", rows},
                     {"only_before", comparison.only_before},
                     {"only_after", comparison.only_after}};
  return json_text(json, 2) + "\n";
}

}  // namespace borealis
