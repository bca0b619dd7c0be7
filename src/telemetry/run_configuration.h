// The configuration of a run as a report shows it: names and values, in order.
#pragma once

#include <string>
#include <vector>

#include "config/run_config.h"

namespace borealis {

struct NamedValue {
  std::string name;
  std::string value;
};

// The contract's variables and the values this run resolved them to, grouped as the contract does.
// Together they reproduce the run; a variable that only has its empty default is left out.
std::vector<NamedValue> contract_variables(const RunConfig& config);
// The shape of the model in words, with the letters that FLOP formulas use.
std::vector<NamedValue> architecture_values(const RunConfig& config);

}  // namespace borealis
