// From settings to a RunConfig: each function fills one part, adds what is wrong to `problems`, and
// what is worth a line of the log to the run's notes and warnings.
#pragma once

#include <optional>
#include <string>

#include "config/presets.h"
#include "config/run_config.h"
#include "config/run_config_loader.h"
#include "config/settings.h"

namespace borealis {

// The model that MODEL_ARCH names; none for an unknown one, which is a problem. Puts the model's
// own defaults into `settings`.
std::optional<ModelPreset> choose_preset(Settings& settings, Problems& problems);

// The shape of the model with what the user changes of it; names it.
void derive_shape(const Settings& settings, const ModelPreset& preset, RunConfig& run,
                  Problems& problems);
// Head width, RoPE by layer, positions, standard deviation of the initial weights.
void derive_model_details(const Settings& settings, const ModelPreset& preset, RunConfig& run,
                          Problems& problems);
void derive_batch(const Settings& settings, RunConfig& run, Problems& problems);
void derive_train_length(const Settings& settings, RunConfig& run, Problems& problems);
void derive_split(const Settings& settings, RunConfig& run, Problems& problems);

// Whether there is a Weights & Biases run, and of which project.
void derive_tracking(const Settings& settings, RunConfig& run, Problems& problems);

// Look up files. Paths that are relative are tried from the working directory, then from
// BOREALIS_HOME.
void resolve_tokenizer(const Settings& settings, const ModelPreset& preset,
                       const Environment& environment, bool needs_data, RunConfig& run,
                       Problems& problems);
void resolve_data_list(const Settings& settings, bool needs_data, RunConfig& run,
                       Problems& problems);

// Names of the run's folders (contract section 1.5).
void derive_folders(const Settings& settings, const LoadOptions& options, RunConfig& run);

// Rules over several settings, and one line each where "as run" and "meant" part.
void validate(const Settings& settings, const RunConfig& run, Problems& problems);
// What the user says of ranks and hosts against those that the run has.
void validate_ranks(const Settings& settings, const LoadOptions& options, RunConfig& run,
                    Problems& problems);
void note_differences(const Settings& settings, RunConfig& run);
void warn_of_look_alikes(const Environment& environment, RunConfig& run);

}  // namespace borealis
