// CLI11 for the subcommands that take no RunConfig.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace borealis {

// False if help was asked for, which is then printed. Throws Error(kUsage) for a wrong command
// line.
bool parse_arguments(CLI::App& app, const std::vector<std::string>& arguments);

// For check(): the value is a number within these bounds, both included. CLI11's own range checks
// cut numbers that are too large, take NaN, and spell bounds with all their digits.
CLI::Validator whole_number(int64_t least, int64_t most = std::numeric_limits<int64_t>::max());
CLI::Validator real_number(double least, double most = std::numeric_limits<double>::max());

}  // namespace borealis
