#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/units.h"
#include "model/flop_formulas.h"
#include "publish/report_tables.h"
#include "report/report_content.h"
#include "sweep/point.h"

namespace borealis {
namespace {

std::string counted(size_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::vector<std::string> families_of(const PerformanceReport& report) {
  std::vector<std::string> families;
  for (const ResultRow& row : report.rows) {
    if (std::ranges::find(families, row.family) == families.end()) families.push_back(row.family);
  }
  return families;
}

std::string architecture_text(const MeasuredRun& run) {
  const ModelConfig& model = run.model;
  std::string text = fmt::format(
      "HEADS: {}\nHIDDEN: {}\nFFN_HIDDEN_SIZE: {}\nNLAYERS: XX\nNUM_KV_HEAD: {}\nHEAD_DIM: {}\n"
      "VOCAB_SIZE: {}\nTIED_EMBEDDINGS: {}\nSEQ: {}\nUSE_ACTIVATION_CHECKPOINTING: {}\nZERO: {}\n",
      model.num_attention_heads, model.hidden_size, model.intermediate_size,
      model.num_key_value_heads, model.head_dim, model.vocab_size,
      model.tie_word_embeddings ? 1 : 0, run.seq_length, run.recompute ? 1 : 0, run.zero_stage);
  return text;
}

}  // namespace

std::string report_title(const PerformanceReport& report) {
  return fmt::format("Training performance: {}", fmt::join(families_of(report), ", "));
}

std::string report_subtitle(const PerformanceReport& report) {
  std::set<std::string> machines, dtypes;
  for (const MeasuredRun& run : report.runs) {
    machines.insert(run.machine_name());
    dtypes.insert(run.dtype);
  }
  return fmt::format("{} of {} in {} on {}", counted(report.rows.size(), "configuration"),
                     counted(report.runs.size(), "run"), fmt::join(dtypes, " and "),
                     fmt::join(machines, "; "));
}

std::string window_sentence(const PerformanceReport& report) {
  int64_t steps = 0;
  bool are_parts = false;
  std::set<int64_t> warmups;
  for (const MeasuredRun& run : report.runs) {
    steps += static_cast<int64_t>(run.steps.size());
    are_parts = are_parts || run.step_stride > 1;
    warmups.insert(run.warmup_steps);
  }
  return fmt::format(
      "A figure is the median over the steps of a run behind its first {}, and over runs the "
      "median "
      "of these; min and max are of single steps. Together that is {} steps{}.",
      fmt::join(warmups, " or "), format_count(steps),
      are_parts ? ", of long runs a part of them" : "");
}

std::string columns_sentence(const PerformanceReport& report) {
  std::string text = fmt::format(
      "tpgps is tokens per GPU and second, where “GPU” means a rank. TFLOPs are tpgps × F / 10¹² "
      "by the {} (lm below): {}.",
      flop_formula("lm").name, flop_formula("lm").text);
  text +=
      " “Of GEMM rate” is the share of what matrix products alone reached on the machine, "
      "measured in the run itself.";
  if (report.peak_tflops) {
    text += fmt::format(" MFU is against a peak of {} TFLOP/s a rank, as given.",
                        format_significant(*report.peak_tflops));
  }
  return text;
}

std::string memory_end_sentence(const PerformanceReport& report) {
  std::vector<std::string> parts;
  for (const MemoryEnd& end : report.memory_ends) {
    if (end.kind == "beyond_memory") continue;
    const std::string name =
        end.variant.empty() ? end.family : fmt::format("{} ({})", end.family, end.variant);
    const char* how = end.kind == "killed"          ? "killed by the system"
                      : end.kind == "out_of_memory" ? "an allocation failed"
                                                    : "refused by the plan";
    std::string sizes;
    if (end.planned_bytes > 0 && end.limit_bytes > 0) {
      sizes =
          ": " + planned_of_limit(end.planned_bytes, end.limit_bytes, end.kind == "does_not_fit");
    }
    parts.push_back(fmt::format("{} at {} layers ({}{})", name, end.layers, how, sizes));
  }
  if (parts.empty()) return "";
  return fmt::format("Out of memory: {}.", fmt::join(parts, "; "));
}

std::string checks_sentence(const PerformanceReport& report) {
  if (report.disagreements.empty()) {
    return fmt::format(
        "{} were made of figures that a run has two ways to; none disagrees (0.1 %).",
        counted(static_cast<size_t>(report.checks), "check"));
  }
  return fmt::format("{} were made of figures that a run has two ways to; {} by more than 0.1 %:",
                     counted(static_cast<size_t>(report.checks), "check"),
                     report.disagreements.size() == 1
                         ? "one disagrees"
                         : fmt::format("{} disagree", report.disagreements.size()));
}

std::vector<ArchitectureBlock> architecture_blocks(const PerformanceReport& report) {
  std::vector<ArchitectureBlock> blocks;
  for (const ResultRow& row : report.rows) {
    std::string text = architecture_text(report.runs[row.runs.front()]);
    const bool known = std::ranges::any_of(blocks, [&](const ArchitectureBlock& block) {
      return block.text == text && block.name.starts_with(row.family + "-architecture");
    });
    if (known) continue;
    const auto earlier = std::ranges::count_if(blocks, [&](const ArchitectureBlock& block) {
      return block.name.starts_with(row.family + "-architecture");
    });
    const std::string suffix = earlier > 0 ? fmt::format("-{}", earlier + 1) : "";
    blocks.push_back({fmt::format("{}-architecture{}.yaml", row.family, suffix), std::move(text)});
  }
  return blocks;
}

std::string common_settings_text(const PerformanceReport& report) {
  std::string text;
  for (const NamedValue& one : report.common_settings) {
    text += fmt::format("{}: {}\n", one.name, one.value);
  }
  return text;
}

}  // namespace borealis
