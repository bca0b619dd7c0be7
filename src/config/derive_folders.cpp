#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>

#include "config/derive.h"

namespace borealis {
namespace {

constexpr size_t kLongestName = 255;  // of a file name on Linux

std::string with_underscores(std::string text) {
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

std::string without(std::string text, std::string_view part) {
  if (const size_t at = text.find(part); at != std::string::npos) text.erase(at, part.size());
  return text;
}

std::string fixed_part(const Settings& settings, const RunConfig& run) {
  const int64_t billions = run.limits.train_tokens.value_or(0) / 1'000'000'000;
  return fmt::format(
      "{}-ws{}-ds-stage{}-nl{}-hs{}-mb{}-seq{}-gb{}-sp{}-pp{}-tp{}-{}-opt{}-lr{}-lwf{}_ntok{}B",
      run.model.name, run.parallel.world_size, run.parallel.zero_stage, run.model.num_hidden_layers,
      run.model.hidden_size, run.batch.micro_batch_size, run.batch.seq_length,
      run.batch.global_batch_size, run.parallel.sequence_parallel_size,
      run.parallel.pipeline_parallel_size, run.parallel.tensor_parallel_size, dtype_name(run.dtype),
      run.optimizer.name, settings.text("LR"), settings.text("LR_WARMUP_FRAC"), billions);
}

std::string run_name(const Settings& settings, RunConfig& run) {
  std::string tail;
  if (settings.given("LR_DECAY_ITERS")) tail += "_ldi" + settings.text("LR_DECAY_ITERS");
  if (!settings.has("NO_FLASH_ATTN")) tail += "_flash";
  std::string head = fixed_part(settings, run);
  if (settings.given("TOKENIZER_TYPE")) {
    head += "_tok" + without(settings.text("TOKENIZER_TYPE"), "Tokenizer");
  }
  if (!settings.given("TOKENIZER_MODEL")) return head + tail;
  const std::string model = settings.text("TOKENIZER_MODEL");
  std::string shown = with_underscores(model);
  if (head.size() + shown.size() + tail.size() + 3 > kLongestName) {
    // No file system would take it; the end of a path says the most.
    const size_t room = kLongestName - std::min(kLongestName, head.size() + tail.size() + 3);
    shown = shown.substr(shown.size() - std::min(shown.size(), room));
    run.notes.push_back(
        "the run's name holds only the end of TOKENIZER_MODEL: names of folders "
        "have at most 255 bytes");
  }
  return head + "_tm" + shown + tail;
}

std::string local_time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &parts);
  return text.data();
}

std::string this_host() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

}  // namespace

void derive_folders(const Settings& settings, const LoadOptions& options, RunConfig& run) {
  OutputConfig& output = run.output;
  output.prefix = run_name(settings, run);
  if (output.run_dir.empty()) {
    output.run_dir = fmt::format(
        "logs/{}/{}_{}_{}", output.prefix, options.stamp ? *options.stamp : local_time_stamp(),
        run.parallel.world_size, options.host_name ? *options.host_name : this_host());
  }
  const std::string folder =
      settings.given("CKPT_DIR") ? settings.text("CKPT_DIR") : "checkpoints/" + output.prefix;
  output.checkpoint_dir = settings.given("SAVE") ? settings.text("SAVE") : folder;
  run.checkpoint.load_given = settings.given("LOAD");
  run.checkpoint.load_dir =
      run.checkpoint.load_given ? settings.text("LOAD") : output.checkpoint_dir;
  constexpr std::string_view kUse = "--use-checkpoint-opt_param-scheduler";
  run.checkpoint.override_schedule =
      settings.is_on("OVERRIDE_CKPT_OPT_PARAM") || !settings.is_on(kUse);
  if (output.json) output.progress = false;
  if (run.data.cache_path.empty() && !run.data.source().empty()) {
    const bool many = !run.data.data_path.empty() && !run.data.is_one_prefix();
    const std::filesystem::path list(many ? "data-path" : run.data.source());
    const std::filesystem::path name = list.extension() == ".txt" ? list.stem() : list.filename();
    run.data.cache_path =
        (std::filesystem::path(output.checkpoint_dir) / ".cache" / name / "index-cache").string();
  }
}

}  // namespace borealis
