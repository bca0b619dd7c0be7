// What a run's report says, before it is HTML or Markdown: its tables, sentences and plots.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/report_table.h"
#include "report/run_report.h"
#include "report/svg_plot.h"

namespace borealis {

ReportTable results_table(const std::vector<RunSummary>& runs);
ReportTable facts_table(const RunResults& results);       // what the run came to
ReportTable step_time_table(const StepBreakdown& parts);  // colours: those of step_time_parts
ReportTable memory_table(const RunSummary& summary);      // colours: those of memory_parts
ReportTable named_values_table(const std::string& caption, const std::vector<NamedValue>& values);
ReportTable machine_table(const RunSummary& summary);
ReportTable overlay_table(const RunResults& results);  // the run, and those laid over it

std::vector<BarPart> step_time_parts(const StepBreakdown& parts);
std::vector<BarPart> memory_parts(const RunSummary& summary);

// Sentences.
// Why there is not all of the run; empty of one that ended by itself.
std::string unfinished_sentence(const RunResults& results);
std::string subtitle(const RunSummary& summary);
std::string rank_sentence(const RunSummary& summary);     // what "GPU" means in the columns
std::string formula_sentence(const RunSummary& summary);  // TFLOPs, written out
std::string gemm_sentence(const RunSummary& summary);     // the machine's own rate
std::string medians_sentence(const RunResults& results);
std::string step_time_sentence(const StepBreakdown& parts);
std::string memory_sentence(const RunSummary& summary);
std::string loss_sentence(const RunResults& results);
std::string command_sentence(const RunSummary& summary);  // what the command does if given again

// What the curves of a run lie over.
enum class RunAxis { kIterations, kTokens, kTrainingTime };
PlotSpec loss_plot(const RunResults& results, RunAxis axis = RunAxis::kIterations);
// Rates and times of the steps that made an update. Where a few steps (start-up, validation,
// saving) stand out the axis ends below them, and the description says so.
PlotSpec tokens_per_second_plot(const RunResults& results);
PlotSpec step_time_plot(const RunResults& results);
// None if no step knows its share.
std::optional<PlotSpec> gemm_share_plot(const RunResults& results);
PlotSpec learning_rate_plot(const RunResults& results);
// None if no step knows its gradient norm.
std::optional<PlotSpec> grad_norm_plot(const RunResults& results);

std::string format_significant(double value);  // "1.98", "0.0123", "8018"; "not measured" if NaN
std::string format_percent(double share);      // "63.2 %", with a no-break space

}  // namespace borealis
