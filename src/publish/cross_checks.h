#pragma once

#include "publish/performance_report.h"

namespace borealis {

// Figures that a run has two ways to, at each of its steps and over all: a rank's rate as logged,
// as the global rate over the ranks, and as the batch over the step's time; TFLOPs as logged and as
// the rate times the formula's FLOPs; the number of parameters as logged and by arithmetic; and
// that runs of one row are of one version of the program. Fills checks and disagreements, at most
// one of a kind and run.
void cross_check(PerformanceReport& report);

}  // namespace borealis
