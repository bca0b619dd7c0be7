// What another program says.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace borealis {

// Standard output and error of a short command, found as a shell does, whose standard input is
// empty. None: it is not there, cannot be run, or says nothing. One that does not end within five
// seconds is killed; what it said counts.
std::optional<std::string> program_output(std::vector<std::string> command);

}  // namespace borealis
