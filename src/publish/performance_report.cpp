#include "publish/performance_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/check.h"
#include "base/median.h"
#include "base/not_a_number.h"
#include "model/flop_formulas.h"
#include "publish/cross_checks.h"

namespace borealis {
namespace {

// Of rate_features(): those in which runs of one family differ. The machine is one wherever there
// are several: what is compared then is machines.
std::vector<bool> varying_features(const std::vector<MeasuredRun>& runs) {
  const size_t count = rate_features(runs.front()).size();
  std::vector<bool> varies(count, false);
  std::map<std::string, std::vector<std::set<std::string>>> by_family;
  std::set<std::string> machines;
  for (const MeasuredRun& run : runs) {
    auto& values = by_family[run.family];
    values.resize(count);
    const std::vector<NamedValue> features = rate_features(run);
    for (size_t i = 0; i < count; ++i) values[i].insert(features[i].value);
    machines.insert(features.front().value);
  }
  for (const auto& [family, values] : by_family) {
    for (size_t i = 0; i < count; ++i) varies[i] = varies[i] || values[i].size() > 1;
  }
  varies.front() = machines.size() > 1;
  return varies;
}

std::string variant_of(const MeasuredRun& run, const std::vector<bool>& varies) {
  const std::vector<NamedValue> features = rate_features(run);
  std::vector<std::string> parts;
  for (size_t i = 0; i < features.size(); ++i) {
    if (!varies[i]) continue;
    const bool speaks_for_itself = features[i].name == "machine";
    parts.push_back(speaks_for_itself ? features[i].value
                                      : fmt::format("{}={}", features[i].name, features[i].value));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Settings of sweeps' grids in which runs differ that nothing else tells apart.
std::set<std::string> telling_settings(const std::vector<MeasuredRun>& runs,
                                       const std::vector<bool>& varies) {
  std::map<std::string, std::map<std::string, std::set<std::string>>> by_row;
  std::set<std::string> names;
  for (const MeasuredRun& run : runs) {
    auto& values = by_row[fmt::format("{}\n{}\n{}", run.family, variant_of(run, varies),
                                      run.model.num_hidden_layers)];
    for (const NamedValue& one : run.grid) {
      std::set<std::string>& of_name = values[one.name];
      of_name.insert(one.value);
      if (of_name.size() > 1) names.insert(one.name);
    }
  }
  return names;
}

std::string grid_text(const MeasuredRun& run, const std::set<std::string>& names) {
  std::vector<std::string> parts;
  for (const NamedValue& one : run.grid) {
    if (names.contains(one.name)) parts.push_back(fmt::format("{}={}", one.name, one.value));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

Spread spread_of(const std::vector<const MeasuredRun*>& runs, double StepRecord::*value) {
  Spread spread;
  std::vector<double> medians;
  for (const MeasuredRun* run : runs) {
    medians.push_back(run_median(*run, value));
    for (const StepRecord& step : run->steps) {
      const double one = step.*value;
      if (!std::isfinite(one)) continue;
      spread.low = std::isfinite(spread.low) ? std::min(spread.low, one) : one;
      spread.high = std::isfinite(spread.high) ? std::max(spread.high, one) : one;
    }
  }
  spread.median = finite_median(std::move(medians));
  return spread;
}

// The figures of a row, from its runs.
void measure(const std::vector<MeasuredRun>& all, std::optional<double> peak_tflops,
             ResultRow& row) {
  std::vector<const MeasuredRun*> runs;
  std::vector<const StepRecord*> steps;
  std::vector<double> gemm_rates;
  for (const size_t index : row.runs) {
    const MeasuredRun& run = all[index];
    runs.push_back(&run);
    for (const StepRecord& step : run.steps) steps.push_back(&step);
    gemm_rates.push_back(run.gemm_tflops > 0 ? run.gemm_tflops : kNaN);
    row.planned_bytes = std::max(row.planned_bytes, run.planned_bytes);
    row.peak_bytes = std::max(row.peak_bytes, run.peak_bytes);
  }
  row.step_ms = spread_of(runs, &StepRecord::elapsed_ms);
  row.tokens_per_gpu_per_second = spread_of(runs, &StepRecord::tokens_per_gpu_per_second);
  row.tflops = spread_of(runs, &StepRecord::tflops);
  const MeasuredRun& run = *runs.front();
  for (const FlopFormula& formula : flop_formulas()) {
    row.tflops_by_formula.push_back(row.tokens_per_gpu_per_second.median *
                                    formula.flops_per_token(run.model, run.seq_length) * 1e-12);
  }
  row.gemm_share = row.tflops.median / finite_median(std::move(gemm_rates));
  row.mfu = peak_tflops ? row.tflops.median / *peak_tflops : kNaN;
  row.parts = step_breakdown(steps);
}

std::vector<ResultRow> rows_of(const std::vector<MeasuredRun>& runs,
                               std::optional<double> peak_tflops) {
  const std::vector<bool> varies = varying_features(runs);
  const std::set<std::string> grid_names = telling_settings(runs, varies);
  std::vector<ResultRow> rows;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string grid = grid_text(runs[i], grid_names);
    std::string variant = variant_of(runs[i], varies);
    if (!grid.empty()) variant += (variant.empty() ? "" : ", ") + grid;
    const auto same = std::ranges::find_if(rows, [&](const ResultRow& row) {
      return row.family == runs[i].family && row.variant == variant &&
             row.layers == runs[i].model.num_hidden_layers;
    });
    if (same != rows.end()) {
      same->runs.push_back(i);
      continue;
    }
    ResultRow row;
    row.family = runs[i].family;
    row.variant = variant;
    row.grid = grid;
    row.layers = runs[i].model.num_hidden_layers;
    row.parameters = runs[i].parameters;
    row.runs = {i};
    rows.push_back(std::move(row));
  }
  std::vector<std::string> order;
  for (const ResultRow& row : rows) {
    if (std::ranges::find(order, row.series()) == order.end()) order.push_back(row.series());
  }
  const auto place = [&order](const ResultRow& row) {
    return std::ranges::find(order, row.series()) - order.begin();
  };
  std::ranges::stable_sort(rows, [&](const ResultRow& a, const ResultRow& b) {
    return std::pair(place(a), a.layers) < std::pair(place(b), b.layers);
  });
  for (ResultRow& row : rows) measure(runs, peak_tflops, row);
  return rows;
}

// Settings that every run has, with one value.
std::vector<NamedValue> common_settings(const std::vector<MeasuredRun>& runs) {
  std::vector<NamedValue> common = runs.front().settings;
  for (const MeasuredRun& run : runs) {
    std::erase_if(common, [&run](const NamedValue& one) {
      return std::ranges::none_of(run.settings, [&one](const NamedValue& other) {
        return other.name == one.name && other.value == one.value;
      });
    });
  }
  return common;
}

// Runs of one second get stamps of their own: with model and batch they name a run. Those that come
// from a report have theirs already.
void tell_stamps_apart(std::vector<MeasuredRun>& runs) {
  std::set<std::string> taken;
  std::map<std::string, int> seen;
  for (MeasuredRun& run : runs) {
    if (run.started_at.empty()) run.started_at = "unknown";
    const std::string name = fmt::format("{}-nLayers{}, ", run.family, run.model.num_hidden_layers);
    const std::string stamp = run.started_at;
    while (!taken.insert(name + run.started_at).second) {
      int& count = seen.emplace(name + stamp, 1).first->second;
      run.started_at = fmt::format("{}-{}", stamp, ++count);
    }
  }
}

}  // namespace

std::string ResultRow::series() const {
  return variant.empty() ? family : fmt::format("{}, {}", family, variant);
}

std::string threads_text(const MeasuredRun& run) {
  const int64_t ranks_on_host = std::max<int64_t>(1, run.world_size / run.hosts);
  const int64_t share = std::max<int64_t>(1, run.machine.cores / ranks_on_host);
  return run.threads == 0 || run.threads == share ? "all" : std::to_string(run.threads);
}

std::vector<NamedValue> rate_features(const MeasuredRun& run) {
  const auto number = [](int64_t value) { return std::to_string(value); };
  const auto flag = [](bool value) { return std::string(value ? "1" : "0"); };
  return {{"machine", run.machine_name()},
          {"instruction set", run.isa},
          {"WORLD_SIZE", number(run.world_size)},
          {"DTYPE", run.dtype},
          {"SEQ", number(run.seq_length)},
          {"MICRO_BATCH", number(run.micro_batch_size)},
          {"GRAD_ACC_STEPS", number(run.grad_accum_steps)},
          {"SP", number(run.sequence_parallel_size)},
          {"ZERO_STAGE", number(run.zero_stage)},
          {"ZERO_HPZ_PARTITION_SIZE", number(run.zero_hpz_partition_size)},
          {"--grad-reduce-in-bf16", flag(run.grad_reduce_in_bf16)},
          {"USE_ACTIVATION_CHECKPOINTING", flag(run.recompute)},
          {"ACT_CKPT_NUM_LAYERS", number(run.layers_per_segment)},
          {"threads", threads_text(run)},
          {"DETERMINISTIC", flag(run.deterministic)},
          {"--profile", flag(run.profiled)},
          {"HIDDEN", number(run.model.hidden_size)},
          {"HEADS", number(run.model.num_attention_heads)},
          {"NUM_KV_HEAD", number(run.model.num_key_value_heads)},
          {"head dimension", number(run.model.head_dim)},
          {"FFN_HIDDEN_SIZE", number(run.model.intermediate_size)},
          {"vocabulary", number(run.model.vocab_size)},
          {"head", run.model.tie_word_embeddings ? "tied" : "untied"}};
}

double run_median(const MeasuredRun& run, double StepRecord::*value) {
  std::vector<double> values;
  values.reserve(run.steps.size());
  for (const StepRecord& step : run.steps) values.push_back(step.*value);
  return finite_median(std::move(values));
}

PerformanceReport make_performance_report(ReportSources sources, std::optional<double> peak_tflops,
                                          const std::string& version) {
  CHECK(!sources.runs.empty());
  PerformanceReport report;
  report.runs = std::move(sources.runs);
  report.memory_ends = std::move(sources.memory_ends);
  report.peak_tflops = peak_tflops;
  report.version = version;
  tell_stamps_apart(report.runs);
  report.rows = rows_of(report.runs, peak_tflops);
  report.common_settings = common_settings(report.runs);
  cross_check(report);
  return report;
}

}  // namespace borealis
