#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "report/html_parts.h"
#include "report/html_text.h"
#include "report/report_content.h"
#include "report/report_profile.h"
#include "report/run_report.h"

namespace borealis {
namespace {

std::string tiles(const RunSummary& run) {
  std::string html = "<ul class=\"tiles\">\n";
  const auto tile = [&html](const std::string& figure_text, const std::string& what) {
    html += fmt::format("<li><span class=\"figure\">{}</span><span class=\"what\">{}</span></li>\n",
                        escape_html(figure_text), escape_html(what));
  };
  tile(std::isfinite(run.final_loss) ? fmt::format("{:.3f}", run.final_loss) : "not finite",
       run.steps > 1 && std::isfinite(run.first_loss)
           ? fmt::format("training loss, from {:.3f}", run.first_loss)
           : "training loss");
  tile(format_count(run.parameters), "parameters");
  tile(format_significant(run.tokens_per_gpu_per_second), "tokens per rank and second");
  tile(format_significant(run.tflops), "TFLOPs");
  tile(format_percent(run.gemm_share), "of the measured GEMM rate");
  if (run.peak_memory_bytes > 0) tile(format_bytes(run.peak_memory_bytes), "peak memory");
  return html + "</ul>\n";
}

std::string results_section(const RunResults& results) {
  const RunSummary& run = results.summary;
  std::string html = heading("Results");
  html += html_table(results_table({run}), "results");
  html += paragraph(medians_sentence(results) + " " + rank_sentence(run));
  html += paragraph(formula_sentence(run) + " " + gemm_sentence(run));
  return html;
}

std::string facts_section(const RunResults& results) {
  return heading("The run in numbers") + html_table(facts_table(results), "pairs", false);
}

std::string loss_section(const RunResults& results) {
  const auto choice = [&results](const char* name, RunAxis axis) {
    return Choice{name, interactive_plot(loss_plot(results, axis))};
  };
  std::string html = heading("Loss") + script_hint();
  html += figure(
      html_choice("loss-by", "Loss by",
                  {choice("iteration", RunAxis::kIterations), choice("tokens", RunAxis::kTokens),
                   choice("training time", RunAxis::kTrainingTime)}),
      loss_sentence(results));
  if (!results.others.empty()) html += html_table(overlay_table(results), "rows");
  return html;
}

std::string small_figure(const PlotSpec& plot) {
  return figure(interactive_plot(plot, /*narrow=*/true), plot.description);
}

std::string speed_section(const RunResults& results) {
  const PlotSpec rate = tokens_per_second_plot(results);
  std::string html = heading("Throughput");
  html += figure(interactive_plot(rate), rate.description);
  html += "<div class=\"pair\">\n" + small_figure(step_time_plot(results));
  if (const auto share = gemm_share_plot(results)) html += small_figure(*share);
  return html + "</div>\n";
}

std::string schedule_section(const RunResults& results) {
  std::string html = heading("Learning rate and gradient");
  html += "<div class=\"pair\">\n" + small_figure(learning_rate_plot(results));
  if (const auto norm = grad_norm_plot(results)) html += small_figure(*norm);
  return html + "</div>\n";
}

std::string command_section(const RunSummary& run) {
  if (run.command.empty()) return "";  // of an earlier version
  return heading("The command") + paragraph(command_sentence(run)) + "<pre tabindex=\"0\">" +
         escape_html(run.command) + "</pre>\n";
}

std::string step_time_section(const RunResults& results) {
  const StepBreakdown parts = step_breakdown(results.steps, results.summary.resumed_at_iteration);
  std::string html = heading("Where a step's time goes");
  html += paragraph(step_time_sentence(parts));
  html += render_stacked_bar("step-time", "Parts of a step", step_time_sentence(parts),
                             step_time_parts(parts), parts.total_ms);
  return html + html_table(step_time_table(parts), "parts");
}

std::string profile_section(const RunResults& results) {
  if (!results.profile) return "";
  const StepProfile& profile = *results.profile;
  std::string html = heading("Kernels");
  html += paragraph(profile_sentence(profile));
  html += render_stacked_bar("kernel-groups", "Time by group of kernels", profile_sentence(profile),
                             profile_parts(profile), profile.step_ms);
  html += figure(responsive_plot(roofline_plot(profile)), roofline_sentence(profile));
  html += html_table(kernel_table(profile), "parts");
  return html +
         "<p>The calls one by one: <a href=\"trace.json\">trace.json</a>, for "
         "chrome://tracing or ui.perfetto.dev.</p>\n";
}

std::string memory_section(const RunSummary& run) {
  const auto planned = static_cast<double>(run.planned_memory_bytes);
  const auto peak = static_cast<double>(run.peak_memory_bytes);
  const double full = std::max(planned, peak);
  std::string html = heading("Memory");
  html += paragraph(memory_sentence(run) +
                    " The plan was made before anything was allocated; the peak is the process's "
                    "largest resident size.");
  html += "<div class=\"bars\">\n<span class=\"name\">planned</span>";
  html += render_stacked_bar("memory-planned", "Planned memory",
                             "Planned " + format_bytes(run.planned_memory_bytes) + " by class.",
                             memory_parts(run), full);
  if (run.peak_memory_bytes > 0) {
    html += "<span class=\"name\">peak</span>";
    const std::string peak_text = "peak: " + format_bytes(run.peak_memory_bytes);
    html += render_stacked_bar("memory-peak", "Peak memory", peak_text + ".",
                               {{peak_text, peak, 5}}, full);
  }
  return html + "</div>\n" + html_table(memory_table(run), "parts");
}

std::string sample_section(const RunSummary& run) {
  if (run.sample_text.empty()) return "";
  std::string html = heading("What the model writes");
  if (!run.sample_prompt.empty()) {
    html += paragraph("Continuation of “" + run.sample_prompt + "”:");
  }
  return html + "<pre class=\"prose\">" + escape_html(run.sample_text) + "</pre>\n";
}

std::string settings_section(const RunResults& results) {
  const RunSummary& run = results.summary;
  std::string html = heading("Model and configuration");
  if (!run.model_note.empty()) html += paragraph(run.model_note, "note");
  html += html_table(named_values_table("Architecture", run.architecture), "pairs", false);
  // Two halves side by side where there is room.
  const auto middle =
      run.configuration.begin() + static_cast<std::ptrdiff_t>((run.configuration.size() + 1) / 2);
  html += "<div class=\"pair\">\n";
  html +=
      html_table(named_values_table("Variables, as resolved", {run.configuration.begin(), middle}),
                 "pairs code", false);
  html += html_table(named_values_table("Variables, continued", {middle, run.configuration.end()}),
                     "pairs code", false);
  html += "</div>\n";
  if (!results.config_json.empty()) {
    html += "<details><summary>The whole resolved configuration (config.json)</summary><pre>" +
            escape_html(results.config_json) + "</pre></details>\n";
  }
  html += heading("Machine");
  return html + html_table(machine_table(run), "pairs", false);
}

std::string raw_data_section(const RunResults& results) {
  std::string html = heading("Raw data");
  html += "<p>Beside this page: <a href=\"metrics.jsonl\">metrics.jsonl</a> (one step a line)";
  if (!results.validations.empty()) {
    html += ", <a href=\"validation.jsonl\">validation.jsonl</a>";
  }
  html += ", <a href=\"summary.json\">summary.json</a>";
  if (!results.config_json.empty()) html += ", <a href=\"config.json\">config.json</a>";
  return html + ". <code>borealis report</code> makes this page anew from them.</p>\n";
}

}  // namespace

std::string render_report_html(const RunResults& results) {
  const RunSummary& run = results.summary;
  const std::string title = run.model_name.empty() ? "training run" : run.model_name;
  std::string html = html_page_begin(title, subtitle(run));
  if (const std::string unfinished = unfinished_sentence(results); !unfinished.empty()) {
    html += paragraph(unfinished, "note");
  }
  html += tiles(run);
  html += loss_section(results);
  html += results_section(results);
  html += speed_section(results);
  html += schedule_section(results);
  html += sample_section(run);
  html += facts_section(results);
  html += command_section(run);
  html += step_time_section(results);
  html += profile_section(results);
  html += memory_section(run);
  html += settings_section(results);
  html += raw_data_section(results);
  return html + html_page_end(run.version, /*scripted=*/true);
}

}  // namespace borealis
