#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/rounding.h"
#include "config/data_list_lookup.h"
#include "config/derive.h"
#include "config/tokenizer_lookup.h"
#include "config/tokenizer_types.h"

namespace borealis {
namespace {

constexpr int64_t kVocabMultiple = 128;  // times the tensor-parallel size

int64_t padded_vocab_size(int64_t entries, int64_t tensor_parallel_size) {
  const int64_t multiple = kVocabMultiple * tensor_parallel_size;
  return round_up(entries, multiple);
}

// Each once: of an absolute path all are the same.
std::string places(std::vector<std::string> tried) {
  tried.erase(std::unique(tried.begin(), tried.end()), tried.end());
  return fmt::format("{}", fmt::join(tried, ", "));
}

// What a user would look at to see which tokenizer was meant.
std::string spelled_tokenizer(const Settings& settings, const TokenizerRequest& request) {
  if (request.type != TokenizerType::kGpt2) return settings.spelled("TOKENIZER_MODEL");
  for (const char* key : {"--vocab-file", "--merge-file", "DATA_PARENT", "TOKENIZER_MODEL"}) {
    if (settings.given(key)) return settings.spelled(key);
  }
  return settings.spelled("TOKENIZER_TYPE");
}

std::string files_of(TokenizerType type) {
  if (type == TokenizerType::kHuggingFace) return "a tokenizer.json or a folder with one";
  if (type == TokenizerType::kGpt2) return "a folder with vocab.json and merges.txt";
  return "a tokenizer.model or a folder with one";
}

void report_missing(const Settings& settings, const TokenizerRequest& request,
                    const TokenizerLookup& found, Problems& problems) {
  const std::string remedy =
      settings.given("TOKENIZER_MODEL") || request.type != TokenizerType::kHuggingFace
          ? fmt::format("name {}, or give --vocab-size", files_of(request.type))
          : "`bash train_alcf.sh` prepares the default corpus with its tokenizer; or name a "
            "tokenizer.json, or give --vocab-size";
  problems.settings.push_back(
      fmt::format("{} was not found (tried {}) and its vocabulary size is not known; {}",
                  spelled_tokenizer(settings, request), places(found.tried), remedy));
}

// Tokens that the model could not take, if the data holds them. Of a size that padding makes up it
// is a warning; a config.json's is meant as it stands, so the tokenizer is another model's.
void report_large_ids(const Settings& settings, const TokenizerLookup& found, bool exact_size,
                      RunConfig& run, Problems& problems) {
  const int64_t largest = *found.vocab_size - 1;
  if (run.data.mock_data || largest < run.model.vocab_size) return;
  if (exact_size) {
    problems.settings.push_back(fmt::format(
        "{}: the vocabulary of {} that its config.json states does not hold the token ids of the "
        "tokenizer {}, up to {}; name the model's own with TOKENIZER_MODEL, or give --vocab-size "
        "{}",
        settings.spelled("MODEL_ARCH"), run.model.vocab_size, found.source->path, largest,
        largest + 1));
    return;
  }
  run.warnings.push_back(fmt::format(
      "the tokenizer {} has token ids up to {}, the model's vocabulary is {}; data that "
      "holds larger ids needs --vocab-size {}",
      found.source->path, largest, run.model.vocab_size, largest + 1));
}

// The reference's vocabulary would not hold them, nor data that has them.
void note_added_entries(const TokenizerLookup& found, RunConfig& run) {
  const int64_t base = found.base_vocab_size;
  if (run.data.tokenizer_vocab_size != found.vocab_size || base == 0 || *found.vocab_size == base) {
    return;
  }
  run.notes.push_back(fmt::format(
      "the vocabulary holds all {} ids of the tokenizer; the reference takes its {} base entries "
      "alone (--vocab-size {} for a model of its shape)",
      *found.vocab_size, base, base));
}

void warn_of_absence(const TokenizerRequest& request, const TokenizerLookup& found,
                     RunConfig& run) {
  run.warnings.push_back(fmt::format(
      "the tokenizer {} was not found (tried {}); a vocabulary of {} is taken as known. Tokenized "
      "data needs no more, text cannot be read or written",
      request.model, places(found.tried), run.data.tokenizer_vocab_size));
}

// None where the settings name no tokenizer, which is a problem then.
std::optional<TokenizerRequest> request_of(const Settings& settings, const RunConfig& run,
                                           Problems& problems) {
  const auto type = parse_tokenizer_type(run.data.tokenizer_type);
  if (!type) {
    problems.settings.push_back(fmt::format("{}: not supported; use one of {}",
                                            settings.spelled("TOKENIZER_TYPE"),
                                            supported_tokenizer_types()));
    return std::nullopt;
  }
  TokenizerRequest request{.type = *type,
                           .model = run.data.tokenizer_model,
                           .vocab_file = settings.text("--vocab-file"),
                           .merge_file = settings.text("--merge-file"),
                           .data_parent = settings.text("DATA_PARENT")};
  if (*type == TokenizerType::kGpt2 && !settings.given("TOKENIZER_MODEL")) request.model = "gpt2";
  for (const char* flag : {"--vocab-file", "--merge-file"}) {
    if (!settings.given(flag) || *type == TokenizerType::kGpt2) continue;
    problems.settings.push_back(
        fmt::format("{} is only for TOKENIZER_TYPE=GPT2BPETokenizer", settings.spelled(flag)));
    return std::nullopt;
  }
  if (*type != TokenizerType::kNull) return request;
  request.size = settings.integer("--vocab-size").value_or(0);
  if (request.size > 0) return request;
  problems.settings.push_back(
      fmt::format("{} needs --vocab-size N: ids below N are text, N ends a document",
                  settings.spelled("TOKENIZER_TYPE")));
  return std::nullopt;
}

// An unreadable file is a problem; the rest of the validation goes on without it.
std::optional<TokenizerLookup> look_up(const Settings& settings, const TokenizerRequest& request,
                                       const Environment& environment, Problems& problems) {
  try {
    return find_tokenizer(request, settings.text("BOREALIS_HOME"), environment);
  } catch (const Error& error) {
    problems.settings.push_back(
        fmt::format("{}: {}", spelled_tokenizer(settings, request), fault_text(error)));
    return std::nullopt;
  }
}

// Entries of the vocabulary by what is strongest: a number that the user gives, the model's own,
// the tokenizer's. A text of numbers has one more, which ends documents.
std::optional<int64_t> vocabulary_entries(const Settings& settings, const ModelPreset& preset,
                                          const TokenizerRequest& request,
                                          const TokenizerLookup& found, bool reads_data) {
  if (request.type == TokenizerType::kNull) return request.size + 1;
  if (const auto given = settings.integer("--vocab-size")) return given;
  if (preset.vocab_size > 0) return preset.vocab_size;
  if (found.vocab_size) return found.vocab_size;
  const bool default_one =
      request.type == TokenizerType::kHuggingFace && !settings.given("TOKENIZER_MODEL");
  if (!default_one || reads_data || preset.assumed_vocab_size == 0) return std::nullopt;
  return preset.assumed_vocab_size;
}

void keep_source(const TokenizerSource& source, RunConfig& run) {
  run.data.tokenizer_type = tokenizer_type_name(source.type);
  run.data.tokenizer_path = source.path;
  run.data.tokenizer_merges_path = source.merges;
  run.data.tokenizer_numbers = source.size;
}

}  // namespace

void resolve_tokenizer(const Settings& settings, const ModelPreset& preset,
                       const Environment& environment, bool needs_data, RunConfig& run,
                       Problems& problems) {
  run.model.vocab_size = kVocabMultiple;  // while a problem keeps it from being known
  const auto request = request_of(settings, run, problems);
  if (!request) return;
  const auto found = look_up(settings, *request, environment, problems);
  if (!found) return;
  const bool named =
      settings.given("TOKENIZER_MODEL") || request->type != TokenizerType::kHuggingFace;
  const bool reads_data = needs_data && !run.data.mock_data;
  const auto entries = vocabulary_entries(settings, preset, *request, *found, reads_data);
  const bool files_given = settings.given("--vocab-file") || settings.given("--merge-file");
  if (!entries || (files_given && !found->source)) {
    run.model.vocab_size = 0;
    report_missing(settings, *request, *found, problems);
    return;
  }
  if (found->source) keep_source(*found->source, run);
  run.data.tokenizer_vocab_size = *entries;
  // NullTokenizer's --vocab-size is the tokenizer's, not the model's.
  const bool exact_size = preset.from_hf_config && (request->type == TokenizerType::kNull ||
                                                    !settings.given("--vocab-size"));
  run.model.vocab_size = exact_size
                             ? preset.vocab_size
                             : padded_vocab_size(*entries, run.parallel.tensor_parallel_size);
  if (found->source) {
    report_large_ids(settings, *found, exact_size, run, problems);
    if (!exact_size) note_added_entries(*found, run);
  } else if (named || (reads_data && !settings.given("--vocab-size"))) {
    warn_of_absence(*request, *found, run);
  }
}

void resolve_data_list(const Settings& settings, bool needs_data, RunConfig& run,
                       Problems& problems) {
  if (run.data.mock_data) {
    for (const char* key : {"DATA_FILE_LIST", "DATA_PATH"}) {
      if (!settings.given(key)) continue;
      run.notes.push_back(
          fmt::format("--mock-data: random tokens, {} is not read", settings.spelled(key)));
    }
    run.data.data_path.clear();
    return;
  }
  if (settings.given("DATA_PATH") && settings.given("DATA_FILE_LIST")) {
    const Source path = settings.source("DATA_PATH"), list = settings.source("DATA_FILE_LIST");
    if (path == list) {
      problems.settings.push_back(fmt::format("{} and {} both name the data; give one of them",
                                              settings.spelled("DATA_PATH"),
                                              settings.spelled("DATA_FILE_LIST")));
      return;
    }
    if (list > path) run.data.data_path.clear();
    run.notes.push_back(
        fmt::format("{} beats {}", settings.spelled(list > path ? "DATA_FILE_LIST" : "DATA_PATH"),
                    settings.spelled(list > path ? "DATA_PATH" : "DATA_FILE_LIST")));
  }
  if (!run.data.data_path.empty()) return;
  const std::string asked = settings.text("DATA_FILE_LIST");
  const DataListLookup found = find_data_list(asked, settings.text("BOREALIS_HOME"));
  run.data.data_file_list = found.path;
  if (found.without_machine) {
    run.notes.push_back(
        fmt::format("{} does not exist; using {}, which is for any machine", asked, found.path));
  }
  if (!found.path.empty() || !needs_data) return;
  if (!found.unusable.empty()) {
    problems.settings.push_back(fmt::format(
        "{}: {}; name a file whose lines read `weight prefix corpus`, or give the prefix "
        "of one data set as DATA_PATH",
        settings.spelled("DATA_FILE_LIST"), found.unusable));
    return;
  }
  problems.settings.push_back(fmt::format(
      "{} was not found (tried {}); {}", settings.spelled("DATA_FILE_LIST"), places(found.tried),
      settings.given("DATA_FILE_LIST")
          ? "name a list of data sets, or use --mock-data"
          : "`bash train_alcf.sh` prepares the default corpus; or name a list of data sets, or use "
            "--mock-data"));
}

}  // namespace borealis
