#include "train/run_start.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "base/fault_text.h"
#include "base/rounding.h"
#include "config/run_config_json.h"
#include "config/schedule_rules.h"
#include "telemetry/run_summary.h"
#include "train/other_global_batch.h"
#include "train/renamed_run.h"
#include "train/setting_changes.h"
#include "train/tokenizer_match.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

bool same_folder(const fs::path& a, const fs::path& b) {
  std::error_code unknown;
  return a.lexically_normal() == b.lexically_normal() || fs::equivalent(a, b, unknown);
}

// A run's records, too, have a config.json.
bool holds_a_model(const fs::path& folder) {
  std::error_code unknown;
  return fs::exists(folder / "config.json", unknown) && !is_run_folder(folder);
}

// Where checkpoints of another run lie that this one's would mix with.
void refuse_mixing(const std::string& flag, const std::string& folder) {
  throw Error(
      ErrorKind::kConfig,
      fmt::format("{} begins a run anew, and {} holds the checkpoints of another", flag, folder),
      "save elsewhere (SAVE=... or CKPT_DIR=...), save nothing (--no-save), or leave the "
      "flag out to go on");
}

// A run's steps would lie within one of them.
void refuse_to_save_into_a_model(const std::string& save) {
  const fs::path folder = save;
  const fs::path named = folder.has_filename() ? folder : folder.parent_path();
  std::error_code unknown;
  if (!step_of_folder(named.filename().string()) && !fs::exists(named / kStateFile, unknown)) {
    return;
  }
  throw Error(
      ErrorKind::kConfig,
      fmt::format("SAVE={} is one checkpoint's folder, not that of a run's checkpoints", save),
      "name the folder that it lies in, or another; LOAD=... names a checkpoint");
}

// The step's folder that LOAD names, if it is one of those that the run saves to.
std::optional<std::string> step_among(const std::string& save, const fs::path& load) {
  std::error_code unknown;
  const fs::path named = load.has_filename() ? load : load.parent_path();  // "dir/" is "dir"
  for (const fs::path& folder : {named, fs::weakly_canonical(named, unknown)}) {
    const std::string step = folder.filename().string();
    if (!step_of_folder(step)) continue;
    const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
    if (same_folder(parent, save)) return step;
  }
  return std::nullopt;
}

// Going on from there would write over the steps that came after it, and by the same command again
// and again; from a step that is not there the run would begin anew among the others.
void refuse_going_back(const std::string& load, const std::string& save, const std::string& step,
                       const fs::path& newest) {
  std::error_code unknown;
  const bool there = fs::exists(load, unknown);
  std::string remedy = fmt::format(
      "leave LOAD out to go on with {}, save elsewhere (SAVE=...), or "
      "save nothing (--no-save)",
      newest.filename().string());
  if (there) {
    remedy +=
        fmt::format("; to go back for good write {} into {}/latest and leave LOAD out", step, save);
  }
  throw Error(
      ErrorKind::kConfig,
      fmt::format("LOAD={} {}, and the run would save over the checkpoints beside it", load,
                  there ? "is not the checkpoint that the run goes on with" : "does not exist"),
      remedy);
}

std::string flag_that_begins_anew(const CheckpointConfig& checkpoint) {
  if (checkpoint.no_load) return "--no-load";
  if (checkpoint.finetune) return "--finetune";
  return checkpoint.reset_iteration ? "--reset-iteration" : "";
}

// Data that the run has consumed so far, and the order of what is to come.
void continue_data_order(RunConfig& config, RunState& state) {
  const DataIdentity data = data_identity(config);
  if (data == state.data) {
    const DataOrder begun = state.data_order;
    state.data_order = extended_data_order(config, begun, state.iteration, state.consumed);
    if (state.data_order.train != begun.train) {
      config.notes.push_back(
          "the run goes on for more samples than it was begun for: its data keeps the order that "
          "it began with, then goes on behind it (a run begun with this length has another "
          "order)");
    }
    return;
  }
  config.warnings.push_back(
      fmt::format("the data differs from that of the checkpoint (list, files or split): samples "
                  "from {} on are drawn from the new data in an order of their own",
                  state.consumed.train));
  state.data = data;
  state.data_order = new_data_order(config, state.iteration, state.consumed);
}

// Of a run without data to read, which has no text either, nothing is asked.
bool has_another_tokenizer(const RunConfig& config, const fs::path& folder) {
  const std::optional<TokenizerSource> tokenizer = tokenizer_source(config.data);
  return tokenizer && !config.data.mock_data && !is_tokenizer_of(*tokenizer, folder).value_or(true);
}

// On purpose, maybe: a longer context asks for a larger base of RoPE.
void warn_of_another_use(const ModelDifferences& differences, RunConfig& config) {
  for (const std::string& difference : differences.computation) {
    config.warnings.push_back(difference + ": the weights were trained with the latter");
  }
}

// On purpose, maybe: entries were added.
void warn_of_another_tokenizer(const fs::path& folder, RunConfig& config) {
  if (!has_another_tokenizer(config, folder)) return;
  config.warnings.push_back(
      fmt::format("the tokenizer {} is another than the one in {}, whose weights know the ids of "
                  "that one",
                  config.data.tokenizer_path, folder.string()));
}

// Of the checkpoint are its ends, of the command what lies between them.
void require_whole_schedule(const fs::path& folder, const ScheduleConfig& schedule) {
  const std::vector<std::string> faults = schedule_faults(schedule);
  if (faults.empty()) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("with the learning rates of {}, which go on: {}", folder.string(),
                          fmt::join(faults, "; ")),
              "set them as they were, or take this command's (OVERRIDE_CKPT_OPT_PARAM=1)");
}

void warn_of_ended_schedule(const RunState& state, RunConfig& config) {
  const bool ends = config.schedule.decay_style != LrDecayStyle::kConstant ||
                    config.schedule.constant_plus_cooldown;
  if (!ends) return;
  const int64_t last = last_of_schedule(state.batch_start, config);
  int64_t least = 1;  // iterations behind the schedule's end that are worth a word
  if (const auto& place = state.batch_start.schedule) {
    config.notes.push_back(fmt::format(
        "the learning rate goes by {} since GLOBAL_BATCH changed: its schedule {} with iteration "
        "{}",
        place->step == place->batch ? "iterations" : "samples",
        last < state.iteration ? "ended" : "ends", last));
    least = divide_up(place->batch, place->step);  // whole steps of the batch before are its length
  }
  if (config.limits.train_iters - last < least || config.checkpoint.override_schedule ||
      state.iteration >= config.limits.train_iters) {
    return;
  }
  config.warnings.push_back(
      fmt::format("the checkpoint's learning-rate schedule ends with iteration {} of {}; what "
                  "follows trains at "
                  "{}. OVERRIDE_CKPT_OPT_PARAM=1 takes the schedule of this command",
                  last, config.limits.train_iters, config.schedule.min_learning_rate));
}

}  // namespace

StartChooser::StartChooser(const RunConfig& config) {
  choose_source(config);
  any_ = !candidates_.empty();
  if (candidates_.size() > 1) {
    const fs::path newest = candidates_.front();
    if (const std::string fault = fault_of_latest(newest.parent_path()); !fault.empty()) {
      warnings_.push_back(
          fmt::format("{} counts as the newest checkpoint: {}", newest.filename().string(), fault));
    }
  }
}

// As other trainers have it: LOAD is what a run begins with, and where it has saved checkpoints of
// its own since, it goes on with those.
void StartChooser::choose_source(const RunConfig& config) {
  const CheckpointConfig& checkpoint = config.checkpoint;
  const std::string& save = config.output.checkpoint_dir;
  const fs::path load = checkpoint.load_dir;
  const bool saves = config.output.save_checkpoints;
  const std::vector<fs::path> own = checkpoints_to_start_from(save);
  if (!own.empty()) newest_ = own.front();
  const bool same = same_folder(load, save);
  const std::string anew = flag_that_begins_anew(checkpoint);

  if (saves) refuse_to_save_into_a_model(save);
  if (checkpoint.no_load) {
    if (saves && !own.empty()) refuse_mixing(anew, save);
    if (saves && holds_a_model(save)) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("the run would save into {}, which holds a model", save),
                  "save elsewhere (SAVE=...), or save nothing (--no-save)");
    }
    return;
  }
  const std::optional<std::string> step = same ? std::nullopt : step_among(save, load);
  if (step && saves && !own.empty()) {
    if (!anew.empty()) refuse_mixing(anew, save);
    if (own.front().filename() != *step) {
      refuse_going_back(checkpoint.load_dir, save, *step, own.front());
    }
  }
  if ((checkpoint.finetune || checkpoint.reset_iteration) && same) {
    if (!checkpoint.load_given) {
      throw Error(ErrorKind::kConfig, fmt::format("{} has nothing to begin with", anew),
                  "name a checkpoint or a model's folder with LOAD");
    }
    if (saves && own.empty() && holds_a_model(load)) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("{} would save into {}, which holds the model that it begins with",
                              anew, save),
                  "save elsewhere (SAVE=...), or save nothing (--no-save)");
    }
    if (saves) refuse_mixing(anew, save);
  }
  if (!checkpoint.load_given && !saves) {
    if (!own.empty()) {
      notes_.push_back(fmt::format(
          "--no-save without LOAD: the run starts from scratch, {} is left alone", save));
    }
    return;
  }
  if (saves && !same && !own.empty() && !step) {
    candidates_ = own;
    has_begun_ = true;
    notes_.push_back(
        fmt::format("{} has checkpoints: the run goes on with those, not with LOAD={}{}", save,
                    checkpoint.load_dir, anew.empty() ? "" : " and " + anew));
    return;
  }
  candidates_ = checkpoints_to_start_from(load);
  weights_only_ = checkpoint.finetune;
  reset_ = checkpoint.reset_iteration;
  if (candidates_.empty() && holds_a_model(load)) {
    if (!checkpoint.finetune) {
      if (!checkpoint.load_given) {
        throw Error(ErrorKind::kConfig,
                    fmt::format("the run saves to {}, which holds a model without a training state",
                                checkpoint.load_dir),
                    fmt::format("save elsewhere (SAVE=... or --save); to begin with this model's "
                                "weights add --load {} --finetune",
                                checkpoint.load_dir));
      }
      throw Error(ErrorKind::kConfig,
                  fmt::format("LOAD={} is a model without a training state, so no run goes on from "
                              "it",
                              checkpoint.load_dir),
                  same && saves ? "add --finetune to begin with its weights, and save elsewhere "
                                  "(SAVE=...)"
                                : "add --finetune to begin with its weights");
    }
    weights_folder_ = load;
  } else if (candidates_.empty() && checkpoint.finetune) {
    throw Error(ErrorKind::kFile,
                fmt::format("LOAD={} holds no checkpoint and no model", checkpoint.load_dir),
                "name a run's checkpoints, one step's folder, or a model's folder");
  } else if (candidates_.empty() && checkpoint.load_given) {
    std::error_code unknown;
    const char* what = !fs::exists(load, unknown)        ? "does not exist"
                       : fs::is_directory(load, unknown) ? "holds no checkpoint"
                                                         : "is no folder of checkpoints";
    warnings_.push_back(fmt::format(
        "LOAD={} {}: the run starts from scratch; stop it and correct LOAD if it was to go on",
        checkpoint.load_dir, what));
  } else if (candidates_.empty()) {
    tell_of_new_run(config);
  }
}

// That nothing was found to go on with, to whoever thought that there was something.
void StartChooser::tell_of_new_run(const RunConfig& config) {
  const std::string& save = config.output.checkpoint_dir;
  const OtherRanksRun other = checkpoints_of_other_ranks(config);
  if (other.folder.empty()) {
    notes_.push_back(fmt::format("no checkpoint in {}: the run starts from scratch", save));
    return;
  }
  warnings_.push_back(fmt::format(
      "no checkpoint in {}: the run starts from scratch; the same with other ranks, "
      "ZeRO stage or micro batch has some, and SAVE={} goes on with those{}",
      save, other.folder.string(),
      other.global_batch ? fmt::format("; GLOBAL_BATCH={} keeps its batch", *other.global_batch)
                         : ""));
}

void StartChooser::require_newest(const RunConfig& config) const {
  if (!config.output.save_checkpoints) return;
  const std::string& save = config.output.checkpoint_dir;
  const std::vector<fs::path> own = checkpoints_to_start_from(save);
  if (own.empty() ? newest_.empty() : own.front() == newest_) return;
  throw Error(ErrorKind::kFile,
              fmt::format("another run has changed {} while this one began", save),
              "repeat the command, which goes on with what is there now");
}

void StartChooser::reject(const DamagedCheckpoint& damage) {
  warnings_.push_back(fmt::format("{}", fault_text(damage)));
}

RunStart StartChooser::next(RunConfig& config) {
  config.notes.insert(config.notes.end(), notes_.begin(), notes_.end());
  while (!candidates_.empty()) {
    const fs::path folder = candidates_.front();
    candidates_.erase(candidates_.begin());
    // Step 0 without a state is a model that was imported.
    const bool begins = weights_only_ || folder.filename() == step_folder_name(0);
    if (begins && holds_a_model(folder) && !fs::exists(folder / kStateFolder)) {
      if (reset_) {
        config.notes.push_back(fmt::format("{} has no moments: they begin anew", folder.string()));
      }
      return from_model(config, folder);
    }
    std::optional<OpenedCheckpoint> opened;
    try {
      opened = open_checkpoint(folder);
    } catch (const Error& damage) {
      if (damage.kind() == ErrorKind::kConfig) throw;
      warnings_.push_back(fault_text(damage));
      continue;
    }
    return from_checkpoint(config, std::move(*opened));
  }
  if (any_) {
    throw Error(ErrorKind::kData,
                fmt::format("none of the checkpoints can be loaded:\n  - {}",
                            fmt::join(warnings_, "\n  - ")),
                "restore the files of one of them, or begin anew in another folder (--save)");
  }
  if (!weights_folder_.empty()) return from_model(config, weights_folder_);
  return from_scratch(config);
}

RunStart StartChooser::from_scratch(RunConfig& config) const {
  if (!any_ && weights_folder_.empty() && !config.checkpoint.load_optimizer) {
    config.notes.push_back("--no-load-optim: there is no checkpoint whose moments could be left");
  }
  config.warnings.insert(config.warnings.end(), warnings_.begin(), warnings_.end());
  RunStart start;
  start.state.data = data_identity(config);
  start.state.data_order = new_data_order(config);
  start.state.configuration = saved_configuration(config);
  return start;
}

// `model`: what the folder says of its weights.
RunStart StartChooser::from_weights(RunConfig& config, const nlohmann::json& model,
                                    const fs::path& folder) const {
  const ModelDifferences differences = model_differences(model, config.model);
  if (!differences.shape.empty()) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("{} is another model: {}", folder.string(), fmt::join(differences.shape, "; ")),
        fmt::format("set them alike, or take its architecture with MODEL_ARCH={} and nothing "
                    "beside it that says otherwise",
                    folder.string()));
  }
  RunStart start = from_scratch(config);
  warn_of_another_use(differences, config);
  warn_of_another_tokenizer(folder, config);
  config.notes.push_back(fmt::format("weights are those of {}", folder.string()));
  return start;
}

RunStart StartChooser::from_model(RunConfig& config, const fs::path& folder) const {
  RunConfig there;
  there.model = load_model_config(folder);
  RunStart start = from_weights(config, to_json(there)["model"], folder);
  start.model_folder = folder;
  return start;
}

RunStart StartChooser::from_checkpoint(RunConfig& config, OpenedCheckpoint checkpoint) const {
  const std::string path = (checkpoint.folder / kStateFile).string();
  const nlohmann::json& saved = checkpoint.state.configuration;
  const auto named = step_of_folder(checkpoint.folder.filename().string());
  if (named && *named != checkpoint.state.iteration) {
    config.warnings.push_back(fmt::format("{} holds the state of iteration {}, not of {}",
                                          checkpoint.folder.string(), checkpoint.state.iteration,
                                          *named));
  }
  if (weights_only_) {
    RunStart start =
        from_weights(config, saved.value("model", nlohmann::json()), checkpoint.folder);
    start.checkpoint = std::move(checkpoint);
    return start;
  }
  if (!reset_) end_with_train_tokens(checkpoint.state, config);
  SettingChanges changes = setting_changes(saved, config);
  if (has_another_tokenizer(config, checkpoint.folder)) {
    changes.forbidden.push_back(
        fmt::format("the tokenizer {} is another than the checkpoint's, which lies in its folder",
                    config.data.tokenizer_path));
  }
  if (!changes.forbidden.empty()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("the run cannot go on from {}: {}", checkpoint.folder.string(),
                            fmt::join(changes.forbidden, "; ")),
                "set them as they were, or begin another run in another folder (--save, and no "
                "LOAD)");
  }
  RunStart start;
  start.state = checkpoint.state;
  start.state.batch_start = reset_ ? batch_start_of_reset(checkpoint.state, path, config)
                                   : batch_start_of_resumed(checkpoint.state, path, config);
  if (!config.checkpoint.override_schedule) {
    const bool other_steps = start.state.batch_start.schedule.has_value();
    for (std::string& line : take_saved_schedule(
             saved, path, config, other_steps ? DecaySteps::kOfAnotherBatch : DecaySteps::kAsNow)) {
      config.notes.push_back(line + " (OVERRIDE_CKPT_OPT_PARAM=1 takes this command's)");
    }
    require_whole_schedule(checkpoint.folder, config.schedule);
  }
  for (const std::string& change : changes.allowed) {
    config.notes.push_back("changed since the checkpoint: " + change);
  }
  // Of what LOAD has been begun with, like --finetune: a run that has begun keeps its moments.
  start.load_moments = config.checkpoint.load_optimizer || has_begun_;
  if (!start.load_moments) {
    config.notes.push_back("the optimizer's moments begin anew (--no-load-optim)");
  }
  if (reset_) {
    config.notes.push_back(fmt::format("weights{} are those of {}, iterations begin anew",
                                       start.load_moments ? " and moments" : "",
                                       checkpoint.folder.string()));
  }
  start.resumes = !reset_;
  if (!start.load_moments) start.state.optimizer_steps = 0;
  if (reset_) {
    start.state.iteration = 0;
    start.state.consumed = {};
    start.state.skipped_iterations = start.state.skipped_in_a_row = 0;
    start.state.data = data_identity(config);
    start.state.data_order = new_data_order(config);
  } else {
    continue_data_order(config, start.state);
  }
  warn_of_ended_schedule(start.state, config);
  config.warnings.insert(config.warnings.end(), warnings_.begin(), warnings_.end());
  start.state.configuration = saved_configuration(config);
  start.checkpoint = std::move(checkpoint);
  return start;
}

}  // namespace borealis
