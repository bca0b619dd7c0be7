// `borealis plan` for machines that one need not have, and their calibration (docs/planner.md).
#pragma once

#include <string>
#include <vector>

namespace borealis {

// One of its flags is among them: the plan is not that of a run on this machine.
bool is_machine_plan(const std::vector<std::string>& arguments);
int run_machine_plan(const std::vector<std::string>& arguments);
std::string machine_plan_help();

}  // namespace borealis
