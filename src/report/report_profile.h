// What a report says of a profile: the kernels as a table, and against the machine's two roofs
// (Williams, Waterman, Patterson 2009, "Roofline").
#pragma once

#include <string>
#include <vector>

#include "report/report_content.h"
#include "report/svg_plot.h"
#include "telemetry/step_profile.h"

namespace borealis {

std::string profile_sentence(const StepProfile& profile);
std::vector<BarPart> profile_parts(const StepProfile& profile);  // a group each, and the rest
ReportTable kernel_table(const StepProfile& profile);            // colours: those of profile_parts
// Kernels that do arithmetic, by FLOPs a byte and FLOP/s, under the GEMM rate and the bandwidth.
PlotSpec roofline_plot(const StepProfile& profile);
std::string roofline_sentence(const StepProfile& profile);

}  // namespace borealis
