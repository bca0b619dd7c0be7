#include "publish/report_plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "base/units.h"
#include "publish/report_tables.h"
#include "report/report_content.h"

namespace borealis {
namespace {

constexpr double kBytesOfGiB = 1024.0 * 1024 * 1024;
constexpr size_t kMostLossLines = 10;

int color_of(size_t index) { return static_cast<int>(index) % kPlotColors; }

double layers_of(const ResultRow& row) { return static_cast<double>(row.layers); }

// "llama3-3B: 8018 at 4 layers to 4202 at 14", of every series.
template <typename Value>
std::string ends_of_series(const PerformanceReport& report, Value value) {
  std::string text;
  for (const std::string& name : series_names(report)) {
    const ResultRow *first = nullptr, *last = nullptr;
    for (const ResultRow& row : report.rows) {
      if (row.series() != name) continue;
      if (first == nullptr) first = &row;
      last = &row;
    }
    text += fmt::format("{}{}: {} at {} layers", text.empty() ? "" : "; ", name,
                        format_significant(value(*first)), first->layers);
    if (last != first) {
      text += fmt::format(", {} at {}", format_significant(value(*last)), last->layers);
    }
  }
  return text + ".";
}

// A line a series; `label` says what the pointer sees on a point.
template <typename Value, typename Label>
void add_series(const PerformanceReport& report, const Value& value, const Label& label,
                PlotSpec& plot) {
  const std::vector<std::string> names = series_names(report);
  for (size_t i = 0; i < names.size(); ++i) {
    PlotSeries series{names[i], color_of(i), false, true};
    for (const ResultRow& row : report.rows) {
      if (row.series() != names[i]) continue;
      series.points.push_back({layers_of(row), value(row), label(row)});
    }
    plot.series.push_back(std::move(series));
  }
}

PlotSpec plot_by_layers(const PerformanceReport& report, const std::string& id,
                        const std::string& quantity, const std::string& y_label) {
  PlotSpec plot;
  plot.id = id;
  plot.title = quantity + " by layers";
  plot.x_label = "layers";
  plot.y_label = y_label;
  plot.y_from_zero = true;
  for (const MemoryEnd& end : report.memory_ends) {
    plot.marks.push_back(static_cast<double>(end.layers));
  }
  if (!plot.marks.empty()) plot.marks_label = "out of memory";
  return plot;
}

std::string point_label(const ResultRow& row, const std::string& value) {
  return fmt::format("{}, {} layers: {}", row.series(), row.layers, value);
}

// A line for the memory that there was, if all ends tell the same.
void add_limit(const PerformanceReport& report, PlotSpec& plot) {
  int64_t limit = 0;
  for (const MemoryEnd& end : report.memory_ends) {
    if (end.limit_bytes <= 0) continue;
    if (limit > 0 && limit != end.limit_bytes) return;
    limit = end.limit_bytes;
  }
  if (limit == 0) return;
  double low = layers_of(report.rows.front()), high = low;
  for (const ResultRow& row : report.rows) {
    low = std::min(low, layers_of(row));
    high = std::max(high, layers_of(row));
  }
  for (const MemoryEnd& end : report.memory_ends) {
    high = std::max(high, static_cast<double>(end.layers));
  }
  const double size = static_cast<double>(limit) / kBytesOfGiB;
  plot.series.push_back(
      {fmt::format("limit, {}", format_bytes(limit)), 5, true, false, {{low, size}, {high, size}}});
}

}  // namespace

PlotSpec tflops_plot(const PerformanceReport& report) {
  PlotSpec plot = plot_by_layers(report, "tflops", "TFLOPs", "TFLOPs a rank (lm)");
  const auto value = [](const ResultRow& row) { return row.tflops.median; };
  add_series(
      report, value,
      [](const ResultRow& row) {
        return point_label(row, fmt::format("{} TFLOPs", format_significant(row.tflops.median)));
      },
      plot);
  plot.description = "TFLOPs. " + ends_of_series(report, value);
  return plot;
}

PlotSpec rate_plot(const PerformanceReport& report) {
  PlotSpec plot =
      plot_by_layers(report, "rate", "Tokens per GPU and second", "tokens per rank and second");
  const auto value = [](const ResultRow& row) { return row.tokens_per_gpu_per_second.median; };
  add_series(
      report, value,
      [](const ResultRow& row) {
        return point_label(
            row,
            fmt::format("{} tokens/s", format_significant(row.tokens_per_gpu_per_second.median)));
      },
      plot);
  plot.description = "Tokens per rank and second. " + ends_of_series(report, value);
  return plot;
}

PlotSpec memory_plot(const PerformanceReport& report) {
  PlotSpec plot = plot_by_layers(report, "memory", "Memory", "peak memory of a rank (GiB)");
  const auto value = [](const ResultRow& row) {
    const int64_t bytes = row.peak_bytes > 0 ? row.peak_bytes : row.planned_bytes;
    if (bytes == 0) return std::numeric_limits<double>::quiet_NaN();  // no program of ours
    return static_cast<double>(bytes) / kBytesOfGiB;
  };
  add_series(
      report, value,
      [](const ResultRow& row) {
        return point_label(row,
                           fmt::format("peak {}, planned {}", measured_bytes_text(row.peak_bytes),
                                       measured_bytes_text(row.planned_bytes)));
      },
      plot);
  add_limit(report, plot);
  plot.description = "Peak memory in GiB. " + ends_of_series(report, value);
  return plot;
}

PlotSpec loss_plot(const PerformanceReport& report) {
  PlotSpec plot;
  plot.id = "losses";
  plot.title = "Loss by tokens";
  plot.x_label = "tokens trained on";
  plot.y_label = "cross entropy (nats per token)";
  size_t runs = 0;
  for (const ResultRow& row : report.rows) {  // a run of each row
    if (plot.series.size() >= kMostLossLines) break;
    const MeasuredRun& run = report.runs[row.runs.front()];
    plot.series.push_back({fmt::format("{}, {} layers", row.series(), row.layers), color_of(runs++),
                           false, false, run.loss});
  }
  plot.description =
      report.rows.size() > runs
          ? fmt::format("Training loss of the first run of each of the first {} configurations.",
                        runs)
          : "Training loss of the first run of each configuration.";
  return plot;
}

namespace {

// Tokens per second of all ranks, by their number.
using RateByRanks = std::map<int64_t, double>;

// Of each configuration that was run on several numbers of ranks, by its name: what else such
// configurations differ in is told.
std::map<std::string, RateByRanks> rates_by_ranks(const PerformanceReport& report) {
  struct Configuration {
    std::string name;
    std::vector<NamedValue> features;
    RateByRanks rates = {};
  };
  std::map<std::string, Configuration> by_key;
  for (const ResultRow& row : report.rows) {
    const MeasuredRun& run = report.runs[row.runs.front()];
    Configuration one{.name = fmt::format("{}, {} layers", row.family, row.layers),
                      .features = rate_features(run)};
    std::erase_if(one.features, [](const NamedValue& value) { return value.name == "WORLD_SIZE"; });
    one.features.push_back({"setting", row.grid});
    std::string key = fmt::format("{}\n{:08}", row.family, row.layers);  // in their order
    for (const NamedValue& feature : one.features) key += '\n' + feature.value;
    by_key.emplace(key, std::move(one)).first->second.rates[run.world_size] =
        row.tokens_per_gpu_per_second.median * static_cast<double>(run.world_size);
  }
  std::erase_if(by_key, [](const auto& one) { return one.second.rates.size() < 2; });
  std::map<std::string, std::set<std::string>> values;
  for (const auto& [key, one] : by_key) {
    for (const NamedValue& feature : one.features) values[feature.name].insert(feature.value);
  }
  std::map<std::string, RateByRanks> rates;
  for (auto& [key, one] : by_key) {
    std::string name = one.name, micro_batch;
    for (const NamedValue& feature : one.features) {
      if (feature.name == "MICRO_BATCH") {
        micro_batch = feature.value;
      } else if (feature.name == "GRAD_ACC_STEPS") {
        name += fmt::format(", {} x {} a rank", micro_batch, feature.value);
      } else if (values[feature.name].size() > 1) {
        name += fmt::format(", {} {}", feature.name, feature.value);
      }
    }
    rates[name] = std::move(one.rates);
  }
  return rates;
}

}  // namespace

std::optional<PlotSpec> scaling_plot(const PerformanceReport& report) {
  const std::map<std::string, RateByRanks> rates = rates_by_ranks(report);
  PlotSpec plot;
  plot.id = "scaling";
  plot.title = "Tokens per second by ranks";
  plot.x_label = "ranks";
  plot.y_label = "tokens per second, all ranks";
  plot.log_x = plot.log_y = true;
  for (const auto& [name, by_ranks] : rates) {
    const int color = color_of(plot.series.size() / 2);
    PlotSeries measured{name, color, false, true}, ideal{"as many times one", color, true, false};
    const auto [fewest, base] = *by_ranks.begin();
    for (const auto& [ranks, rate] : by_ranks) {
      const auto x = static_cast<double>(ranks);
      const double even = base * x / static_cast<double>(fewest);
      measured.points.push_back(
          {x, rate,
           fmt::format("{} ranks: {} tokens/s, {} of {} times {}", ranks, format_significant(rate),
                       format_percent(rate / even), ranks / fewest, fewest)});
      ideal.points.push_back({x, even});
    }
    plot.series.push_back(std::move(measured));
    plot.series.push_back(std::move(ideal));
  }
  if (plot.series.empty()) return std::nullopt;
  plot.description = "Tokens per second of all ranks together, beside as many times the smallest.";
  return plot;
}

std::vector<StepBar> step_bars(const PerformanceReport& report) {
  std::vector<StepBar> bars;
  for (const ResultRow& row : report.rows) {
    if (!row.parts.is_measured()) continue;
    bars.push_back({fmt::format("{}, {} layers", row.series(), row.layers),
                    step_time_sentence(row.parts), step_time_parts(row.parts), row.parts.total_ms});
  }
  return bars;
}

}  // namespace borealis
