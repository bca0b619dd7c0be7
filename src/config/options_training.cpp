// Rows of the contract: batch and parallelism, optimizer and schedule, length of the run.
#include "config/lr_decay_style.h"
#include "config/option_limits.h"
#include "config/option_store.h"

namespace borealis {
namespace {

constexpr double kMaxBatch = 1'000'000;
constexpr double kMaxTokens = 4e18;

void store_decay_style(RunConfig& run, const OptionValue& value) {
  run.schedule.decay_style = *lr_decay_style_of(std::get<std::string>(value));
}

std::vector<std::string_view> decay_style_names() {
  std::vector<std::string_view> names;
  for (const auto& [style, name] : kLrDecayStyles) names.push_back(name);
  return names;
}

void store_loss_mean(RunConfig& run, const OptionValue& value) {
  run.optimizer.loss_mean =
      std::get<std::string>(value) == "micro-batch" ? LossMean::kMicroBatch : LossMean::kTokens;
}

void store_seed(RunConfig& run, const OptionValue& value) {
  run.seed = static_cast<uint64_t>(std::get<int64_t>(value));
}

// Pairs; what is left over and orders that are wrong are validate()'s to tell.
void store_ranges_to_skip(RunConfig& run, const OptionValue& value) {
  const std::vector<int64_t> ends = parse_integers(value);
  run.limits.ranges_to_skip.clear();
  for (size_t i = 0; i < ends.size(); i += 2) {
    run.limits.ranges_to_skip.push_back({ends[i], i + 1 < ends.size() ? ends[i + 1] : 0});
  }
}

void store_iters_to_skip(RunConfig& run, const OptionValue& value) {
  run.limits.forward_only_after = parse_integers(value);
}

std::vector<OptionRow> parallel_rows() {
  return {
      {.variable = "TP",
       .flags = {"--tensor-model-parallel-size"},
       .type = OptionType::kInteger,
       .default_text = "1",
       .help = "tensor-parallel degree",
       .store = store<&RunConfig::parallel, &ParallelConfig::tensor_parallel_size>,
       .minimum = 1,
       .accepted = {"1"},
       .not_yet = "tensor parallelism is not available yet; use TP=1"},
      {.variable = "PP",
       .flags = {"--pipeline-model-parallel-size"},
       .type = OptionType::kInteger,
       .default_text = "1",
       .help = "pipeline-parallel degree",
       .store = store<&RunConfig::parallel, &ParallelConfig::pipeline_parallel_size>,
       .minimum = 1,
       .accepted = {"1"},
       .not_yet = "pipeline parallelism is not available yet; use PP=1"},
      {.variable = "SP",
       .flags = {"--ds-sequence-parallel-size"},
       .type = OptionType::kInteger,
       .default_text = "1",
       .help = "sequence-parallel (Ulysses) degree: ranks that share each sequence; divides the "
               "ranks, NUM_KV_HEAD and SEQ; on CPUs",
       .store = store<&RunConfig::parallel, &ParallelConfig::sequence_parallel_size>,
       .minimum = 1},
      {.variable = "ZERO_STAGE",
       .flags = {"--zero-stage"},
       .type = OptionType::kInteger,
       .default_text = "0",
       .help = "how much training state is sharded over the ranks",
       .store = store<&RunConfig::parallel, &ParallelConfig::zero_stage>,
       .minimum = 0,
       .maximum = 3},
      {.variable = "WORLD_SIZE",
       .type = OptionType::kInteger,
       .default_note = "NGPU_PER_HOST on every host",
       .help = "ranks of the run; `borealis launch` starts them",
       .minimum = 1},
      {.variable = "NGPU_PER_HOST",
       .type = OptionType::kInteger,
       .default_note =
           "what the scheduler or the host file says, else one a GPU, else one a memory domain",
       .help = "ranks of a host",
       .minimum = 1},
      {.variable = "HOSTFILE",
       .default_note = "the scheduler's hosts, else this one",
       .help = "file with a host a line: name, \"name slots=4\" or \"name:4\""},
      {.variable = "PBS_NODEFILE", .help = "PBS's host file; read where HOSTFILE is unset"},
      {.variable = "MPIEXEC",
       .default_note = "srun under Slurm, else mpiexec or mpirun",
       .help = "launcher of the ranks, and flags for it: \"mpiexec -iface ib0\"",
       .ours = true},
      {.variable = "CPU_BIND",
       .default_note = "each rank has its own share of the cores",
       .help = "what the launcher binds ranks to, in its own words",
       .ours = true},
      {.flags = {"--distributed-timeout-minutes"},
       .type = OptionType::kNumber,
       .default_text = "10",
       .help = "a rank that waits longer for others in one call ends the run; six times as long "
               "while data is opened and checkpoints are loaded and saved",
       .store = store<&RunConfig::parallel, &ParallelConfig::timeout_minutes>,
       .minimum = 0.01,
       .maximum = 1e6},
      {.variable = "LAUNCH_WITH",
       .type = OptionType::kText,
       .default_text = "MPICH",
       .help = "taken as the reference's scripts set it; what starts the ranks is MPIEXEC",
       .accepted = {"MPICH"},
       .not_yet = "this launcher is not available; unset it or use LAUNCH_WITH=MPICH"},
      {.variable = "CCL",
       .aliases = {"BE"},
       .flags = {"--distributed-backend"},
       .type = OptionType::kText,
       .default_text = "mpi",
       .help = "what ranks meet through; GPUs then exchange through NCCL by themselves",
       .accepted = {"mpi"},
       .not_yet = "ranks meet through MPI, and GPUs exchange through NCCL by themselves; unset it "
                  "or use mpi"},
      {.variable = "CPU_OPTIMIZER",
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "optimizer state in the host's memory, apart from the GPU's",
       .accepted = {"false"},
       .not_yet = "the state lies where the run computes; unset it, and see ZERO_STAGE for less of "
                  "it on each rank"},
      {.variable = "ZERO_HPZ_PARTITION_SIZE",
       .type = OptionType::kInteger,
       .default_text = "1",
       .help = "ranks of a host over which ZeRO stage 3 keeps a second copy of the weights (hpZ)",
       .store = store<&RunConfig::parallel, &ParallelConfig::zero_hpz_partition_size>,
       .minimum = 1},
      {.flags = {"--grad-reduce-in-bf16"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "gradients travel between ranks rounded to bf16, half the bytes; sums stay fp32",
       .store = store<&RunConfig::parallel, &ParallelConfig::grad_reduce_in_bf16>},
      {.variable = "COMMS_LOGGER",
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "log of every collective",
       .accepted = {"false"},
       .not_yet = "there is no log of collectives yet; unset it"},
  };
}

std::vector<OptionRow> schedule_rows() {
  return {
      {.variable = "LR",
       .flags = {"--lr"},
       .type = OptionType::kNumber,
       .default_text = "0.0002",
       .help = "highest learning rate",
       .store = store<&RunConfig::schedule, &ScheduleConfig::learning_rate>,
       .minimum = 0,
       .maximum = kMaxRate,
       .flag_wins_in_reference = true},
      {.flags = {"--min-lr"},
       .type = OptionType::kNumber,
       .default_text = "0",
       .help = "learning rate at the end of the decay",
       .store = store<&RunConfig::schedule, &ScheduleConfig::min_learning_rate>,
       .minimum = 0,
       .maximum = kMaxRate},
      {.variable = "LR_DECAY_STYLE",
       .flags = {"--lr-decay-style"},
       .type = OptionType::kChoice,
       .default_text = "cosine",
       .help =
           "how the learning rate falls; the infinite ones fall to --constant-lr and need --min-lr "
           "above 0 and below it",
       .store = store_decay_style,
       .choices = decay_style_names(),
       .flag_wins_in_reference = true},
      {.variable = "LR_WARMUP_FRAC",
       .flags = {"--lr-warmup-fraction"},
       .type = OptionType::kNumber,
       .default_text = "0.05",
       .help = "part of the decay length in which the learning rate rises from 0",
       .store = store<&RunConfig::schedule, &ScheduleConfig::warmup_fraction>,
       .minimum = 0,
       .flag_wins_in_reference = true},
      {.variable = "LR_DECAY_ITERS",
       .flags = {"--lr-decay-iters"},
       .type = OptionType::kInteger,
       .default_note = "TRAIN_ITERS",
       .help = "decay length in iterations",
       .store = store<&RunConfig::schedule, &ScheduleConfig::decay_iters>,
       .minimum = 1,
       .maximum = kMaxIterations,
       .flag_wins_in_reference = true},
      {.flags = {"--lr_constant_plus_cooldown"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "with the style constant: fall at the end of the decay length",
       .store = store<&RunConfig::schedule, &ScheduleConfig::constant_plus_cooldown>},
      {.flags = {"--lr_constant_plus_cooldown_frac"},
       .type = OptionType::kNumber,
       .default_text = "0.05",
       .help = "the falling part of the decay length",
       .store = store<&RunConfig::schedule, &ScheduleConfig::constant_plus_cooldown_fraction>,
       .minimum = 0,
       .maximum = 1},
      {.flags = {"--constant-lr"},
       .type = OptionType::kNumber,
       .default_text = "1.1e-4",
       .help = "plateau of the infinite styles",
       .store = store<&RunConfig::schedule, &ScheduleConfig::constant_learning_rate>,
       .minimum = 0,
       .maximum = kMaxRate},
      {.flags = {"--cooldown-fraction"},
       .type = OptionType::kNumber,
       .default_text = "0.65",
       .help = "part of the decay length in which the infinite styles fall to the plateau",
       .store = store<&RunConfig::schedule, &ScheduleConfig::cooldown_fraction>,
       .minimum = 0,
       .maximum = 1},
      {.flags = {"--constant-fraction"},
       .type = OptionType::kNumber,
       .default_text = "0.001",
       .help = "length of the plateau as a part of the decay length",
       .store = store<&RunConfig::schedule, &ScheduleConfig::constant_fraction>,
       .minimum = 0,
       .maximum = 1},
  };
}

std::vector<OptionRow> update_rows() {
  return {
      {.variable = "OPT",
       .aliases = {"OPTIMIZER", "OPTIM"},
       .flags = {"--optimizer"},
       .type = OptionType::kChoice,
       .default_text = "adamw",
       .help = "optimizer",
       .store = store<&RunConfig::optimizer, &OptimizerConfig::name>,
       .choices = {"adamw", "adam", "apex.adam", "apex.sgd", "adam8bit", "adamwschedulefree",
                   "sgdschedulefree", "ipex.lamb", "ipex.fusedlamb", "ds.fusedlamb",
                   "ds.onebitlamb", "dshampooadamw", "sophiag", "adopt", "muon", "muonclip",
                   "galoreadamw", "galoreadamw8bit", "galoreadamw8bitperlayer"},
       .accepted = {"adamw"},
       .not_yet = "this optimizer is not available yet; use OPT=adamw"},
      {.variable = "WEIGHT_DECAY",
       .flags = {"--weight-decay"},
       .type = OptionType::kNumber,
       .default_text = "0.1",
       .help = "decoupled weight decay of the matrices (norm gains are exempt)",
       .store = store<&RunConfig::optimizer, &OptimizerConfig::weight_decay>,
       .minimum = 0,
       .maximum = kMaxRate},
      {.variable = "ADAM_BETA1",
       .flags = {"--adam-beta1"},
       .type = OptionType::kNumber,
       .default_text = "0.9",
       .help = "decay of the first moment",
       .store = store<&RunConfig::optimizer, &OptimizerConfig::beta1>,
       .minimum = 0},
      {.variable = "ADAM_BETA2",
       .flags = {"--adam-beta2"},
       .type = OptionType::kNumber,
       .default_text = "0.95",
       .help = "decay of the second moment",
       .store = store<&RunConfig::optimizer, &OptimizerConfig::beta2>,
       .minimum = 0},
      {.variable = "ADAM_EPS",
       .flags = {"--adam-eps"},
       .type = OptionType::kNumber,
       .default_text = "1e-5",
       .help = "added to the square root of the second moment",
       .store = store<&RunConfig::optimizer, &OptimizerConfig::eps>,
       .minimum = 0},
      {.variable = "CLIP_GRAD",
       .flags = {"--clip-grad"},
       .type = OptionType::kNumber,
       .default_text = "1.0",
       .help = "largest global norm of the gradient; 0: no clipping",
       .store = store<&RunConfig::optimizer, &OptimizerConfig::max_grad_norm>,
       .minimum = 0},
      {.flags = {"--loss-mean"},
       .type = OptionType::kChoice,
       .default_text = "tokens",
       .help = "where tokens are excluded from the loss: the mean over the step's counted tokens, "
               "or over micro-batches of their means, as the reference has it",
       .store = store_loss_mean,
       .choices = {"tokens", "micro-batch"},
       .ours = true},
      {.flags = {"--max-skipped-steps"},
       .type = OptionType::kInteger,
       .default_text = "20",
       .help = "steps in a row with a non-finite loss or gradient after which the run gives up",
       .store = store<&RunConfig::optimizer, &OptimizerConfig::max_skipped_in_a_row>,
       .minimum = 1,
       .maximum = kMaxIterations,
       .ours = true},
      {.flags = {"--skip-grad-norm-factor"},
       .type = OptionType::kNumber,
       .default_note = "none is skipped",
       .help = "skip the update of a step whose gradient norm is more than this times the median "
               "of those before it",
       .store = store<&RunConfig::optimizer, &OptimizerConfig::skip_grad_norm_factor>,
       .minimum = 1,
       .ours = true},
      {.flags = {"--skip-grad-norm-window"},
       .type = OptionType::kInteger,
       .default_text = "128",
       .help = "how many norms that median is taken of; with fewer than 16 none is skipped",
       .store = store<&RunConfig::optimizer, &OptimizerConfig::skip_grad_norm_window>,
       .minimum = 16,
       .maximum = 10'000,
       .ours = true},
  };
}

}  // namespace

OptionGroup batch_options() {
  OptionGroup group{
      .title = "Batch and ranks",
      .rows = {
          {.variable = "MICRO_BATCH",
           .flags = {"--micro-batch-size"},
           .type = OptionType::kInteger,
           .default_text = "1",
           .help = "sequences in one forward and backward pass of a rank",
           .store = store<&RunConfig::batch, &BatchConfig::micro_batch_size>,
           .minimum = 1,
           .maximum = kMaxBatch},
          {.variable = "GRAD_ACC_STEPS",
           .flags = {"--grad-acc-steps"},
           .type = OptionType::kInteger,
           .default_text = "1",
           .help = "micro-batches in one optimizer step",
           .store = store<&RunConfig::batch, &BatchConfig::grad_accum_steps>,
           .minimum = 1,
           .maximum = kMaxBatch},
          {.variable = "GLOBAL_BATCH",
           .flags = {"--global-batch-size"},
           .type = OptionType::kInteger,
           .default_note = "MICRO_BATCH x GRAD_ACC_STEPS x ranks / TP / PP / SP",
           .help = "sequences in one optimizer step; given alone, it sets GRAD_ACC_STEPS",
           .store = store<&RunConfig::batch, &BatchConfig::global_batch_size>,
           .minimum = 1,
           .maximum = 1e12},
      }};
  for (OptionRow& row : parallel_rows()) group.rows.push_back(std::move(row));
  return group;
}

OptionGroup optimizer_options() {
  OptionGroup group{.title = "Learning rate and optimizer", .rows = schedule_rows()};
  for (OptionRow& row : update_rows()) group.rows.push_back(std::move(row));
  return group;
}

OptionGroup run_length_options() {
  return {.title = "Length of the run, validation, seed",
          .rows = {
              {.variable = "TRAIN_TOKENS",
               .flags = {"--train-tokens"},
               .type = OptionType::kInteger,
               .default_note = "4673780159710, unless TRAIN_ITERS is set or MODEL_ARCH is unset",
               .help = "tokens to train on; TRAIN_ITERS becomes TRAIN_TOKENS / SEQ / GLOBAL_BATCH",
               .store = store<&RunConfig::limits, &ScheduleLimits::train_tokens>,
               .minimum = 1,
               .maximum = kMaxTokens},
              {.variable = "TRAIN_ITERS",
               .aliases = {"TRAIN_ITER"},
               .flags = {"--train-iters"},
               .type = OptionType::kInteger,
               .default_note = "from TRAIN_TOKENS",
               .help = "optimizer steps",
               .store = store<&RunConfig::limits, &ScheduleLimits::train_iters>,
               .minimum = 1,
               .maximum = kMaxIterations},
              {.flags = {"--exit-interval"},
               .type = OptionType::kInteger,
               .help = "save and end the run after an iteration that this divides",
               .store = store<&RunConfig::limits, &ScheduleLimits::exit_interval>,
               .minimum = 1,
               .maximum = kMaxIterations},
              {.flags = {"--exit-duration-in-mins"},
               .type = OptionType::kNumber,
               .help = "save and end the run when it has taken this many minutes",
               .store = store<&RunConfig::limits, &ScheduleLimits::exit_duration_mins>,
               .minimum = 0},
              {.flags = {"--kill-switch-file"},
               .help = "save and end the run when this file exists; do not begin if it does",
               .store = store<&RunConfig::limits, &ScheduleLimits::kill_switch_file>},
              {.flags = {"--train-range-to-skip"},
               .type = OptionType::kIntegers,
               .help = "FIRST LAST [FIRST LAST...]: iterations, both ends included, whose data is "
                       "passed over",
               .store = store_ranges_to_skip},
              {.flags = {"--train-iters-to-skip"},
               .type = OptionType::kIntegers,
               .help = "N [N...]: the step after iteration N computes its loss but makes no update",
               .store = store_iters_to_skip},
              {.variable = "EVAL_INTERVAL",
               .flags = {"--eval-interval"},
               .type = OptionType::kInteger,
               .default_text = "100",
               .help = "iterations between validations; 0: never, not at the end either",
               .store = store<&RunConfig::limits, &ScheduleLimits::eval_interval>,
               .minimum = 0,
               .maximum = kMaxIterations},
              {.variable = "EVAL_ITERS",
               .flags = {"--eval-iters"},
               .type = OptionType::kInteger,
               .default_text = "20",
               .help = "global batches in one validation",
               .store = store<&RunConfig::limits, &ScheduleLimits::eval_iters>,
               .minimum = 0,
               .maximum = kMaxIterations},
              {.flags = {"--seed"},
               .type = OptionType::kInteger,
               .default_text = "1234",
               .help = "seed of weights, shuffles and random data",
               .store = store_seed,
               .minimum = 0,
               .maximum = 4'294'967'295.0},
          }};
}

}  // namespace borealis
