#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "config/data_list_lookup.h"
#include "config/derive.h"
#include "config/tokenizer_lookup.h"

namespace borealis {
namespace {

constexpr int64_t kVocabMultiple = 128;  // times the tensor-parallel size

int64_t padded_vocab_size(int64_t entries, int64_t tensor_parallel_size) {
  const int64_t multiple = kVocabMultiple * tensor_parallel_size;
  return (entries + multiple - 1) / multiple * multiple;
}

std::string places(const std::vector<std::string>& tried) {
  return fmt::format("{}", fmt::join(tried, ", "));
}

void report_missing(const Settings& settings, const TokenizerLookup& found, Problems& problems) {
  const std::string_view remedy =
      settings.given("TOKENIZER_MODEL")
          ? "name a tokenizer.json or a folder with one, or give --vocab-size"
          : "`bash train_alcf.sh` prepares the default corpus with its tokenizer; or name a "
            "tokenizer.json, or give --vocab-size";
  problems.settings.push_back(
      fmt::format("{} was not found (tried {}) and its vocabulary size is not known; {}",
                  settings.spelled("TOKENIZER_MODEL"), places(found.tried), remedy));
}

// Tokens that the model could not take, if the data holds them.
void warn_of_large_ids(const TokenizerLookup& found, int64_t largest, RunConfig& run) {
  if (run.data.mock_data || largest < run.model.vocab_size) return;
  run.warnings.push_back(fmt::format(
      "the tokenizer {} has token ids up to {}, the model's vocabulary is {}; data that "
      "holds larger ids needs --vocab-size {}",
      found.path, largest, run.model.vocab_size, largest + 1));
}

void warn_of_absence(const TokenizerLookup& found, RunConfig& run) {
  run.warnings.push_back(fmt::format(
      "the tokenizer {} was not found (tried {}); a vocabulary of {} is taken as known. Tokenized "
      "data needs no more, text cannot be read or written",
      run.data.tokenizer_model, places(found.tried), run.data.tokenizer_vocab_size));
}

// An unreadable file is a problem; the rest of the validation goes on without it.
TokenizerLookup look_up(const Settings& settings, const Environment& environment,
                        const RunConfig& run, Problems& problems) {
  try {
    return find_tokenizer(run.data.tokenizer_model, settings.text("BOREALIS_HOME"), environment);
  } catch (const Error& error) {
    problems.settings.push_back(
        fmt::format("{}: {}", settings.spelled("TOKENIZER_MODEL"), error.what()));
    TokenizerLookup nothing;
    nothing.vocab_size = kVocabMultiple;
    return nothing;
  }
}

}  // namespace

void resolve_tokenizer(const Settings& settings, const ModelPreset& preset,
                       const Environment& environment, bool needs_data, RunConfig& run,
                       Problems& problems) {
  const TokenizerLookup found = look_up(settings, environment, run, problems);
  const bool named = settings.given("TOKENIZER_MODEL");
  const bool reads_data = needs_data && !run.data.mock_data;
  std::optional<int64_t> entries = settings.integer("--vocab-size");
  if (!entries && preset.vocab_size > 0) entries = preset.vocab_size;
  if (!entries) entries = found.vocab_size;
  if (!entries && !named && !reads_data && preset.assumed_vocab_size > 0) {
    entries = preset.assumed_vocab_size;
  }
  if (!entries) {
    report_missing(settings, found, problems);
    return;
  }
  run.data.tokenizer_path = found.path;
  run.data.tokenizer_vocab_size = *entries;
  run.model.vocab_size = padded_vocab_size(*entries, run.parallel.tensor_parallel_size);
  if (!found.path.empty()) {
    warn_of_large_ids(found, std::max(*found.vocab_size - 1, found.largest_added_id), run);
  } else if (named || (reads_data && !settings.given("--vocab-size"))) {
    warn_of_absence(found, run);
  }
}

void resolve_data_list(const Settings& settings, bool needs_data, RunConfig& run,
                       Problems& problems) {
  if (run.data.mock_data) {
    if (settings.given("DATA_FILE_LIST")) {
      run.notes.push_back(fmt::format("--mock-data: random tokens, {} is not read",
                                      settings.spelled("DATA_FILE_LIST")));
    }
    return;
  }
  const std::string asked = settings.text("DATA_FILE_LIST");
  const DataListLookup found = find_data_list(asked, settings.text("BOREALIS_HOME"));
  run.data.data_file_list = found.path;
  if (found.without_machine) {
    run.notes.push_back(
        fmt::format("{} does not exist; using {}, which is for any machine", asked, found.path));
  }
  if (!found.path.empty() || !needs_data) return;
  problems.settings.push_back(fmt::format(
      "{} was not found (tried {}); {}", settings.spelled("DATA_FILE_LIST"), places(found.tried),
      settings.given("DATA_FILE_LIST")
          ? "name a list of data sets, or use --mock-data"
          : "`bash train_alcf.sh` prepares the default corpus; or name a list of data sets, or use "
            "--mock-data"));
}

}  // namespace borealis
