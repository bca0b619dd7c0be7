#include <fmt/format.h>

#include "report/html_text.h"
#include "report/markdown_parts.h"
#include "report/report_content.h"
#include "report/report_profile.h"
#include "report/run_report.h"

namespace borealis {
namespace {

std::string loss_markdown(const RunResults& results) {
  std::string text = "## Loss\n\n";
  text += fmt::format("![{}](loss.svg)\n\n", escape_markdown_cell(loss_plot(results).description));
  text += markdown_text(loss_sentence(results));
  if (!results.others.empty()) text += markdown_table(overlay_table(results));
  return text;
}

std::string curves_markdown(const RunResults& results) {
  std::string text = "## Throughput, learning rate and gradient\n\n";
  text += markdown_text(tokens_per_second_plot(results).description);
  text += markdown_text(step_time_plot(results).description);
  text += markdown_text(learning_rate_plot(results).description);
  if (const auto norm = grad_norm_plot(results)) text += markdown_text(norm->description);
  return text + "Their curves, and the loss by tokens and by time, are in report.html.\n\n";
}

std::string command_markdown(const RunSummary& run) {
  if (run.command.empty()) return "";
  return "## The command\n\n" + markdown_text(command_sentence(run)) +
         markdown_fence(run.command, "bash") + "\n";
}

std::string sample_markdown(const RunSummary& run) {
  if (run.sample_text.empty()) return "";
  std::string text = "## What the model writes\n\n";
  if (!run.sample_prompt.empty()) {
    text += markdown_text("Continuation of “" + run.sample_prompt + "”:");
  }
  return text + markdown_fence(run.sample_text) + "\n";
}

std::string profile_markdown(const RunResults& results) {
  if (!results.profile) return "";
  const StepProfile& profile = *results.profile;
  std::string text = "## Kernels\n\n" + markdown_text(profile_sentence(profile));
  text += fmt::format("![{}](roofline.svg)\n\n",
                      escape_markdown_cell(roofline_plot(profile).description));
  text += markdown_text(roofline_sentence(profile)) + markdown_table(kernel_table(profile));
  return text +
         "The calls one by one: [trace.json](trace.json), for chrome://tracing or "
         "ui.perfetto.dev.\n\n";
}

std::string settings_markdown(const RunSummary& run) {
  std::string text = "## Model and configuration\n\n";
  if (!run.model_note.empty()) text += "> " + markdown_text(run.model_note);
  text += markdown_table(named_values_table("Architecture", run.architecture));
  std::string variables;
  for (const NamedValue& one : run.configuration) {
    variables += fmt::format("{}: {}\n", one.name, one.value);
  }
  if (!variables.empty()) text += markdown_fence(variables, "yaml") + "\n";
  text += "## Machine\n\n" + markdown_table(machine_table(run));
  return text;
}

}  // namespace

std::string results_table_markdown(const std::vector<RunSummary>& runs) {
  return markdown_table(results_table(runs));
}

std::string render_report_markdown(const RunResults& results) {
  const RunSummary& run = results.summary;
  const StepBreakdown parts = step_breakdown(results.steps, results.summary.resumed_at_iteration);
  std::string text = fmt::format(
      "# {}\n\n", escape_markdown_cell(run.model_name.empty() ? "training run" : run.model_name));
  text += markdown_text(subtitle(run));
  if (const std::string unfinished = unfinished_sentence(results); !unfinished.empty()) {
    text += "> " + markdown_text(unfinished);
  }
  text += loss_markdown(results);
  text += "## Results\n\n" + markdown_table(results_table({run}));
  text += markdown_text(medians_sentence(results) + " " + rank_sentence(run));
  text += markdown_text(formula_sentence(run) + " " + gemm_sentence(run));
  text += curves_markdown(results);
  text += sample_markdown(run);
  text += "## The run in numbers\n\n" + markdown_table(facts_table(results));
  text += command_markdown(run);
  text += "## Where a step's time goes\n\n" + markdown_table(step_time_table(parts));
  text += profile_markdown(results);
  text += "## Memory\n\n" + markdown_text(memory_sentence(run)) + markdown_table(memory_table(run));
  text += settings_markdown(run);
  text += "## Raw data\n\nBeside this file: [metrics.jsonl](metrics.jsonl) (one step a line)";
  if (!results.validations.empty()) text += ", [validation.jsonl](validation.jsonl)";
  text += ", [summary.json](summary.json)";
  if (!results.config_json.empty()) text += ", [config.json](config.json)";
  return text + ", and the same report as [report.html](report.html).\n";
}

}  // namespace borealis
