#include "report/report_profile.h"

#include <fmt/format.h>

#include <algorithm>

namespace borealis {
namespace {

constexpr int kRestColor = 5;
constexpr const char* kRest = "between kernels";

// Groups in the order of their time, which gives them their colours.
std::vector<std::string> groups_of(const StepProfile& profile) {
  std::vector<BarPart> sums;
  for (const KernelTime& kernel : profile.kernels) {
    const auto found = std::ranges::find(sums, kernel.group, &BarPart::label);
    if (found != sums.end()) {
      found->value += kernel.time_ms;
    } else {
      sums.push_back({kernel.group, kernel.time_ms, 0});
    }
  }
  std::ranges::stable_sort(sums, std::ranges::greater(), &BarPart::value);
  std::vector<std::string> groups;
  for (const BarPart& sum : sums) groups.push_back(sum.label);
  return groups;
}

int color_of(size_t group) {
  const int color = static_cast<int>(group);
  return (color < kRestColor ? color : color + 1) % kPlotColors;
}

double rest_ms(const StepProfile& profile) {
  return std::max(0.0, profile.step_ms - profile.kernels_ms());
}

std::string quantity(double value) { return value > 0 ? format_significant(value) : "–"; }

std::string share_text(double part, double whole) {
  return part > 0 && whole > 0 ? format_percent(part / whole) : "–";
}

PlotSeries bandwidth_roof(const StepProfile& profile, double lowest, double ridge) {
  return {.label = fmt::format("bandwidth: {} GB/s",
                               format_significant(profile.triad_bytes_per_s * 1e-9)),
          .color = 8,
          .points = {{lowest, lowest * profile.triad_bytes_per_s * 1e-9},
                     {ridge, profile.gemm_flops_per_s * 1e-9}}};
}

PlotSeries gemm_roof(const StepProfile& profile, double ridge, double highest) {
  const double rate = profile.gemm_flops_per_s * 1e-9;
  return {.label = fmt::format("GEMM rate: {} GFLOP/s", format_significant(rate)),
          .color = 9,
          .points = {{ridge, rate}, {highest, rate}}};
}

}  // namespace

std::string profile_sentence(const StepProfile& profile) {
  std::string text = fmt::format(
      "Iterations {} to {}, kernel by kernel; a mean step takes {:.1f}\u00a0ms:",
      profile.first_iteration, profile.first_iteration + profile.steps - 1, profile.step_ms);
  const char* separator = " ";
  for (const BarPart& part : profile_parts(profile)) {
    text +=
        fmt::format("{}{} {}", separator, part.label, format_percent(part.value / profile.step_ms));
    separator = ", ";
  }
  return text + ".";
}

std::vector<BarPart> profile_parts(const StepProfile& profile) {
  std::vector<BarPart> parts;
  const std::vector<std::string> groups = groups_of(profile);
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] == kBesideKernels) continue;
    const std::string& group = groups[i];
    parts.push_back({group, 0, color_of(i)});
    for (const KernelTime& kernel : profile.kernels) {
      if (kernel.group == group) parts.back().value += kernel.time_ms;
    }
  }
  parts.push_back({kRest, rest_ms(profile), kRestColor});
  return parts;
}

ReportTable kernel_table(const StepProfile& profile) {
  ReportTable table;
  table.caption = "Kernels of a step";
  table.header = {"kernel",  "calls",        "ms", "share", "GFLOP",
                  "GFLOP/s", "of GEMM rate", "MB", "GB/s",  "of triad"};
  table.numeric = {false, true, true, true, true, true, true, true, true, true};
  const std::vector<std::string> groups = groups_of(profile);
  for (const KernelTime& kernel : profile.kernels) {
    const auto group = std::ranges::find(groups, kernel.group) - groups.begin();
    table.rows.push_back({kernel.name, fmt::format("{:g}", kernel.calls),
                          fmt::format("{:.2f}", kernel.time_ms),
                          format_percent(kernel.time_ms / profile.step_ms),
                          quantity(kernel.flops * 1e-9), quantity(kernel.flops_per_s() * 1e-9),
                          share_text(kernel.flops_per_s(), profile.gemm_flops_per_s),
                          quantity(kernel.bytes * 1e-6), quantity(kernel.bytes_per_s() * 1e-9),
                          share_text(kernel.bytes_per_s(), profile.triad_bytes_per_s)});
    table.colors.push_back(color_of(static_cast<size_t>(group)));
  }
  const auto add_sum = [&](const std::string& name, double time_ms, int color) {
    table.rows.push_back(
        {name, "", fmt::format("{:.2f}", time_ms), format_percent(time_ms / profile.step_ms)});
    table.rows.back().resize(table.header.size());
    table.colors.push_back(color);
  };
  add_sum(kRest, rest_ms(profile), kRestColor);
  add_sum("together", profile.step_ms, -1);
  return table;
}

PlotSpec roofline_plot(const StepProfile& profile) {
  PlotSpec plot;
  plot.id = "roofline";
  plot.title = "Roofline";
  plot.description = roofline_sentence(profile);
  plot.x_label = "FLOPs per byte (log scale)";
  plot.y_label = "GFLOP/s (log scale)";
  plot.log_x = plot.log_y = true;
  const double ridge = profile.gemm_flops_per_s / profile.triad_bytes_per_s;
  double lowest = ridge / 10;
  double highest = ridge * 10;
  std::vector<PlotSeries> dots;
  for (const std::string& group : groups_of(profile)) {
    PlotSeries series{.label = group, .color = color_of(dots.size()), .line = false};
    for (const KernelTime& kernel : profile.kernels) {
      if (kernel.group != group || kernel.flops <= 0 || kernel.bytes <= 0) continue;
      const double intensity = kernel.flops / kernel.bytes;
      const double rate = kernel.flops_per_s() * 1e-9;
      lowest = std::min(lowest, intensity);
      highest = std::max(highest, intensity);
      series.points.push_back(
          {intensity, rate,
           fmt::format("{}: {} GFLOP/s, {} GB/s, {} FLOPs a byte", kernel.name,
                       format_significant(rate), format_significant(kernel.bytes_per_s() * 1e-9),
                       format_significant(intensity))});
    }
    dots.push_back(std::move(series));
  }
  // A group that only moves memory has no dot; its colour is spent all the same.
  std::erase_if(dots, [](const PlotSeries& series) { return series.points.empty(); });
  plot.series = {bandwidth_roof(profile, lowest, ridge), gemm_roof(profile, ridge, highest)};
  std::ranges::move(dots, std::back_inserter(plot.series));
  return plot;
}

std::string roofline_sentence(const StepProfile& profile) {
  double memory_bound_ms = 0;
  const double ridge = profile.gemm_flops_per_s / profile.triad_bytes_per_s;
  for (const KernelTime& kernel : profile.kernels) {
    if (kernel.group == kBesideKernels) continue;
    if (kernel.flops < ridge * kernel.bytes) memory_bound_ms += kernel.time_ms;
  }
  return fmt::format(
      "Each dot is a kernel. Left of {} FLOPs a byte memory bounds it, right of that arithmetic: "
      "{} of the time is spent on the left. Bytes are those that have to move, caches aside, so "
      "what stays in a cache may lie above the slope; what does no arithmetic has no dot.",
      format_significant(ridge), format_percent(memory_bound_ms / profile.step_ms));
}

}  // namespace borealis
