// What a machine is calibrated with: run folders, sweeps, published reports, tables of steps, and
// links as doctor measured them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planner/calibration.h"
#include "planner/machine_model.h"
#include "planner/measured_links.h"

namespace borealis {

struct CalibrationInput {
  std::vector<MeasuredStep> steps;
  std::string source;  // of all, for the machine file
  // Without a base, what runs of this program say of the machine that they ran on; none where there
  // are no runs.
  std::optional<MachineModel> machine;
  std::vector<MeasuredLinks> links;
};

// places: folders of finished runs (summary.json, config.json, metrics.jsonl) or of a sweep, whose
// steps are the medians of their reports; a published report in Markdown, whose raw rates count; a
// table (.csv, planner/step_table.h); what `borealis doctor --json` printed (.json,
// planner/measured_links.h). Reports and tables need `base`, for its ranks and DTYPE.
// Throws Error(kFile), Error(kData), and Error(kConfig) for runs of more than one machine, kind of
// kernels or DTYPE, on part of their cores, or on a GPU without a base.
CalibrationInput read_calibration_input(const std::vector<std::string>& places,
                                        const std::optional<MachineModel>& base);

}  // namespace borealis
