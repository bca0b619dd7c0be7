// The tables and sentences of a performance report, for Markdown and HTML alike.
#pragma once

#include <string>
#include <vector>

#include "publish/performance_report.h"
#include "report/report_table.h"

namespace borealis {

// model-arch | nlayers | model size (B) | tpgps | TFLOPs, in the report's order, and behind them
// how far the steps spread, the share of the GEMM rate, memory and the number of runs.
ReportTable performance_table(const PerformanceReport& report);
ReportTable formula_table(const PerformanceReport& report);  // a row's TFLOPs by every formula
ReportTable formula_texts();
ReportTable memory_end_table(const PerformanceReport& report);
ReportTable step_part_table(const PerformanceReport& report);
ReportTable machines_table(const PerformanceReport& report);
ReportTable disagreement_table(const PerformanceReport& report);

std::string measured_bytes_text(int64_t bytes);  // "not measured" of 0

std::string report_title(const PerformanceReport& report);
std::string report_subtitle(const PerformanceReport& report);
std::string window_sentence(const PerformanceReport& report);
std::string columns_sentence(const PerformanceReport& report);
// "Memory ends for llama3-3B at 16 layers (does not fit: ...)"; empty where it ends nowhere.
std::string memory_end_sentence(const PerformanceReport& report);
std::string checks_sentence(const PerformanceReport& report);

// "HEADS: 24" and so on, of a family: lines of its architecture block.
struct ArchitectureBlock {
  std::string name;  // "llama3-3B-architecture.yaml"
  std::string text;
};
std::vector<ArchitectureBlock> architecture_blocks(const PerformanceReport& report);
// "NAME: value", a line each, of the settings that all runs share.
std::string common_settings_text(const PerformanceReport& report);

// The series of the plots, each once, in the order of their rows.
std::vector<std::string> series_names(const PerformanceReport& report);

}  // namespace borealis
