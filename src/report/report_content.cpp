#include "report/report_content.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"

namespace borealis {
namespace {

// With no-break spaces, for numbers inside sentences.
std::string unbroken(std::string_view number) {
  std::string text;
  for (const char digit : number) {
    if (digit == ' ') {
      text += "\u00a0";
    } else {
      text += digit;
    }
  }
  return text;
}

std::string plural(int64_t count, const std::string& noun) {
  return fmt::format("{} {}{}", unbroken(format_count(count)), noun, count == 1 ? "" : "s");
}

std::string loss_text(double loss) {
  return std::isfinite(loss) ? fmt::format("{:.4f}", loss) : "not finite";
}

std::string milliseconds_text(double time_ms) {
  if (!std::isfinite(time_ms)) return "not measured";
  return time_ms < 10e3 ? fmt::format("{:.1f} ms", time_ms) : format_duration(time_ms * 1e-3);
}

double share_of(double part, double whole) { return whole > 0 ? part / whole : 0; }

std::string stop_reason(const RunResults& results) {
  const std::string& stopped_by = results.summary.stopped_by;
  if (stopped_by.empty()) return results.is_running ? "the run goes on" : "the run was cut off";
  if (stopped_by == "train_iters") return "all steps done";
  if (stopped_by == "error") return "the run failed";
  return "stopped by " + stopped_by;
}

// 0: of a run that was cut off.
std::string measured_bytes(int64_t bytes) {
  return bytes > 0 ? format_bytes(bytes) : "not measured";
}

}  // namespace

std::string format_significant(double value) {
  if (!std::isfinite(value)) return "not measured";
  if (value == 0) return "0";
  if (std::abs(value) >= 1000) return fmt::format("{:.0f}", value);
  if (std::abs(value) >= 1) return fmt::format("{:.2f}", value);
  const auto leading = static_cast<int>(-std::floor(std::log10(std::abs(value))));
  return fmt::format("{:.{}f}", value, std::min(leading + 2, 12));
}

std::string format_percent(double share) {
  if (!std::isfinite(share)) return "not measured";
  return fmt::format("{:.1f}\u00a0%", share * 100);
}

ReportTable results_table(const std::vector<RunSummary>& runs) {
  ReportTable table;
  table.caption = "Results";
  table.caption_shown = false;
  table.header = {"model-arch", "nlayers", "model size (B)", "tpgps", "TFLOPs"};
  table.numeric = {false, true, true, true, true};
  for (const RunSummary& run : runs) {
    const double billions = static_cast<double>(run.parameters) * 1e-9;
    table.rows.push_back(
        {run.model_name, std::to_string(run.num_hidden_layers), format_significant(billions),
         format_significant(run.tokens_per_gpu_per_second), format_significant(run.tflops)});
  }
  return table;
}

ReportTable facts_table(const RunResults& results) {
  const RunSummary& run = results.summary;
  ReportTable table;
  table.caption = "The run in numbers";
  table.caption_shown = false;
  table.header = {"quantity", "value"};
  table.numeric = {false, false};
  const auto fact = [&table](std::string name, std::string value) {
    table.rows.push_back({std::move(name), std::move(value)});
  };
  fact("parameters", format_count(run.parameters));
  fact("FLOPs per token", fmt::format("{} GFLOP", format_significant(run.flops_per_token * 1e-9)));
  fact("share of the measured GEMM rate", format_percent(run.gemm_share));
  fact("median step", milliseconds_text(run.step_ms));
  if (run.steps == 1) {
    fact("training loss", loss_text(run.first_loss));
  } else {
    fact("training loss, first and last step",
         fmt::format("{} and {}", loss_text(run.first_loss), loss_text(run.final_loss)));
  }
  const auto validation_fact = [&fact](const char* name, const ValidationRecord& record) {
    fact(name, fmt::format("loss {}, perplexity {} (iteration {})", loss_text(record.lm_loss),
                           format_significant(record.perplexity), format_count(record.iteration)));
  };
  if (!results.validations.empty()) validation_fact("last validation", results.validations.back());
  if (results.test) validation_fact("test", *results.test);
  fact("steps", fmt::format("{}, {}", format_count(run.steps), stop_reason(results)));
  if (run.skipped_iterations > 0) {
    fact("skipped steps", fmt::format("{} (no update made; the log says why of each)",
                                      format_count(run.skipped_iterations)));
  }
  for (const NamedValue& one : run.architecture) {
    if (one.name == kDataTokenizer) fact(one.name, one.value);
  }
  if (!results.steps.empty()) {
    fact("tokens trained on", format_count(results.steps.back().consumed_tokens));
  }
  if (run.time_to_first_step_s > 0) {
    std::vector<std::string> phases;
    for (const NamedSeconds& phase : run.start_phases) {
      phases.push_back(fmt::format("{} {:.2f} s", phase.name, phase.seconds));
    }
    fact("start of the process to the first step",
         fmt::format("{}{}{}", format_duration(run.time_to_first_step_s),
                     phases.empty() ? "" : ": ", fmt::join(phases, ", ")));
  }
  if (run.wall_time_s > 0) {
    fact(run.resumed_at_iteration > 0 ? "since it went on" : "whole run",
         format_duration(run.wall_time_s));
  }
  if (!run.stopped_by.empty()) {
    fact("checkpoint", run.checkpoint.empty() ? "none saved" : run.checkpoint);
  }
  return table;
}

std::vector<BarPart> step_time_parts(const StepBreakdown& parts) {
  const std::vector<BarPart> all = {
      {"forward", parts.forward_ms, 0},     {"backward", parts.backward_ms, 1},
      {"optimizer", parts.optimizer_ms, 2}, {"communication", parts.communication_ms, 3},
      {"data", parts.data_ms, 4},           {"other", parts.other_ms, 5}};
  std::vector<BarPart> shown;
  if (!parts.is_measured()) return shown;
  for (const BarPart& part : all) {
    // A run of one rank has nothing to communicate.
    if (part.label != "communication" || part.value > 0) shown.push_back(part);
  }
  return shown;
}

ReportTable step_time_table(const StepBreakdown& parts) {
  ReportTable table;
  table.caption = "Parts of a step";
  table.header = {"part", "median ms", "share"};
  table.numeric = {false, true, true};
  for (const BarPart& part : step_time_parts(parts)) {
    table.rows.push_back({part.label, fmt::format("{:.1f}", part.value),
                          format_percent(share_of(part.value, parts.total_ms))});
    table.colors.push_back(part.color);
  }
  table.rows.push_back({"together", fmt::format("{:.1f}", parts.total_ms), format_percent(1)});
  table.colors.push_back(-1);
  return table;
}

std::vector<BarPart> memory_parts(const RunSummary& summary) {
  std::vector<BarPart> parts;
  for (size_t at = 0; at < summary.memory_classes.size(); ++at) {
    const MemoryClass& one = summary.memory_classes[at];
    parts.push_back({fmt::format("{}: {}", one.name, format_bytes(one.bytes)),
                     static_cast<double>(one.bytes), static_cast<int>(at) % kPlotColors});
  }
  return parts;
}

ReportTable memory_table(const RunSummary& summary) {
  ReportTable table;
  table.caption = "Planned memory by class";
  table.header = {"class", "size", "share", "bytes"};
  table.numeric = {false, true, true, true};
  const auto total = static_cast<double>(summary.planned_memory_bytes);
  const auto add = [&table, total](const std::string& name, int64_t bytes, int color) {
    table.rows.push_back({name, format_bytes(bytes),
                          format_percent(share_of(static_cast<double>(bytes), total)),
                          format_count(bytes)});
    table.colors.push_back(color);
  };
  int color = 0;
  for (const MemoryClass& one : summary.memory_classes) {
    add(one.name, one.bytes, color++ % kPlotColors);
  }
  add("planned", summary.planned_memory_bytes, -1);
  if (summary.peak_memory_bytes > 0) add("peak, measured", summary.peak_memory_bytes, -1);
  return table;
}

ReportTable named_values_table(const std::string& caption, const std::vector<NamedValue>& values) {
  ReportTable table;
  table.caption = caption;
  table.header = {"name", "value"};
  table.numeric = {false, false};
  for (const NamedValue& one : values) table.rows.push_back({one.name, one.value});
  return table;
}

ReportTable machine_table(const RunSummary& summary) {
  const MachineInfo& machine = summary.machine;
  ReportTable table = named_values_table(
      "Machine", {{"host", machine.hostname},
                  {"processor", machine.cpu_model},
                  {"logical cores usable", std::to_string(machine.cores)},
                  {"memory", format_bytes(machine.memory_bytes)},
                  {"system", machine.operating_system},
                  {"instruction set or GPU", summary.isa},
                  {"accelerator", summary.accelerator},
                  {"data type", summary.dtype},
                  {"measured GEMM rate",
                   std::isfinite(summary.gemm_tflops) && summary.gemm_tflops > 0
                       ? fmt::format("{} TFLOP/s", format_significant(summary.gemm_tflops))
                       : "not measured"},
                  {"how it was measured", summary.gemm_measurement},
                  {"Borealis", summary.version}});
  std::erase_if(table.rows,
                [](const auto& row) { return row.front() == "accelerator" && row.back().empty(); });
  table.caption_shown = false;
  return table;
}

std::string unfinished_sentence(const RunResults& results) {
  const RunSummary& run = results.summary;
  if (run.stopped_by == "error") return "This run failed: " + run.failure + ".";
  if (!run.stopped_by.empty()) return "";
  if (results.is_running) return "This run goes on; the report shows what it has written so far.";
  return "This run was cut off (killed, or its machine went down); the report shows what it had "
         "written by then.";
}

std::string subtitle(const RunSummary& summary) {
  std::string text = fmt::format("{} in {} on {}", plural(summary.steps, "step"), summary.dtype,
                                 summary.machine.cpu_model);
  text += fmt::format(" ({})", plural(summary.machine.cores, "core"));
  if (!summary.started_at.empty()) text += ", started " + summary.started_at;
  return text;
}

std::string rank_sentence(const RunSummary& summary) {
  return fmt::format(
      "The columns keep the names of accelerator reports; “per GPU” means per rank here, and this "
      "run had {}. tpgps is tokens per rank and second.",
      plural(summary.world_size, "rank"));
}

std::string formula_sentence(const RunSummary& summary) {
  return fmt::format(
      "TFLOPs follow the {}, with attention counted as the full square and recomputation not "
      "counted: "
      "{} = {} GFLOP a token, TFLOPs = tpgps × F / 10¹². The letters are those of the "
      "architecture table.",
      summary.flops_formula_name, summary.flops_formula,
      fmt::format("{:.9g}", summary.flops_per_token * 1e-9));
}

std::string gemm_sentence(const RunSummary& summary) {
  if (!std::isfinite(summary.gemm_tflops) || summary.gemm_tflops <= 0) {
    return "The machine's GEMM rate was not measured in this run.";
  }
  return fmt::format(
      "The run reached {} of the {} TFLOP/s that matrix products alone reach on this machine "
      "({}).",
      format_percent(summary.gemm_share), format_significant(summary.gemm_tflops),
      summary.gemm_measurement.empty() ? summary.dtype : summary.gemm_measurement);
}

std::string medians_sentence(const RunResults& results) {
  const int64_t resumed_at = results.summary.resumed_at_iteration;
  const MeasuredSteps measured = count_measured_steps(results.steps, resumed_at);
  const std::string since =
      resumed_at > 0 ? fmt::format(" since it went on from step {}", format_count(resumed_at)) : "";
  if (!measured.first_left_out) {
    return fmt::format(
        "The run took a single step{}, so its figures hold the cost of starting up too.", since);
  }
  const bool is_part = results.step_stride > 1;  // of a long run
  const std::string of = is_part ? fmt::format("{} of the steps", format_count(measured.count))
                                 : "the " + plural(measured.count, "step");
  std::string text =
      fmt::format("Rates and times are medians over {} after the first{}", of, since);
  if (measured.all_skipped) text += ", all of them skipped";
  if (measured.skipped > 0 && is_part) {
    text += "; skipped ones left out";
  } else if (measured.skipped > 0) {
    text += fmt::format("; {} left out", plural(measured.skipped, "skipped step"));
  }
  return text + ".";
}

std::string step_time_sentence(const StepBreakdown& parts) {
  std::string text = fmt::format("A step takes {}:", milliseconds_text(parts.total_ms));
  const char* separator = " ";
  for (const BarPart& part : step_time_parts(parts)) {
    text += fmt::format("{}{} {}", separator, part.label,
                        format_percent(share_of(part.value, parts.total_ms)));
    separator = ", ";
  }
  return text + ".";
}

std::string command_sentence(const RunSummary& summary) {
  return fmt::format(
      "In bash, with {} as borealis. Where the run's checkpoints still lie it goes on from them: "
      "--no-load begins anew. A --run-dir of a finished run has to be another.",
      summary.version.empty() ? "the same version" : "version " + summary.version);
}

std::string memory_sentence(const RunSummary& summary) {
  const auto planned = static_cast<double>(summary.planned_memory_bytes);
  const auto peak = static_cast<double>(summary.peak_memory_bytes);
  std::string text = fmt::format("Planned {}, peak {}", format_bytes(summary.planned_memory_bytes),
                                 measured_bytes(summary.peak_memory_bytes));
  if (planned > 0 && peak > 0) {
    text += fmt::format(" ({:+.1f}\u00a0%)", (peak / planned - 1) * 100);
  }
  return text + ".";
}

std::string loss_sentence(const RunResults& results) {
  const RunSummary& run = results.summary;
  std::string text =
      run.steps == 1 ? fmt::format("Training loss {} at the only step", loss_text(run.first_loss))
                     : fmt::format("Training loss from {} at the first step to {} at the last",
                                   loss_text(run.first_loss), loss_text(run.final_loss));
  if (!results.validations.empty()) {
    text += fmt::format("; last validation loss {}", loss_text(results.validations.back().lm_loss));
  }
  if (run.skipped_iterations > 0) {
    text += fmt::format("; {} skipped", plural(run.skipped_iterations, "step"));
  }
  return text + ".";
}

}  // namespace borealis
