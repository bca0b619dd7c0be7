// What `report` does with several runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace borealis {

struct JointReportArguments {
  std::vector<std::string> sources;  // publish/run_sources.h
  std::string output;                // folder of the report; empty: see joint_report
  std::optional<int64_t> warmup_steps;
  std::optional<double> peak_tflops;
  bool json = false;
};

// Writes the performance report of all runs: into the folder of a sweep that is the only source,
// else into logs/report, unless an output is named. Prints its table, or one JSON document.
void joint_report(const JointReportArguments& arguments);

// Prints which rows of `after` changed beyond noise. threshold: a share.
void compare_sources(const std::string& before, const std::string& after,
                     std::optional<int64_t> warmup_steps, double threshold, bool json);

// The report of a sweep's folder, into it.
std::filesystem::path write_sweep_report(const std::filesystem::path& sweep_folder);

}  // namespace borealis
