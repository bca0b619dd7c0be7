#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/text.h"
#include "config/derive.h"
#include "config/host_list.h"
#include "config/lr_decay_style.h"
#include "config/schedule_rules.h"
#include "config/tokenizer_types.h"

namespace borealis {
namespace {

void validate_skips(const Settings& settings, const ScheduleLimits& limits, Problems& problems) {
  for (const IterationRange& range : limits.ranges_to_skip) {
    if (range.first >= 1 && range.last >= range.first) continue;
    problems.settings.push_back(
        fmt::format("{} is not pairs of a first and a last iteration, such as 10 20",
                    settings.spelled("--train-range-to-skip")));
    break;
  }
  for (const int64_t iteration : limits.forward_only_after) {
    if (iteration >= 0) continue;
    problems.settings.push_back(fmt::format("{} has a number below 0; iterations count from 0 done",
                                            settings.spelled("--train-iters-to-skip")));
    break;
  }
}

// Where a run starts from: what excludes one another.
void validate_start(const Settings& settings, const RunConfig& run, Problems& problems) {
  const CheckpointConfig& checkpoint = run.checkpoint;
  constexpr std::string_view kOverride = "OVERRIDE_CKPT_OPT_PARAM";
  constexpr std::string_view kUse = "--use-checkpoint-opt_param-scheduler";
  if (settings.given(kOverride) && settings.given(kUse) && settings.is_on(kUse)) {
    problems.settings.push_back(fmt::format("{} and {} contradict each other; give one of them",
                                            settings.spelled(kOverride), settings.spelled(kUse)));
  }
  if (checkpoint.no_load && (checkpoint.finetune || settings.given("LOAD"))) {
    problems.settings.push_back(
        fmt::format("--no-load and {} contradict each other; give one of them",
                    checkpoint.finetune ? "--finetune" : settings.spelled("LOAD")));
  }
  if (checkpoint.keep_every > 0 && checkpoint.keep_last == 0) {
    problems.settings.push_back(
        "--keep-every says what stays besides the newest checkpoints; give --keep-last, too");
  }
}

void validate_schedule(const Settings& settings, const ScheduleConfig& schedule,
                       Problems& problems) {
  if (schedule.min_learning_rate > schedule.learning_rate) {
    problems.settings.push_back(fmt::format(
        "{} is above {}: the learning rate would rise; lower the one or raise the other",
        settings.spelled("--min-lr"), settings.spelled("LR")));
  }
  if (schedule.warmup_fraction >= 1) {
    problems.settings.push_back(
        fmt::format("{} must be below 1: the warmup has to end before the "
                    "decay does",
                    settings.spelled("LR_WARMUP_FRAC")));
  }
  const std::vector<std::string> faults = schedule_faults(schedule);
  problems.settings.insert(problems.settings.end(), faults.begin(), faults.end());
}

void validate_optimizer(const Settings& settings, const OptimizerConfig& optimizer,
                        Problems& problems) {
  if (optimizer.beta1 >= 1) {
    problems.settings.push_back(fmt::format("{} must be below 1", settings.spelled("ADAM_BETA1")));
  }
  if (optimizer.beta2 >= 1) {
    problems.settings.push_back(fmt::format("{} must be below 1", settings.spelled("ADAM_BETA2")));
  }
  if (static_cast<float>(optimizer.eps) <= 0) {
    problems.settings.push_back(
        fmt::format("{} must be above 0 in f32: an unused parameter would be divided by it",
                    settings.spelled("ADAM_EPS")));
  }
}

void validate_documents(const Settings& settings, const RunConfig& run, Problems& problems) {
  const DataConfig& data = run.data;
  const bool model_known = run.model.vocab_size > 0;
  if (data.eod_token && model_known && *data.eod_token >= run.model.vocab_size) {
    problems.settings.push_back(fmt::format("{} is beyond the vocabulary of {}",
                                            settings.spelled("--eod-token-id"),
                                            run.model.vocab_size));
  }
  if (data.eod_token || !data.looks_at_documents() || !model_known) return;
  if (tokenizer_source(data)) return;  // the tokenizer will be asked
  for (const std::string_view flag :
       {"--eod-mask-loss", "--reset-position-ids", "--reset-attention-mask"}) {
    if (!settings.is_on(flag)) continue;
    problems.settings.push_back(
        fmt::format("{} needs to know the token that ends a document, but there is no tokenizer; "
                    "give its id with --eod-token-id",
                    flag));
  }
}

void validate_profile(const Settings& settings, const RunConfig& run, Problems& problems) {
  const ProfileConfig& profile = run.profile;
  if (!profile.enabled) return;
  if (profile.end_iteration <= profile.first_iteration) {
    problems.settings.push_back(fmt::format("{} is not above {}: no step would be timed",
                                            settings.spelled("--profile-step-end"),
                                            settings.spelled("--profile-step-start")));
  }
  if (profile.first_iteration > run.limits.train_iters) {
    problems.settings.push_back(fmt::format(
        "--profile begins at iteration {}, after the last of {}; lower --profile-step-start",
        profile.first_iteration, run.limits.train_iters));
  }
}

void note_without_effect(const Settings& settings, RunConfig& run) {
  struct Condition {
    std::string_view key;
    bool has_effect;
    std::string_view why_not;
  };
  const bool infinite = is_infinite(run.schedule.decay_style);
  constexpr std::string_view kInfinite = "without an infinite LR_DECAY_STYLE";
  const bool saves = run.output.save_checkpoints, reads = !run.data.mock_data;
  for (const Condition& condition : {
           Condition{"--profile-step-start", run.profile.enabled, "without --profile"},
           {"--profile-step-end", run.profile.enabled, "without --profile"},
           {"ACT_CKPT_NUM_LAYERS", run.recompute.enabled, "without USE_ACTIVATION_CHECKPOINTING=1"},
           {"--skip-grad-norm-window", run.optimizer.skip_grad_norm_factor.has_value(),
            "without --skip-grad-norm-factor"},
           {"--constant-lr", infinite, kInfinite},
           {"--cooldown-fraction", infinite, kInfinite},
           {"--constant-fraction", infinite, kInfinite},
           {"--lr_constant_plus_cooldown_frac", run.schedule.constant_plus_cooldown,
            "without --lr_constant_plus_cooldown"},
           {"SAVE_INTERVAL", saves, "with --no-save"},
           {"--keep-last", saves, "with --no-save"},
           {"--keep-every", saves, "with --no-save"},
           {"DATA_CACHE_PATH", reads, "with --mock-data"},
           {"--train-data-exact-num-epochs", reads, "with --mock-data"},
           {"--shuffle-sample-in-corpus", reads, "with --mock-data"},
           {"--blend-sample-in-corpus", reads, "with --mock-data"},
           {"--grad-reduce-in-bf16", run.parallel.world_size > 1, "with one rank"},
           {"--tensorboard-dir", run.tracking.tensorboard, "with NO_TENSORBOARD"},
       }) {
    if (condition.has_effect || !settings.given(condition.key)) continue;
    run.notes.push_back(
        fmt::format("{} has no effect {}", settings.spelled(condition.key), condition.why_not));
  }
}

void note_idle_warmup(RunConfig& run) {
  if (run.limits.train_iters != 1 || run.schedule.warmup_fraction <= 0) return;
  run.notes.emplace_back(
      "the only step has the learning rate 0 and changes no weight: it is the first of a warm-up "
      "(LR_WARMUP_FRAC=0: it has LR)");
}

// As the reference's script tests them.
void warn_of_switches_that_are_on(const Settings& settings, RunConfig& run) {
  constexpr std::array kOff = {"0", "false", "no", "off"};
  for (const auto& [key, setting] : settings.all()) {
    if (setting.row->type != OptionType::kAnyValue) continue;
    if (std::ranges::find(kOff, lower_case(setting.text)) == kOff.end()) continue;
    run.warnings.push_back(
        fmt::format("{}: any value at all switches it on; leave it out where it is not meant",
                    setting.spelled));
  }
}

// Flags that lose against the script's own values in the reference trainer, and win here.
void note_winning_flags(const Settings& settings, RunConfig& run) {
  for (const Settings::Beaten& beaten : settings.beaten()) {
    const bool is_flag = beaten.losing_source == Source::kFlag;
    run.notes.push_back(
        fmt::format("{} beats {} ({})", beaten.winner, beaten.loser,
                    is_flag ? "of a flag the last one counts" : "a flag beats the environment"));
  }
  std::vector<std::string> winners;
  for (const auto& [key, setting] : settings.all()) {
    const OptionRow& row = *setting.row;
    if (setting.source != Source::kFlag || row.ours || row.flag_wins_in_reference) continue;
    if (!row.variable.empty()) winners.push_back(setting.spelled);
  }
  if (winners.empty()) return;
  run.notes.push_back(
      fmt::format("taken from flags: {} (the reference's script would override "
                  "them with its own values)",
                  fmt::join(winners, ", ")));
}

void note_model(const Settings& settings, RunConfig& run) {
  if (run.model.name == "custom") {
    run.notes.push_back(
        "MODEL_ARCH is unset: a shape of your own, with the defaults of the small "
        "model; MODEL_ARCH=7B asks for the reference's default");
  } else if (!settings.given("MODEL_ARCH")) {
    run.notes.push_back(
        "MODEL_ARCH is unset: training a small model of this machine's size; the reference's "
        "default is the 7B, asked for by MODEL_ARCH=7B");
  }
  if (run.model.init_style == InitStyle::kAsRun) {
    run.notes.push_back(fmt::format(
        "initial weights as the reference really makes them: embedding std {:.6f}, like the other "
        "matrices; its flags ask for 0.632456 (--init meant)",
        run.model.init_method_std));
  }
}

// How many ranks a host has is known once they have met (parallel/gathered_weights.h).
void validate_sharding(const Settings& settings, const ParallelConfig& parallel,
                       Problems& problems) {
  const int64_t secondary = parallel.zero_hpz_partition_size;
  if (secondary == 1) return;
  const std::string spelled = settings.spelled("ZERO_HPZ_PARTITION_SIZE");
  if (parallel.zero_stage != 3) {
    problems.settings.push_back(
        fmt::format("{} needs ZERO_STAGE=3, which alone shards the weights, not {}; unset it",
                    spelled, parallel.zero_stage));
  } else if (parallel.world_size > 1 && parallel.world_size % secondary != 0) {
    problems.settings.push_back(
        fmt::format("{} does not divide the run's {} ranks; use a divisor of the ranks of a host",
                    spelled, parallel.world_size));
  }
}

void validate_sequence_parts(const Settings& settings, const RunConfig& run, Problems& problems) {
  const int64_t parts = run.parallel.sequence_parallel_size;
  const auto require_divided = [&](std::string_view what, int64_t number) {
    if (number % parts == 0) return;
    problems.settings.push_back(fmt::format(
        "{} does not divide {} = {}: each of that many ranks has a part of every sequence, and in "
        "attention its heads; use a divisor",
        settings.spelled("SP"), what, number));
  };
  require_divided("SEQ", run.batch.seq_length);
  require_divided("NUM_KV_HEAD", run.model.num_key_value_heads);
}

}  // namespace

void validate(const Settings& settings, const RunConfig& run, Problems& problems) {
  validate_schedule(settings, run.schedule, problems);
  validate_skips(settings, run.limits, problems);
  validate_start(settings, run, problems);
  validate_optimizer(settings, run.optimizer, problems);
  validate_documents(settings, run, problems);
  validate_profile(settings, run, problems);
  validate_sharding(settings, run.parallel, problems);
  validate_sequence_parts(settings, run, problems);
}

void validate_ranks(const Settings& settings, const LoadOptions& options, RunConfig& run,
                    Problems& problems) {
  const auto require = [&](std::string_view key, int64_t asked, int64_t has,
                           std::string_view what) {
    if (asked == has) return;
    problems.settings.push_back(
        fmt::format("{}: this run has {} {}; `borealis launch train` and train_alcf.sh start as "
                    "many as are asked for",
                    settings.spelled(key), has, what));
  };
  const ParallelConfig& parallel = run.parallel;
  const auto asked = [&](std::string_view key) {
    return settings.given(key) ? settings.integer(key) : std::nullopt;
  };
  if (const auto ranks = asked("WORLD_SIZE")) {
    require("WORLD_SIZE", *ranks, parallel.world_size, "in all");
  }
  if (const auto ranks = asked("NGPU_PER_HOST"); ranks && options.ranks_per_host) {
    require("NGPU_PER_HOST", *ranks, *options.ranks_per_host, "on a host");
  }
  const bool is_chosen = settings.given("HOSTFILE");
  const std::string_view key = is_chosen ? "HOSTFILE" : "PBS_NODEFILE";
  if (!settings.given(key)) return;
  try {
    const auto listed = std::ssize(read_host_file(settings.text(key)));
    if (is_chosen) {
      require(key, listed, parallel.hosts, "of them");
    } else if (listed > parallel.hosts) {
      run.warnings.push_back(fmt::format("{} lists {} hosts; this run uses {}",
                                         settings.spelled(key), listed, parallel.hosts));
    }
  } catch (const Error& error) {
    problems.settings.push_back(fmt::format("{}: {}", settings.spelled(key), fault_text(error)));
  }
}

void note_differences(const Settings& settings, RunConfig& run) {
  note_model(settings, run);
  note_winning_flags(settings, run);
  if (settings.given("CLIP_GRAD") && run.optimizer.max_grad_norm != 1.0) {
    run.notes.push_back(fmt::format("{} is honoured; the reference always clips at 1.0",
                                    settings.spelled("CLIP_GRAD")));
  }
  if (run.schedule.constant_plus_cooldown) {
    run.notes.push_back(
        fmt::format("the cooldown fraction {} is the falling part of the schedule, "
                    "as in the reference's code; its notes call it the constant "
                    "part",
                    run.schedule.constant_plus_cooldown_fraction));
  }
  if (run.data.reset_position_ids) {
    run.notes.push_back(
        "--reset-position-ids restarts RoPE with every document; the reference's RoPE ignores it");
  }
  if (run.data.reset_attention_mask) {
    run.notes.push_back(
        "--reset-attention-mask stops attention at the ends of documents; the reference's flash "
        "attention ignores it");
  }
  if (settings.has("NO_FLASH_ATTN")) {
    run.notes.push_back(
        "NO_FLASH_ATTN only drops _flash from the run's name: attention is exact "
        "either way");
  }
  note_without_effect(settings, run);
  note_idle_warmup(run);
  warn_of_switches_that_are_on(settings, run);
}

void warn_of_look_alikes(const Environment& environment, RunConfig& run) {
  std::set<std::string, std::less<>> known;  // read, or warned of already
  const auto warn_if_set = [&](std::string_view name, std::string_view instead) {
    if (!known.insert(std::string(name)).second) return;
    if (const auto value = set_value(environment, name)) {
      run.warnings.push_back(
          fmt::format("{}={} has no effect: nothing reads it; meant is {}", name, *value, instead));
    }
  };
  std::vector<std::string_view> variables;
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      if (!row.variable.empty()) variables.push_back(row.variable);
      variables.insert(variables.end(), row.aliases.begin(), row.aliases.end());
    }
  }
  known.insert(variables.begin(), variables.end());
  for (const LookAlike& entry : look_alikes()) warn_if_set(entry.variable, entry.instead);
  for (const std::string_view variable : variables) {
    for (const std::string& name : misspellings(variable)) warn_if_set(name, variable);
  }
}

}  // namespace borealis
