#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/folder_lock.h"
#include "base/log.h"
#include "base/rounding.h"
#include "base/units.h"
#include "checkpoint/folder_check.h"
#include "checkpoint/model_conversion.h"
#include "checkpoint/run_checkpoints.h"
#include "cli/command.h"
#include "cli/conversion_progress.h"
#include "cli/parse_arguments.h"
#include "cli/stored_model.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

struct ImportOptions {
  std::string from, output;
  int64_t pad_vocab_multiple = 1;
};

// A run's checkpoints are never added to: which of them would `latest` be?
void check_output(const fs::path& output) {
  if (fs::exists(output) && !fs::is_directory(output)) {
    throw Error(ErrorKind::kFile, fmt::format("--output {} is not a folder", output.string()),
                "name a folder for the checkpoint");
  }
  const auto refuse = [&output](const char* what, const std::string& name) {
    throw Error(ErrorKind::kFile,
                fmt::format("--output {} holds {} already ({})", output.string(), what, name),
                "name a folder of its own");
  };
  for (const std::string& name : {std::string("latest"), step_folder_name(0)}) {
    if (fs::exists(output / name)) refuse("checkpoints", name);
  }
  const std::vector<int64_t> steps = checkpoint_steps(output);
  if (!steps.empty()) refuse("checkpoints", step_folder_name(steps.back()));
  if (fs::exists(output / "config.json")) refuse("a model", "config.json");
  if (fs::is_directory(output) && FolderLock::is_held(output)) {
    throw Error(ErrorKind::kFile, fmt::format("a run saves to --output {}", output.string()),
                "name a folder of its own");
  }
}

int import_model(const ImportOptions& options) {
  log_open(LogStream::kStdout, "INFO");
  check_output(options.output);
  remove_stale_partials(options.output);
  const StoredModel source(options.from);
  log_info(fmt::format("{}: {}", source.folder.string(), source.description()));
  require_checksums(source.folder, [](const std::string&) { return true; });

  ConvertedModel model{.config = source.config,
                       .tensors = {},
                       .dtype = source.dtype(),
                       .special_tokens = load_special_tokens(source.folder),
                       .companions = source.folder};
  const int64_t multiple = options.pad_vocab_multiple;
  model.config.vocab_size = round_up(source.config.vocab_size, multiple);
  NonFiniteCount non_finite;
  for (const PromisedTensor& tensor : source.promised) {
    const int64_t rows =
        has_vocabulary_rows(tensor.name) ? model.config.vocab_size : tensor.shape.front();
    const TensorElements elements =
        counting_non_finite(elements_of(source.weights, tensor.name), non_finite);
    model.tensors.push_back(converted(elements, rows, model.dtype));
  }
  // Before anything is written: what cannot be read, or does not fit, is no part of a checkpoint.
  const std::optional<TokenizerLookup> tokenizer = source.tokenizer();
  if (tokenizer) require_fitting_tokenizer(*tokenizer, model.config.vocab_size);
  {
    WorkProgress progress("importing");
    report_progress(model.tensors, progress);
    save_first_checkpoint(options.output, model);
  }
  const int64_t added = model.config.vocab_size - source.config.vocab_size;
  log_info(fmt::format(
      "wrote {}/global_step0: vocabulary {}{}", options.output, model.config.vocab_size,
      added == 0 ? "" : fmt::format(", of which {} rows are the mean of the others", added)));
  warn_of_non_finite(non_finite, source.folder);
  if (!tokenizer) {
    log_warning(
        fmt::format("{} has no tokenizer; training needs one for text, and its data must "
                    "be tokenized with the model's own",
                    source.folder.string()));
  }
  return 0;
}

}  // namespace

int run_checkpoint_import_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Makes a checkpoint that training continues from (LOAD=DIR, --finetune) out of a Hugging "
      "Face folder: LlamaForCausalLM or SmolLM3ForCausalLM in safetensors, one file or sharded, of "
      "fp32, bf16 "
      "or fp16. Pickles (pytorch_model.bin, *.pt) are not opened.",
      "borealis checkpoint import");
  ImportOptions options;
  app.add_option("--from", options.from, "folder with config.json and safetensors")->required();
  app.add_option("--output", options.output,
                 "folder of checkpoints to make: it gets global_step0 and latest")
      ->required();
  app.add_option("--pad-vocab-multiple", options.pad_vocab_multiple,
                 "add rows to the vocabulary until it is a multiple of this")
      ->check(whole_number(1, int64_t{1} << 20))
      ->capture_default_str();
  return parse_arguments(app, arguments) ? import_model(options) : 0;
}

}  // namespace borealis
