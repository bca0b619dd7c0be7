// The plots of a performance report.
#pragma once

#include <optional>
#include <vector>

#include "publish/performance_report.h"
#include "report/svg_plot.h"

namespace borealis {

// Over the number of layers, a line a series; layers that ran out of memory are marked.
PlotSpec tflops_plot(const PerformanceReport& report);
PlotSpec rate_plot(const PerformanceReport& report);
PlotSpec memory_plot(const PerformanceReport& report);
// Over the tokens trained on, a line a run.
PlotSpec loss_plot(const PerformanceReport& report);
// Tokens per second of all ranks over their number, for models that were run on several; none
// where there is no such model.
std::optional<PlotSpec> scaling_plot(const PerformanceReport& report);

// A bar a row: how its step's time divides.
struct StepBar {
  std::string name;
  std::string description;
  std::vector<BarPart> parts;
  double total_ms = 0;
};
std::vector<StepBar> step_bars(const PerformanceReport& report);

}  // namespace borealis
