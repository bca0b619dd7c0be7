// The table of the contract as people read it: --help and docs/environment.md.
#include <fmt/format.h>

#include "config/environment.h"
#include "config/presets.h"
#include "config/run_config_loader.h"

namespace borealis {
namespace {

std::string_view value_placeholder(OptionType type) {
  switch (type) {
    case OptionType::kInteger:
    case OptionType::kCount:
      return " N";
    case OptionType::kIntegers:
      return " N...";
    case OptionType::kWords:
      return " TEXT...";
    case OptionType::kNumber:
      return " X";
    case OptionType::kText:
      return " TEXT";
    case OptionType::kChoice:
      return " NAME";
    case OptionType::kBytes:
      return " BYTES";
    case OptionType::kSwitch:
    case OptionType::kAnyValue:
    case OptionType::kUnavailable:
      break;
  }
  return "";
}

std::string_view type_name(OptionType type) {
  switch (type) {
    case OptionType::kInteger:
      return "whole number";
    case OptionType::kCount:
      return "whole number, or a list of them (the first counts)";
    case OptionType::kIntegers:
      return "whole numbers";
    case OptionType::kWords:
      return "words";
    case OptionType::kNumber:
      return "number";
    case OptionType::kText:
      return "text";
    case OptionType::kChoice:
      return "name";
    case OptionType::kSwitch:
      return "switch";
    case OptionType::kAnyValue:
      return "any value";
    case OptionType::kBytes:
      return "bytes";
    case OptionType::kUnavailable:
      break;
  }
  return "";
}

std::string default_of(const OptionRow& row) {
  if (!row.default_text.empty()) return std::string(row.default_text);
  return row.default_note.empty() ? "unset" : std::string(row.default_note);
}

// What can be chosen, and what of it works today.
std::string help_with_values(const OptionRow& row) {
  std::string text(row.help);
  if (!row.choices.empty()) text += fmt::format(" ({})", fmt::join(row.choices, ", "));
  if (row.not_yet.empty()) return text;
  if (row.accepted.empty()) return text + "; not available yet";
  return text + fmt::format("; only {} for now", fmt::join(row.accepted, " and "));
}

std::string help_entry(const OptionRow& row) {
  std::string names;
  for (const std::string_view flag : row.flags) {
    names += fmt::format("{}{}{}", names.empty() ? "" : ", ", flag, value_placeholder(row.type));
  }
  if (!row.variable.empty()) {
    names += fmt::format("{}{}", names.empty() ? "" : "  ", row.variable);
    for (const std::string_view alias : row.aliases) names += fmt::format(" ({})", alias);
  }
  return fmt::format("  {}\n      {} [{}]\n", names, help_with_values(row), default_of(row));
}

std::string code_list(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) {
    text += fmt::format("{}`{}`", text.empty() ? "" : ", ", name);
  }
  return text;
}

std::string table_line(const OptionRow& row) {
  std::string variable = row.variable.empty() ? "" : fmt::format("`{}`", row.variable);
  if (!row.aliases.empty()) variable += ", also " + code_list(row.aliases);
  return fmt::format("| {} | {} | {} | {} | {} |\n", variable, code_list(row.flags),
                     type_name(row.type), default_of(row), help_with_values(row));
}

constexpr std::string_view kIntroduction =
    R"(# Settings: environment variables and flags

Generated from the table in `src/config/`, the same rows that parse them; a test compares. To write
it anew after a change of the table: `BOREALIS_UPDATE_GOLDEN=1 build/ci/tests/test_config`.
"The reference", here and in the other documents, is the trainer of the performance report: ALCF's
Megatron-DeepSpeed.

- A setting is given as a variable (`MICRO_BATCH=2 bash train_alcf.sh`) or as a flag
  (`--micro-batch-size 2` or `--micro-batch-size=2`). A flag beats the variable, the variable beats
  the default of the chosen model, this beats the default below. An empty variable is an unset one;
  of a flag that is given twice the last one counts, and the log says so.
- Every problem of a configuration is reported at once. What is not available yet is refused by
  name, never ignored. Flags cannot be abbreviated.
- A switch takes 1, true, yes, on or 0, false, no, off. As a flag it needs no value, or has it
  behind a `=`: `--deterministic=false`.
- Bytes are written as 20GiB, 512MiB or plain 1000000.
)";

constexpr std::string_view kHubCache = R"(
## Where a tokenizer is looked for

`TOKENIZER_MODEL` is a file, a folder that holds the files of the `TOKENIZER_TYPE`
([tokenizer-types.md](tokenizer-types.md)), or a name in the local Hugging Face cache, whose root is
the first of `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `$HF_HOME/hub`,
`$XDG_CACHE_HOME/huggingface/hub` and `~/.cache/huggingface/hub`. Nothing is downloaded. Where a
well-known tokenizer is absent, its vocabulary size is used with a warning: enough to train on data
that is already tokenized.
)";

constexpr std::string_view kExitCodes = R"(
## Exit codes

| code | kind | meaning |
|---|---|---|
| 0 | | done; also `plan` of what does not fit (`"fits": false`), and `train` where the kill-switch file was there already |
| 1 | `usage` | the command line is wrong |
| 2 | `config` | a setting is wrong, or settings contradict each other |
| 3 | `file` | a file cannot be found, opened, read or written: a full disk, no permission |
| 4 | `data` | a file was read, and its content is wrong |
| 5 | `memory` | it does not fit into memory |
| 6 | `numerics` | values that are not finite |
| 7 | `ranks` | a rank is lost, or ranks that must agree do not |
| 8 | `device` | the accelerator that was asked for is missing, or failed |
| 128 + n | | signal n ended the run, which has saved (143: SIGTERM) |
)";

constexpr std::string_view kHfConfigs = R"(
A folder with a Hugging Face config.json (LlamaForCausalLM or SmolLM3ForCausalLM), or that file: all of
the architecture comes from it, the standard deviation of initial weights (`initializer_range`) too.
`NLAYERS`, `SEQ` and the flags of the shape still win. The vocabulary is exactly `vocab_size`, not
padded, and must hold the tokenizer's ids; `TOKENIZER_MODEL` is the folder by default; `SEQ` is
`max_position_embeddings`, but at most 8192. The run is named after the folder. See
[huggingface.md](huggingface.md).
)";

std::string models_markdown() {
  std::string text =
      "\n## Values of MODEL_ARCH\n\nCase matters. The last column names the variables of the shape "
      "that the environment may\nchange; any of the shape's flags may.\n\n"
      "| accepted | layers | hidden | heads | kv heads | ffn | seq | variables |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const ModelPreset& preset : model_presets()) {
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", code_list(preset.accepted),
                        preset.num_hidden_layers, preset.hidden_size, preset.num_attention_heads,
                        preset.num_key_value_heads, preset.intermediate_size, preset.seq_length,
                        preset.takes.empty() ? "none" : code_list(preset.takes));
  }
  for (const ModelPreset& preset : model_presets()) {
    text += fmt::format("\n`{}`: {}", preset.accepted.front(), preset.note);
    if (!preset.defaults.empty()) {
      text += " Its own defaults:";
      for (const PresetDefault& entry : preset.defaults) {
        // A switch takes its value behind a `=` alone, which is right of every flag.
        text += fmt::format(" `{}={}`", entry.key, entry.value);
      }
      text += ".";
    }
    text += "\n";
  }
  return text + std::string(kHfConfigs);
}

std::string look_alikes_markdown() {
  std::string text =
      "\n## Look-alikes\n\nNames that nothing reads; a run that finds one set warns.\n\n"
      "| set | meant is |\n|---|---|\n";
  for (const LookAlike& entry : look_alikes()) {
    text += fmt::format("| `{}` | {} |\n", entry.variable, entry.instead);
  }
  return text;
}

}  // namespace

std::string option_help(std::string_view command) {
  std::string text = fmt::format(
      "usage: [VARIABLE=value ...] borealis {} [flags]\n\nEach setting is a flag, an environment "
      "variable or both; a flag beats the variable.\nDefaults are in brackets; --help shows "
      "this.\n",
      command);
  for (const OptionGroup& group : option_groups()) {
    text += fmt::format("\n{}\n", group.title);
    for (const OptionRow& row : group.rows) {
      text += row.type == OptionType::kUnavailable
                  ? fmt::format("  {}: {}\n", row.flags.front(), row.help)
                  : help_entry(row);
    }
  }
  text += "\nValues of MODEL_ARCH\n";
  for (const ModelPreset& preset : model_presets()) {
    text += fmt::format("  {}\n", fmt::join(preset.accepted, ", "));
  }
  return text;
}

std::string environment_markdown() {
  std::string text(kIntroduction);
  for (const OptionGroup& group : option_groups()) {
    text += fmt::format("\n## {}\n\n", group.title);
    if (group.rows.front().type == OptionType::kUnavailable) {
      text += "| flag | why |\n|---|---|\n";
      for (const OptionRow& row : group.rows) {
        text += fmt::format("| `{}` | {} |\n", row.flags.front(), row.help);
      }
      continue;
    }
    text += "| variable | flag | value | default | meaning |\n|---|---|---|---|---|\n";
    for (const OptionRow& row : group.rows) text += table_line(row);
  }
  return text + models_markdown() + std::string(kHubCache) + look_alikes_markdown() +
         std::string(kExitCodes);
}

}  // namespace borealis
