#pragma once

#include <string>

namespace borealis {

std::string program_version();  // with the commit that it was built from, "0.1.0 (abcdef0)"

}  // namespace borealis
