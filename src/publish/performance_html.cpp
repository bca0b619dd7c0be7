#include <fmt/format.h>

#include "publish/raw_data.h"
#include "publish/report_files.h"
#include "publish/report_plots.h"
#include "publish/report_tables.h"
#include "report/html_parts.h"
#include "report/html_text.h"

namespace borealis {
namespace {

std::string drawing(const PlotSpec& plot) {
  return figure(responsive_plot(plot), plot.description);
}

std::string plots_section(const PerformanceReport& report) {
  std::string html = heading("By layers");
  html += drawing(tflops_plot(report)) + drawing(rate_plot(report)) + drawing(memory_plot(report));
  if (const auto scaling = scaling_plot(report)) html += heading("By ranks") + drawing(*scaling);
  return html;
}

std::string preformatted(const std::string& text) {
  return "<pre tabindex=\"0\">" + escape_html(text) + "</pre>\n";
}

std::string steps_section(const PerformanceReport& report) {
  const std::vector<StepBar> bars = step_bars(report);
  if (bars.empty()) return "";
  std::string html = heading("Where a step's time goes");
  html += "<div class=\"bars\">\n";
  size_t index = 0;
  for (const StepBar& bar : bars) {
    html += fmt::format("<span class=\"name\">{}</span>", escape_html(bar.name));
    html += render_stacked_bar(fmt::format("step-{}", index++), bar.name, bar.description,
                               bar.parts, bar.total_ms);
  }
  html += "</div>\n<p class=\"key\">";
  for (const BarPart& part : bars.front().parts) {
    html += fmt::format(R"(<span class="swatch c{}" aria-hidden="true"></span>{} )", part.color,
                        escape_html(part.label));
  }
  return html + "</p>\n" + html_table(step_part_table(report), "rows");
}

std::string configs_section(const PerformanceReport& report) {
  std::string html = heading("Configurations");
  for (const ArchitectureBlock& block : architecture_blocks(report)) {
    html += "<h3>" + escape_html(block.name) + "</h3>\n" + preformatted(block.text);
  }
  const std::string common = common_settings_text(report);
  if (!common.empty()) {
    html += "<h3>Variables that all runs have in common</h3>\n" + preformatted(common);
  }
  return html;
}

std::string raw_section(const PerformanceReport& report) {
  std::string html = heading("Raw data");
  const auto list = [&html](const char* title, const std::string& lines) {
    html += fmt::format("<details><summary>{}</summary>{}</details>\n", title, preformatted(lines));
  };
  list("TFLOPs, of the last step and the median", raw_tflops(report));
  list("Tokens per GPU and second", raw_tokens_per_gpu(report));
  list("Tokens per second of all ranks", raw_tokens(report));
  list("Model size, in billions of parameters", raw_sizes(report));
  return html +
         "<p>Beside this page: <a href=\"report.json\">report.json</a> (step by step), <a "
         "href=\"report.csv\">report.csv</a> (the table with all digits), <a "
         "href=\"report.md\">report.md</a>.</p>\n";
}

}  // namespace

std::string render_performance_html(const PerformanceReport& report) {
  std::string html = html_page_begin(report_title(report), report_subtitle(report), true);
  html += heading("Results") + html_table(performance_table(report), "rows");
  if (const std::string end = memory_end_sentence(report); !end.empty()) {
    html += paragraph(end, "note");
  }
  html += paragraph(window_sentence(report)) + paragraph(columns_sentence(report));
  html += plots_section(report);
  html += heading("TFLOPs by formula") + html_table(formula_table(report), "rows") +
          html_table(formula_texts(), "texts");
  html += steps_section(report);
  const PlotSpec losses = loss_plot(report);
  html += heading("Loss") + script_hint() + figure(interactive_plot(losses), losses.description);
  if (!report.memory_ends.empty()) {
    html += heading("Out of memory") + html_table(memory_end_table(report), "texts");
  }
  html += heading("Checks") + paragraph(checks_sentence(report));
  if (!report.disagreements.empty()) html += html_table(disagreement_table(report), "texts");
  html += configs_section(report);
  html += heading("Machines") + html_table(machines_table(report), "texts");
  return html + raw_section(report) + html_page_end(report.version, /*scripted=*/true);
}

}  // namespace borealis
