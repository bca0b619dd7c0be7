// The options of `data blend` and `data batches`: those of `train`, which make the configuration,
// and a few of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "data/batch.h"

namespace borealis {

struct DataRunOptions {
  RunConfig config;                  // world_size as asked for; the vocabulary may be unknown
  std::vector<Split> splits;         // by --split train|valid|test; empty: not given
  int64_t steps = 1;                 // --steps
  int64_t consumed_samples = 0;      // --consumed-samples
  std::string token_format = "ids";  // --tokens ids|text
  std::vector<std::string> fields = {"tokens"};  // --fields
};

const char* split_option_name(Split split);  // "train", "valid", "test": as --split has it

// What belongs to one of the two commands.
struct DataRunCommand {
  std::string name;                // "blend"
  std::string summary;             // first line of --help
  std::string own_help;            // lines of its own options
  std::vector<std::string> flags;  // of its own options that take a value
};

// Opens the log on stderr. nullopt if help was asked for, which is then printed. Throws
// Error(kUsage) for a wrong value of an own option, and what load_run_config throws.
std::optional<DataRunOptions> read_data_run_options(const std::vector<std::string>& arguments,
                                                    const DataRunCommand& command);

}  // namespace borealis
