// The command that a run was started with, for whoever wants to repeat it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/run_config_loader.h"

namespace borealis {

// For bash: as it is where no character has a meaning there, else in '...', or in $'...' where it
// holds control characters.
std::string shell_quoted(std::string_view text);

// Lines that bash takes as one command: the folder that relative paths start from, what is set of
// the variables that a run listens to (those of the contract, of the Hugging Face cache, and of
// OpenMP's binding; none that holds a key), and the arguments of `train` as they were given. Of
// several ranks, `borealis launch train` with variables that say how many.
std::string run_command(const Environment& environment, const std::vector<std::string>& arguments,
                        const std::filesystem::path& folder, int64_t ranks = 1);

}  // namespace borealis
