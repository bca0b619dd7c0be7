// CLI11 for the subcommands that take no RunConfig.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace borealis {

// False if help was asked for, which is then printed. Throws Error(kUsage) for a wrong command
// line.
bool parse_arguments(CLI::App& app, const std::vector<std::string>& arguments);

}  // namespace borealis
