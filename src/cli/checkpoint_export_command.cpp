#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "base/units.h"
#include "checkpoint/folder_check.h"
#include "checkpoint/model_conversion.h"
#include "checkpoint/state_pieces.h"
#include "checkpoint/stored_state.h"
#include "checkpoint/tokenizer_files.h"
#include "cli/command.h"
#include "cli/conversion_progress.h"
#include "cli/parse_arguments.h"
#include "cli/stored_model.h"
#include "cli/tokenizer_options.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::string from, output;
  std::string max_shard_size = "5GB";
  std::string dtype;  // as stored, where empty
  int64_t vocab_size = 0;
  TokenizerOptions tokenizer;
  bool overwrite = false;
};

StoredDType parse_dtype(const std::string& name) {
  if (name == "bf16") return StoredDType::kBF16;
  return name == "fp16" ? StoredDType::kF16 : StoredDType::kF32;
}

int64_t parse_shard_size(const std::string& text) {
  const auto bytes = parse_bytes(text);
  if (bytes && *bytes > 0) return *bytes;
  throw Error(ErrorKind::kUsage, fmt::format("--max-shard-size {} is not a size", text),
              "give bytes, such as 5GB or 500MiB");
}

bool is_weights_file(std::string_view name) {
  constexpr std::string_view kWhole = "model.safetensors";
  constexpr std::string_view kShard = "model-00000-of-00000.safetensors";
  const auto fits = [](char c, char pattern) {
    return pattern == '0' ? c >= '0' && c <= '9' : c == pattern;
  };
  return name == kWhole || std::ranges::equal(name, kShard, fits);
}

// What an export may take the place of: the files that exports consist of.
bool is_part_of_an_export(const fs::path& folder, const std::string& name) {
  const auto companions = companion_files(folder);
  return is_weights_file(name) || name == "model.safetensors.index.json" || name == "config.json" ||
         std::ranges::find(companions, name) != companions.end();
}

// Nothing that is there is lost: not without --overwrite, and with it only an earlier export.
void check_output(const ExportOptions& options, const fs::path& source) {
  const fs::path output = options.output;
  std::error_code ignored;
  if (!fs::exists(output)) {
    if (!fs::is_symlink(output)) return;
    throw Error(ErrorKind::kFile, fmt::format("--output {} is a link to nowhere", options.output),
                "remove it, or name another folder");
  }
  if (!fs::is_directory(output)) {
    throw Error(ErrorKind::kFile, fmt::format("--output {} is not a folder", options.output),
                "name a folder that does not exist yet");
  }
  if (fs::equivalent(output, fs::current_path(), ignored)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--output {} is the folder that this runs in", options.output),
                "name another folder");
  }
  if (fs::is_empty(output)) return;
  if (fs::equivalent(output, source, ignored)) {
    throw Error(ErrorKind::kUsage, fmt::format("--output {} is the checkpoint", options.output),
                "name another folder");
  }
  if (!options.overwrite) {
    throw Error(ErrorKind::kFile,
                fmt::format("--output {} exists and is not empty", options.output),
                "name another folder, or replace an earlier export with --overwrite");
  }
  if (!fs::exists(output / "config.json")) {
    throw Error(ErrorKind::kFile, fmt::format("--output {} holds no model", options.output),
                "name another folder; --overwrite only replaces exports");
  }
  for (const auto& entry : fs::directory_iterator(output)) {
    const std::string name = entry.path().filename().string();
    if (is_part_of_an_export(output, name)) continue;
    throw Error(
        ErrorKind::kFile,
        fmt::format("--output {} holds {}, which is no part of an export", options.output, name),
        "move it away or name another folder; --overwrite only replaces exports");
  }
}

int64_t rows_to_keep(const ExportOptions& options, const StoredModel& checkpoint,
                     int64_t largest_id) {
  const int64_t rows = checkpoint.config.vocab_size;
  if (options.vocab_size == 0) return rows;
  if (options.vocab_size > rows) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--vocab-size {} is more than the {} rows of the model", options.vocab_size,
                    rows),
        "it cuts rows that were padding; `checkpoint import --pad-vocab-multiple` adds some");
  }
  if (largest_id >= options.vocab_size) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--vocab-size {} cuts off token ids that are in use, up to {}",
                            options.vocab_size, largest_id),
                fmt::format("give {} or more", largest_id + 1));
  }
  return options.vocab_size;
}

int64_t largest_special_id(const SpecialTokens& tokens) {
  int64_t largest = std::max(tokens.bos.value_or(-1), tokens.pad.value_or(-1));
  for (const int64_t id : tokens.eos) largest = std::max(largest, id);
  return largest;
}

// The tokenizer that the export gets, and what it says of special tokens.
void choose_tokenizer(const ExportOptions& options, const StoredModel& checkpoint,
                      ConvertedModel& model, int64_t& largest_id) {
  model.companions = checkpoint.folder;
  std::optional<TokenizerLookup> found;
  if (options.tokenizer.names_one()) {
    found = options.tokenizer.find();
    model.tokenizer = found->source;
    model.special_tokens = read_special_tokens(*found->source);
  } else {
    found = checkpoint.tokenizer();
    model.special_tokens = load_special_tokens(checkpoint.folder);
    if (!found) {
      log_warning(fmt::format("{} has no tokenizer, so the export has none; give --tokenizer",
                              checkpoint.folder.string()));
    }
  }
  largest_id = largest_special_id(model.special_tokens);
  if (!found) return;
  require_fitting_tokenizer(*found, checkpoint.config.vocab_size);
  largest_id = std::max(largest_id, largest_token_id(*found));
}

// Where the exported values come from: for fp32 the master weights, which stored weights of 16 bits
// are only the rounding of. What will be read is verified where it has checksums.
struct WeightChoice {
  std::unique_ptr<StoredState> masters;  // null: the stored weights
  std::string description;
};

WeightChoice choose_weights(const StoredModel& checkpoint, StoredDType dtype) {
  const StoredDType stored = checkpoint.dtype();
  const bool widens = dtype == StoredDType::kF32 && stored != StoredDType::kF32;
  if (widens && StoredState::is_in(checkpoint.folder)) {
    require_checksums(checkpoint.folder, [](const std::string& name) {
      return name.starts_with("state/") || !name.ends_with(".safetensors");
    });
    return {std::make_unique<StoredState>(checkpoint.folder),
            fmt::format("the f32 master weights of {}/", kStateFolder)};
  }
  require_checksums(checkpoint.folder,
                    [](const std::string& name) { return !name.starts_with("state/"); });
  if (!widens) return {nullptr, fmt::format("the stored {}", stored_dtype_name(stored))};
  return {nullptr, fmt::format("the stored {}, widened: there are no master weights",
                               stored_dtype_name(stored))};
}

std::vector<TensorSource> sources_of(const StoredModel& checkpoint, const WeightChoice& choice,
                                     const ConvertedModel& model, NonFiniteCount& non_finite) {
  std::vector<TensorSource> sources;
  for (const PromisedTensor& tensor : checkpoint.promised) {
    TensorElements elements =
        choice.masters ? choice.masters->elements(kMasterWeight, tensor.name, tensor.shape)
                       : elements_of(checkpoint.weights, tensor.name);
    elements.name = tensor.name;
    const int64_t rows =
        has_vocabulary_rows(tensor.name) ? model.config.vocab_size : tensor.shape.front();
    sources.push_back(
        converted(counting_non_finite(std::move(elements), non_finite), rows, model.dtype));
  }
  return sources;
}

int export_model(const ExportOptions& options) {
  log_open(LogStream::kStdout, "INFO");
  const int64_t max_shard_bytes = parse_shard_size(options.max_shard_size);
  const StoredModel checkpoint(options.from);
  check_output(options, checkpoint.folder);
  log_info(fmt::format("{}: {}", checkpoint.folder.string(), checkpoint.description()));

  ConvertedModel model{.config = checkpoint.config, .tensors = {}, .special_tokens = {}};
  model.max_shard_bytes = max_shard_bytes;
  model.dtype = options.dtype.empty() ? checkpoint.dtype() : parse_dtype(options.dtype);
  int64_t largest_id = -1;
  choose_tokenizer(options, checkpoint, model, largest_id);
  model.config.vocab_size = rows_to_keep(options, checkpoint, largest_id);
  const WeightChoice choice = choose_weights(checkpoint, model.dtype);
  NonFiniteCount non_finite;
  model.tensors = sources_of(checkpoint, choice, model, non_finite);
  int64_t bytes = 0;
  for (const TensorSource& source : model.tensors) bytes += source.size_bytes();
  {
    WorkProgress progress("exporting");
    report_progress(model.tensors, progress);
    // Where a link leads, not the link, is replaced.
    const fs::path output =
        fs::is_symlink(options.output) ? fs::canonical(options.output) : fs::path(options.output);
    save_converted(output, model, FolderWriter::Checksums::kNone,
                   options.overwrite ? Existing::kReplace : Existing::kRefuse);
  }
  log_info(fmt::format("wrote {}: {}, {} of {} from {}; vocabulary {}", options.output,
                       hf_architecture(model.config), format_bytes(bytes),
                       stored_dtype_name(model.dtype), choice.description,
                       model.config.vocab_size));
  warn_of_non_finite(non_finite, checkpoint.folder);
  return 0;
}

}  // namespace

int run_checkpoint_export_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Writes a checkpoint as a Hugging Face folder: safetensors, config.json, "
      "generation_config.json and the tokenizer's files.",
      "borealis checkpoint export");
  ExportOptions options;
  app.add_option("--from", options.from, "a step's folder, or a run's checkpoints (its latest)")
      ->required();
  app.add_option("--output", options.output, "folder to write; it is to be absent or empty")
      ->required();
  app.add_option("--max-shard-size", options.max_shard_size, "largest file of weights")
      ->capture_default_str();
  app.add_option("--dtype", options.dtype, "bf16, fp16 or fp32 [as stored]")
      ->check(CLI::IsMember({"bf16", "fp16", "fp32"}));
  app.add_option("--vocab-size", options.vocab_size, "rows of the vocabulary to keep [all]")
      ->check(whole_number(1));
  app.add_option("--tokenizer", options.tokenizer.model,
                 "file, folder or cached name [the checkpoint's own]");
  app.add_option("--tokenizer-type", options.tokenizer.type,
                 "a TOKENIZER_TYPE: " + supported_tokenizer_types())
      ->capture_default_str();
  app.add_flag("--overwrite", options.overwrite, "replace an earlier export in --output");
  return parse_arguments(app, arguments) ? export_model(options) : 0;
}

}  // namespace borealis
