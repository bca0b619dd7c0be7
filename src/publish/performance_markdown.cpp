#include <fmt/format.h>

#include "publish/raw_data.h"
#include "publish/report_files.h"
#include "publish/report_plots.h"
#include "publish/report_tables.h"
#include "report/html_text.h"
#include "report/markdown_parts.h"

namespace borealis {
namespace {

std::string image(const PlotSpec& plot) {
  return fmt::format("![{}]({}.svg)\n\n", escape_markdown_cell(plot.description), plot.id);
}

std::string plots_markdown(const PerformanceReport& report) {
  std::string text = "## Plots\n\n" + image(tflops_plot(report)) + image(rate_plot(report)) +
                     image(memory_plot(report));
  if (const auto scaling = scaling_plot(report)) text += image(*scaling);
  return text + image(loss_plot(report));
}

// The parser of published reports takes a list's title from the item before its block.
std::string raw_list(const std::string& title, const std::string& lines) {
  return fmt::format("- {}:\n\n{}\n", title, markdown_fence(lines, "bash"));
}

std::string configs_markdown(const PerformanceReport& report) {
  std::string text = "## Configs\n\n";
  for (const ArchitectureBlock& block : architecture_blocks(report)) {
    text += fmt::format("- {}:\n\n{}\n", escape_markdown_cell(block.name),
                        markdown_fence(block.text, escape_markdown_cell(block.name)));
  }
  const std::string common = common_settings_text(report);
  if (!common.empty()) {
    text += "- Variables that all runs have in common:\n\n" + markdown_fence(common, "yaml") + "\n";
  }
  return text;
}

}  // namespace

std::string render_performance_markdown(const PerformanceReport& report) {
  std::string text = fmt::format("# {}\n\n", escape_markdown_cell(report_title(report)));
  text += markdown_text(report_subtitle(report));
  text += "## Performance Results\n\n" + markdown_table(performance_table(report));
  if (const std::string end = memory_end_sentence(report); !end.empty()) {
    text += markdown_text("Note: " + end);
  }
  text += markdown_text(window_sentence(report)) + markdown_text(columns_sentence(report));
  text += plots_markdown(report);
  text += "## TFLOPs by formula\n\n" + markdown_table(formula_table(report)) +
          markdown_table(formula_texts());
  if (!step_bars(report).empty()) {
    text += "## Where a step's time goes\n\n" + markdown_text("Medians in ms.") +
            markdown_table(step_part_table(report));
  }
  if (!report.memory_ends.empty()) {
    text += "## Out of memory\n\n" + markdown_table(memory_end_table(report));
  }
  text += "## Checks\n\n" + markdown_text(checks_sentence(report));
  if (!report.disagreements.empty()) text += markdown_table(disagreement_table(report));
  text += configs_markdown(report);
  text += "## Machines\n\n" + markdown_table(machines_table(report));
  text += "## Raw Data\n\n";
  text += raw_list("TFLOPs data (of the last step, and the median)", raw_tflops(report));
  text += raw_list("Tokens per gpu per second", raw_tokens_per_gpu(report));
  text += raw_list("Global tokens per second", raw_tokens(report));
  text += raw_list("Model size", raw_sizes(report));
  return text +
         "Step by step: [report.json](report.json); the table with all digits: "
         "[report.csv](report.csv); this report as a page: [report.html](report.html).\n";
}

}  // namespace borealis
