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

// What the caller, and not the user, decides.
struct LoadOptions {
  std::string command = "train";              // for the usage line of --help
  int64_t world_size = 1;                     // that MPI started, or of a run that is described
  int64_t hosts = 1;                          // that these ranks are on
  std::optional<int64_t> ranks_per_host = 1;  // none: whatever NGPU_PER_HOST says
  bool needs_data = true;                     // false: a missing data list is no problem (`plan`)
  std::optional<std::string> stamp;      // YYYYmmdd-HHMMSS in the log folder's name; default: now
  std::optional<std::string> host_name;  // default: this machine's
};

// Flags beat the environment, the environment beats the model's own defaults, these the table's.
// Derives what is derived, resolves the tokenizer and the data list, validates, and throws one
// Error that lists every problem found, one a line: kUsage if all of them are in the command line's
// form (an unknown flag, a missing value), else kConfig. Requests for help throw HelpRequested.
RunConfig load_run_config(const Environment& environment, const std::vector<std::string>& arguments,
                          const LoadOptions& options = {});

struct HelpRequested {
  std::string text;
};

// The reference's "ARCHITECTURE" block (its title first, then "NAME: value" lines), and its batch
// arithmetic on one line, followed by two more where the iterations come from a number of tokens.
std::vector<std::string> architecture_lines(const RunConfig& config);
std::vector<std::string> batch_lines(const RunConfig& config);

// docs/environment.md: the contract as a table, from the same rows that parse it.
std::string environment_markdown();

}  // namespace borealis
