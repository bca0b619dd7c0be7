#pragma once

#include <map>
#include <string>

#include "publish/measured_run.h"

namespace borealis {

// What the arguments of the reference trainer say of a run: shape, batch, ranks, dtype. Its family
// is the preset of that shape. Throws Error(kData) for one that is missing; `name`: of the file.
void take_reference_arguments(const std::map<std::string, std::string>& arguments,
                              const std::string& name, MeasuredRun& run);

}  // namespace borealis
