// Builds a RunConfig from the environment contract and the command line.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/run_config.h"

namespace borealis {

// How the loader reads a variable; tests hand in a map.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

// Flags beat the environment, the environment beats defaults. Derives what is derived, resolves the
// tokenizer and the data list, validates, and throws one Error(kConfig) that lists every problem
// found, one a line. Requests for help throw HelpRequested.
RunConfig load_run_config(const Environment& environment,
                          const std::vector<std::string>& arguments);

struct HelpRequested {
  std::string text;
};

// The lines of the reference's "ARCHITECTURE" block, and the one-line batch arithmetic summary.
std::vector<std::string> architecture_lines(const RunConfig& config);
std::vector<std::string> batch_lines(const RunConfig& config);

// docs/environment.md: the contract as a table, from the same rows that parse it.
std::string environment_markdown();

}  // namespace borealis
