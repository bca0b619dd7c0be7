#include "config/environment.h"

#include "base/check.h"
#include "base/text.h"

namespace borealis {
const std::vector<OptionGroup>& option_groups() {
  static const std::vector<OptionGroup> groups = {
      model_options(), batch_options(),  optimizer_options(), run_length_options(),
      data_options(),  output_options(), machine_options(),   unavailable_options()};
  return groups;
}

const OptionRow& option_row(std::string_view key) {
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      if (row.key() == key) return row;
    }
  }
  check_failed("option_row(key)", __FILE__, __LINE__, key);
}

const OptionRow* find_flag(std::string_view flag) {
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      for (const std::string_view name : row.flags) {
        if (name == flag) return &row;
      }
    }
  }
  return nullptr;
}

std::vector<std::string_view> all_flags() {
  std::vector<std::string_view> flags = {"--help"};
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      flags.insert(flags.end(), row.flags.begin(), row.flags.end());
    }
  }
  return flags;
}

const std::vector<LookAlike>& look_alikes() {
  static const std::vector<LookAlike> names = {
      {"LR_WARMUP_FRACTION", "LR_WARMUP_FRAC"},
      {"SEQ_LEN", "SEQ"},
      {"SEQ_LENGTH", "SEQ"},
      {"INIT_METHOD_STD", "--init-method-std"},
      {"MIN_LR", "--min-lr"},
      {"LEARNING_RATE", "LR"},
      {"NUM_HEADS", "HEADS"},
      {"HIDDEN_SIZE", "HIDDEN"},
      {"NUM_KV_HEADS", "NUM_KV_HEAD"},
      {"FFN_HIDDEN", "FFN_HIDDEN_SIZE"},
      {"MICRO_BATCH_SIZE", "MICRO_BATCH"},
      {"GLOBAL_BATCH_SIZE", "GLOBAL_BATCH"},
      {"GRAD_ACCUM_STEPS", "GRAD_ACC_STEPS"},
      {"GRADIENT_ACCUMULATION_STEPS", "GRAD_ACC_STEPS"},
      {"TRAIN_STEPS", "TRAIN_ITERS"},
      {"ACTIVATION_CHECKPOINTING", "USE_ACTIVATION_CHECKPOINTING"},
      {"DATA_LIST", "DATA_FILE_LIST"},
      {"TOKENIZER", "TOKENIZER_MODEL"},
      {"EOD_MASK_LOSS", "--eod-mask-loss"},
      {"RESET_POSITION_IDS", "--reset-position-ids"},
      {"RESET_ATTENTION_MASK", "--reset-attention-mask"},
  };
  return names;
}

std::vector<std::string> misspellings(std::string_view variable) {
  constexpr size_t kShort = 6;
  const std::string name(variable);
  std::vector<std::string> spellings;
  std::string joined = name;
  std::erase(joined, '_');
  spellings.push_back(lower_case(name));
  if (joined != name) spellings.push_back(joined);
  for (size_t i = 0; i < name.size(); ++i) {
    std::string less = name;
    less.erase(i, 1);
    if (name[i] == '_' || name.size() >= kShort) spellings.push_back(less);
    if (name.size() >= kShort && name[i] != '_') {
      spellings.push_back(name.substr(0, i) + name[i] + name.substr(i));  // doubled
    }
    if (i == 0) continue;
    if (name.size() >= 4) spellings.push_back(name.substr(0, i) + '_' + name.substr(i));
    std::string exchanged = name;
    std::swap(exchanged[i - 1], exchanged[i]);
    if (name.size() >= kShort && exchanged != name) spellings.push_back(exchanged);
  }
  if (name.size() >= kShort) spellings.push_back(name + "S");
  return spellings;
}

}  // namespace borealis
