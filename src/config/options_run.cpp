// Rows of the contract: data, output, machine, and what is refused by name.
#include <array>
#include <utility>

#include "base/text.h"
#include "config/option_limits.h"
#include "config/option_store.h"

namespace borealis {
namespace {

void store_log_level(RunConfig& run, const OptionValue& value) {
  run.log_level = std::get<std::string>(value);
}

void store_no_progress(RunConfig& run, const OptionValue& value) {
  run.output.progress = !std::get<bool>(value);
}

void store_no_load_optimizer(RunConfig& run, const OptionValue& value) {
  run.checkpoint.load_optimizer = !std::get<bool>(value);
}

void store_no_save(RunConfig& run, const OptionValue& value) {
  run.output.save_checkpoints = !std::get<bool>(value);
}

void store_no_tensorboard(RunConfig& run, const OptionValue&) { run.tracking.tensorboard = false; }

void store_wandb_tags(RunConfig& run, const OptionValue& value) {
  std::istringstream parts(std::get<std::string>(value));
  for (std::string tag; std::getline(parts, tag, ',');) {
    if (!trimmed(tag).empty()) run.tracking.wandb_tags.emplace_back(trimmed(tag));
  }
}

std::vector<OptionRow> interval_rows() {
  return {
      {.variable = "SAVE_INTERVAL",
       .flags = {"--save-interval"},
       .type = OptionType::kInteger,
       .default_text = "50",
       .help = "iterations between checkpoints; 0: only at the end",
       .store = store<&RunConfig::limits, &ScheduleLimits::save_interval>,
       .minimum = 0,
       .maximum = kMaxIterations},
      {.variable = "LOG_INTERVAL",
       .flags = {"--log-interval"},
       .type = OptionType::kInteger,
       .default_text = "1",
       .help = "iterations between lines of the log",
       .store = store<&RunConfig::limits, &ScheduleLimits::log_interval>,
       .minimum = 1,
       .maximum = kMaxIterations},
      {.variable = "TIMING_LOG_LEVEL",
       .flags = {"--timing-log-level"},
       .type = OptionType::kInteger,
       .default_text = "1",
       .help = "0: no timer block after a line of the log; 1: one; 2: with the parts of a pass",
       .store = store<&RunConfig::limits, &ScheduleLimits::timing_log_level>,
       .minimum = 0,
       .maximum = 2},
      {.variable = "LOG_LEVEL",
       .flags = {"--log-level"},
       .type = OptionType::kChoice,
       .default_text = "INFO",
       .help =
           "least important message that is logged; DEBUG adds how each matrix product is computed",
       .store = store_log_level,
       .choices = {"DEBUG", "INFO", "WARNING", "ERROR"}},
      {.variable = "LOG_FORMAT",
       .flags = {"--log-format"},
       .type = OptionType::kChoice,
       .default_text = "auto",
       .help = "of the log on the console; auto: short on a terminal, unless TIMING_LOG_LEVEL is "
               "set, else the reference's, which output.log has in any case",
       .choices = {"auto", "short", "reference"},
       .ours = true},
  };
}

std::vector<OptionRow> folder_rows() {
  return {
      {.variable = "CKPT_DIR",
       .default_note = "checkpoints/NAME",
       .help = "folder of the run's checkpoints"},
      {.variable = "SAVE",
       .flags = {"--save"},
       .default_note = "CKPT_DIR",
       .help = "folder that checkpoints are written to"},
      {.variable = "LOAD",
       .flags = {"--load"},
       .default_note = "where the run saves",
       .help = "checkpoints to go on from: those of a run (the one that `latest` names, or those "
               "before it if it is damaged), or one step's folder; with --finetune also a model "
               "of Hugging Face's"},
      {.variable = "OVERRIDE_CKPT_OPT_PARAM",
       .flags = {"--override-opt_param-scheduler"},
       .type = OptionType::kAnyValue,
       .help = "this command's learning rates and weight decay, not those of the checkpoint"},
      {.flags = {"--use-checkpoint-opt_param-scheduler"},
       .type = OptionType::kSwitch,
       .default_text = "true",
       .help = "the checkpoint's learning rates and weight decay, not those of this command"},
      {.flags = {"--no-load"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "start from scratch where there is a checkpoint to go on from",
       .store = store<&RunConfig::checkpoint, &CheckpointConfig::no_load>,
       .ours = true},
      {.flags = {"--finetune"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "take the weights of LOAD alone: iteration 0, no sample consumed, fresh moments",
       .store = store<&RunConfig::checkpoint, &CheckpointConfig::finetune>},
      {.flags = {"--no-load-optim"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "go on with fresh moments",
       .store = store_no_load_optimizer},
      {.flags = {"--reset-iteration"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "go on from iteration 0 with no sample consumed, moments kept",
       .store = store<&RunConfig::checkpoint, &CheckpointConfig::reset_iteration>},
      {.flags = {"--keep-last"},
       .type = OptionType::kInteger,
       .default_text = "0",
       .help = "how many of the newest checkpoints are kept; 0: all",
       .store = store<&RunConfig::checkpoint, &CheckpointConfig::keep_last>,
       .minimum = 0,
       .maximum = kMaxIterations,
       .ours = true},
      {.flags = {"--keep-every"},
       .type = OptionType::kInteger,
       .default_text = "0",
       .help = "with --keep-last: checkpoints whose iteration this divides are kept, too",
       .store = store<&RunConfig::checkpoint, &CheckpointConfig::keep_every>,
       .minimum = 0,
       .maximum = kMaxIterations,
       .ours = true},
      {.flags = {"--run-dir"},
       .default_note = "logs/NAME/TIME_RANKS_HOST",
       .help = "folder of the log, the metrics and the report",
       .store = store<&RunConfig::output, &OutputConfig::run_dir>,
       .ours = true},
      {.flags = {"--no-save"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "write no checkpoint at all",
       .store = store_no_save,
       .ours = true},
      {.variable = "BOREALIS_REPORT_INTERVAL",
       .flags = {"--report-interval"},
       .type = OptionType::kNumber,
       .default_text = "300",
       .help = "seconds between reports of a run that goes on; 0: one at its end alone",
       .store = store<&RunConfig::output, &OutputConfig::report_interval_s>,
       .minimum = 0,
       .maximum = 1e9,
       .ours = true},
      {.flags = {"--no-progress"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "no progress line on a terminal",
       .store = store_no_progress,
       .ours = true},
      {.flags = {"--json"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "one JSON document on the standard output, the log on the standard error",
       .store = store<&RunConfig::output, &OutputConfig::json>,
       .ours = true},
  };
}

std::vector<OptionRow> profile_rows() {
  return {
      {.flags = {"--profile"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "time every kernel of some steps: a table and a roofline plot in the report, "
               "profile.json and trace.json beside it",
       .store = store<&RunConfig::profile, &ProfileConfig::enabled>},
      {.flags = {"--profile-step-start"},
       .type = OptionType::kInteger,
       .default_text = "2",
       .help = "first iteration that --profile times",
       .store = store<&RunConfig::profile, &ProfileConfig::first_iteration>,
       .minimum = 1,
       .maximum = kMaxIterations},
      {.flags = {"--profile-step-end"},
       .type = OptionType::kInteger,
       .default_text = "5",
       .help = "first iteration after it that --profile no longer times",
       .store = store<&RunConfig::profile, &ProfileConfig::end_iteration>,
       .minimum = 2,
       .maximum = kMaxIterations},
  };
}

// What the wandb client reads, and the reference with it.
std::vector<OptionRow> wandb_rows() {
  return {
      {.variable = "WANDB_ENTITY",
       .default_note = "that of whoever syncs",
       .help = "Weights & Biases user or team",
       .store = store<&RunConfig::tracking, &TrackingConfig::wandb_entity>},
      {.variable = "WANDB_NAME",
       .default_note = "the model and the run's folder",
       .help = "name of the Weights & Biases run",
       .store = store<&RunConfig::tracking, &TrackingConfig::wandb_name>},
      {.variable = "WANDB_RUN_GROUP",
       .help = "group of the Weights & Biases run",
       .store = store<&RunConfig::tracking, &TrackingConfig::wandb_group>},
      {.variable = "WANDB_NOTES",
       .help = "notes on the Weights & Biases run",
       .store = store<&RunConfig::tracking, &TrackingConfig::wandb_notes>},
      {.variable = "WANDB_TAGS",
       .help = "tags of the Weights & Biases run, with commas between",
       .store = store_wandb_tags},
      {.variable = "WANDB_RUN_ID",
       .default_note = "that of the run which goes on, or a random one",
       .help = "id of the Weights & Biases run",
       .store = store<&RunConfig::tracking, &TrackingConfig::wandb_run_id>},
      {.variable = "WANDB_DIR",
       .default_note = "RUN_DIR",
       .help = "where the folder wandb with the Weights & Biases run is made",
       .store = store<&RunConfig::tracking, &TrackingConfig::wandb_dir>},
  };
}

std::vector<OptionRow> tracking_rows() {
  constexpr std::string_view kNoProfiler = "this profiler is not available; unset it";
  constexpr std::string_view kNoDump = "this debugging aid is not available; unset it";
  return {
      {.variable = "NO_TENSORBOARD",
       .type = OptionType::kAnyValue,
       .help = "no TensorBoard event file",
       .store = store_no_tensorboard},
      {.flags = {"--tensorboard-dir"},
       .default_note = "RUN_DIR/tensorboard",
       .help = "folder of the TensorBoard event file",
       .store = store<&RunConfig::tracking, &TrackingConfig::tensorboard_dir>},
      {.variable = "WANDB_MODE",
       .type = OptionType::kChoice,
       .default_note = "offline with a project, else disabled",
       .help = "Weights & Biases; of online and offline, a run's folder gets an offline run to "
               "`wandb sync`: nothing is sent",
       .choices = {"online", "offline", "dryrun", "disabled"}},
      {.variable = "WB_PROJECT", .help = "Weights & Biases project; beats WANDB_PROJECT"},
      {.variable = "WANDB_PROJECT",
       .default_note = "AuroraGPT",
       .help = "Weights & Biases project"},
      {.variable = "DUMP_TOKENS",
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "write the tokens of each batch",
       .accepted = {"false"},
       .not_yet = kNoDump},
      {.variable = "DUMP_SKIPPED_ITERS",
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "write the batches of skipped iterations",
       .accepted = {"false"},
       .not_yet = kNoDump},
      {.variable = "TORCH_PROFILER_ENABLE",
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "PyTorch's profiler",
       .accepted = {"false"},
       .not_yet = kNoProfiler},
      {.variable = "PYINSTRUMENT_PROFILER",
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "a Python profiler",
       .accepted = {"false"},
       .not_yet = kNoProfiler},
  };
}

std::vector<OptionRow> document_rows() {
  return {
      {.flags = {"--eod-mask-loss"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "no loss for the token after an end-of-document token",
       .store = store<&RunConfig::data, &DataConfig::eod_mask_loss>},
      {.flags = {"--reset-position-ids"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "positions start at 0 after every end-of-document token",
       .store = store<&RunConfig::data, &DataConfig::reset_position_ids>},
      {.flags = {"--reset-attention-mask"},
       .type = OptionType::kSwitch,
       .default_text = "false",
       .help = "attention stops at end-of-document tokens",
       .store = store<&RunConfig::data, &DataConfig::reset_attention_mask>},
      {.flags = {"--eod-token-id"},
       .type = OptionType::kInteger,
       .default_note = "the tokenizer's",
       .help = "id of the end-of-document token",
       .store = store<&RunConfig::data, &DataConfig::eod_token>,
       .minimum = 0,
       .maximum = 2'147'483'647.0,
       .ours = true},
  };
}

}  // namespace

OptionGroup data_options() {
  OptionGroup group{
      .title = "Data",
      .rows = {
          {.variable = "DATA_FILE_LIST",
           .flags = {"--data-file-list"},
           .default_text = "ALCF/data-lists/books.txt",
           .help = "list of data sets, `weight prefix corpus` a line; where DIR/MACHINE/FILE does "
                   "not exist, DIR/FILE is taken"},
          {.variable = "DATA_PATH",
           .flags = {"--data-path"},
           .type = OptionType::kWords,
           .help = "instead of a list: the prefix of one data set, which then is neither blended "
                   "nor shuffled as a corpus, or `weight prefix corpus` or `weight prefix` of "
                   "several",
           .store = store<&RunConfig::data, &DataConfig::data_path>},
          {.variable = "TOKENIZER_TYPE",
           .flags = {"--tokenizer-type"},
           .default_text = "HFTokenizer",
           .help = "kind of tokenizer: HFTokenizer, GPT2BPETokenizer (and what else starts with "
                   "gpt), GPTSentencePieceTokenizer, SentencePieceTokenizer, Llama2Tokenizer or "
                   "NullTokenizer",
           .store = store<&RunConfig::data, &DataConfig::tokenizer_type>},
          {.variable = "TOKENIZER_MODEL",
           .flags = {"--tokenizer-model"},
           .default_text = "google/gemma-7B",
           .help = "the tokenizer's file, its folder, or a name in the Hugging Face cache",
           .store = store<&RunConfig::data, &DataConfig::tokenizer_model>},
          {.variable = "DATA_PARENT",
           .help = "folder with GPT2BPETokenizer's gpt2-vocab.json and gpt2-merges.txt, or "
                   "vocab.json and merges.txt"},
          {.flags = {"--vocab-file"}, .help = "GPT2BPETokenizer's vocab.json"},
          {.flags = {"--merge-file"}, .help = "GPT2BPETokenizer's merges.txt"},
          {.flags = {"--mock-data"},
           .type = OptionType::kSwitch,
           .default_text = "false",
           .help = "random tokens from the seed instead of data, for measurements",
           .store = store<&RunConfig::data, &DataConfig::mock_data>,
           .ours = true},
          {.variable = "TRAIN_SPLIT",
           .type = OptionType::kNumber,
           .default_text = "990",
           .help = "share of the documents that is trained on",
           .minimum = 0,
           .maximum = 1e12},
          {.variable = "VAL_SPLIT",
           .type = OptionType::kNumber,
           .default_text = "10",
           .help = "share of the documents for validation",
           .minimum = 0,
           .maximum = 1e12},
          {.variable = "TEST_SPLIT",
           .type = OptionType::kNumber,
           .default_text = "0",
           .help = "share of the documents for the test at the end",
           .minimum = 0,
           .maximum = 1e12},
          {.flags = {"--split"},
           .default_note = "TRAIN_SPLIT,VAL_SPLIT,TEST_SPLIT",
           .help = "the shares at once: 990,10,0, or 0.9,0.1 (what is missing is 0), or 98/2"},
          {.flags = {"--train-data-exact-num-epochs"},
           .type = OptionType::kInteger,
           .default_note = "as many as the samples need",
           .help = "passes over the training data that its sample index is made of; they must be "
                   "those that the samples need, with less than one epoch to spare",
           .store = store<&RunConfig::data, &DataConfig::exact_epochs>,
           .minimum = 1,
           .maximum = 1e9},
          {.flags = {"--shuffle-sample-in-corpus"},
           .type = OptionType::kSwitch,
           .default_text = "true",
           .help = "shuffle the samples of a corpus over its files",
           .store = store<&RunConfig::data, &DataConfig::shuffle_sample_in_corpus>},
          {.flags = {"--blend-sample-in-corpus"},
           .type = OptionType::kSwitch,
           .default_text = "false",
           .help = "mix the files of a corpus by weight instead of one after the other",
           .store = store<&RunConfig::data, &DataConfig::blend_sample_in_corpus>},
          {.variable = "DATA_CACHE_PATH",
           .flags = {"--data-cache-path"},
           .default_note = "SAVE/.cache/LIST/index-cache",
           .help = "folder of the sample indices, which are also looked for in index-cache beside "
                   "the data; LIST: the list's name or the prefix' last part, data-path of several",
           .store = store<&RunConfig::data, &DataConfig::cache_path>},
      }};
  for (OptionRow& row : document_rows()) group.rows.push_back(std::move(row));
  return group;
}

OptionGroup output_options() {
  OptionGroup group{.title = "Output", .rows = interval_rows()};
  for (OptionRow& row : folder_rows()) group.rows.push_back(std::move(row));
  for (OptionRow& row : profile_rows()) group.rows.push_back(std::move(row));
  for (OptionRow& row : tracking_rows()) group.rows.push_back(std::move(row));
  for (OptionRow& row : wandb_rows()) group.rows.push_back(std::move(row));
  return group;
}

OptionGroup machine_options() {
  return {
      .title = "Machine",
      .rows = {
          {.variable = "OMP_NUM_THREADS",
           .flags = {"--threads"},
           .type = OptionType::kCount,
           .default_note = "the cores that this process may use",
           .help = "threads of a rank",
           .store = store<&RunConfig::machine, &MachineConfig::threads>,
           .minimum = 1,
           .maximum = 4096,
           .ours = true},
          {.variable = "MEMORY_LIMIT",
           .flags = {"--memory-limit"},
           .type = OptionType::kBytes,
           .default_note = "free memory, or the control group's limit if that is less",
           .help = "memory that the run may plan with, such as 20GiB",
           .store = store<&RunConfig::machine, &MachineConfig::memory_limit_bytes>,
           .minimum = 1,
           .ours = true},
          {.variable = "DEVICE",
           .flags = {"--device"},
           .type = OptionType::kChoice,
           .default_text = "auto",
           .help = "what computes: cuda, the first GPU of CUDA_VISIBLE_DEVICES, or cpu; auto: "
                   "the GPU where there is one",
           .store = store<&RunConfig::machine, &MachineConfig::device>,
           .choices = {"auto", "cuda", "cpu"},
           .ours = true},
          {.variable = "DETERMINISTIC",
           .flags = {"--deterministic"},
           .type = OptionType::kSwitch,
           .default_text = "true",
           .help = "on a GPU: the same bits in every run, for some GiB and up to 2 % of the time; "
                   "a CPU's are always the same",
           .store = store<&RunConfig::machine, &MachineConfig::deterministic>,
           .ours = true},
          {.variable = "BOREALIS_CPU_ISA",
           .flags = {"--cpu-isa"},
           .type = OptionType::kChoice,
           .default_text = "native",
           .help = "highest instruction set that kernels may use",
           .store = store<&RunConfig::machine, &MachineConfig::cpu_isa>,
           .choices = {"native", "avx2", "avx512", "avx512_bf16"},
           .ours = true},
          {.variable = "BOREALIS_HOME",
           .help = "the program's repository: relative paths are looked up there, too "
                   "(train_alcf.sh sets it)",
           .ours = true},
      }};
}

OptionGroup unavailable_options() {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kFlags = {{
      {"--lr-finder", "the learning-rate finder is not available yet; leave it out and set --lr"},
      {"--rampup-batch-size", "a growing batch is not available; use --global-batch-size"},
      {"--train-samples", "the length of a run is given by --train-iters or --train-tokens"},
      {"--lr-warmup-iters", "the warmup is given by --lr-warmup-fraction"},
      {"--lr-warmup-samples", "the warmup is given by --lr-warmup-fraction"},
      {"--lr-decay-samples", "the decay length is given by --lr-decay-iters"},
      {"--lr-decay-tokens", "the decay length is given by --lr-decay-iters"},
      {"--lr-warmup-tokens", "the warmup is given by --lr-warmup-fraction"},
      {"--universal-checkpoint", "every checkpoint loads whatever the ranks; leave it out"},
      {"--no-load-rng", "no random state is saved, it follows from --seed; leave it out"},
      {"--start-weight-decay", "weight decay is constant; use --weight-decay"},
      {"--end-weight-decay", "weight decay is constant; use --weight-decay"},
      {"--log-params-norm", "norms of the parameters are not logged yet; leave it out"},
  }};
  OptionGroup group{.title = "Not available", .rows = {}};
  for (const auto& [flag, reason] : kFlags) {
    group.rows.push_back(
        {.flags = {flag}, .type = OptionType::kUnavailable, .help = reason, .not_yet = reason});
  }
  return group;
}

}  // namespace borealis
