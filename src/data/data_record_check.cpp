#include "data/data_record_check.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "config/tokenizer_types.h"
#include "data/data_file_list.h"
#include "data/data_record.h"
#include "tokenizer/open_tokenizer.h"

namespace borealis {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& prefix, const std::string& data_side,
                         const std::string& run_side, const std::string& remedy) {
  throw Error(ErrorKind::kConfig,
              fmt::format("{}.bin was made with {}, but this run has {}", prefix.string(),
                          data_side, run_side),
              remedy);
}

class RunSide {
 public:
  explicit RunSide(const RunConfig& config) : config_(config) {}

  void check(const std::filesystem::path& prefix, const DataRecord& record) {
    const std::string made_with = named_tokenizer(record.tokenizer_path, record.tokenizer);
    if (const TokenizerIdentity* own = tokenizer()) {
      if (*own != record.tokenizer) {
        refuse(prefix, made_with, named_tokenizer(config_.data.tokenizer_path, *own),
               way_to(record));
      }
    }
    if (record.tokenizer.vocab_size > config_.model.vocab_size) {
      refuse(
          prefix, made_with,
          fmt::format("a vocabulary of {} entries, its padding included", config_.model.vocab_size),
          fmt::format("set TOKENIZER_MODEL to the one that made the data; a --vocab-size has to "
                      "be left out, or {} or more",
                      record.tokenizer.vocab_size));
    }
    check_end_token(prefix, record);
  }

 private:
  std::string way_to(const DataRecord& record) const {
    if (record.tokenizer_path.empty()) {
      return fmt::format(
          "set TOKENIZER_TYPE=NullTokenizer and --vocab-size {}, or tokenize the "
          "text again",
          record.tokenizer.vocab_size - 1);
    }
    return config_.data.tokenizer_path.empty()
               ? "set TOKENIZER_TYPE and TOKENIZER_MODEL to the one that made the data, or "
                 "tokenize the text again"
               : "set TOKENIZER_MODEL to the one that made the data, or tokenize the text again";
  }

  // Loaded when the first record asks for it: a list without records needs none.
  const TokenizerIdentity* tokenizer() {
    const auto source = tokenizer_source(config_.data);
    if (!source) return nullptr;
    if (!identity_) identity_ = tokenizer_identity(open_tokenizer(*source));
    return &*identity_;
  }

  // Only what looks for ends of documents depends on the token.
  void check_end_token(const std::filesystem::path& prefix, const DataRecord& record) const {
    if (!config_.data.looks_at_documents()) return;
    if (!record.end_token_appended) {
      log_warning(
          fmt::format("the documents of {}.bin were not ended with an end token: only those "
                      "in the text itself are seen as ends of documents",
                      prefix.string()));
      return;
    }
    if (config_.data.eod_token && record.tokenizer.end_token != config_.data.eod_token) {
      refuse(prefix, fmt::format("the end token {}", record.tokenizer.end_token.value_or(-1)),
             fmt::format("the end token {}", *config_.data.eod_token),
             "give the end token of the data with --eod-token-id");
    }
  }

  const RunConfig& config_;
  std::optional<TokenizerIdentity> identity_;
};

// Data that is not there is refused when it is opened: a warning about its record would only stand
// in front of that.
bool index_exists(const std::filesystem::path& prefix) {
  std::error_code unknown;
  return std::filesystem::exists(prefix.string() + ".idx", unknown);
}

}  // namespace

DataTokenizers check_data_records(const RunConfig& config) {
  DataTokenizers found;
  if (config.data.mock_data || config.data.source().empty()) return found;
  RunSide run(config);
  auto& [files, unknown, recorded] = found;
  std::string first_unknown;
  for (const DataFileEntry& entry : data_file_entries(config.data)) {
    if (entry.weight == 0) continue;
    ++files;
    if (const auto record = read_data_record(entry.prefix)) {
      run.check(entry.prefix, *record);
      if (recorded.empty()) recorded = record->tokenizer_path;
    } else if (!index_exists(entry.prefix)) {
      --files;
    } else if (unknown++ == 0) {
      first_unknown = data_record_path(entry.prefix).string();
    }
  }
  if (unknown == 0) return found;
  log_warning(fmt::format(
      "{} of {} data file{} {} no record of the tokenizer that made {} ({} is missing): it cannot "
      "be checked against this run's",
      unknown, files, files == 1 ? "" : "s", unknown == 1 ? "has" : "have",
      unknown == 1 ? "it" : "them", first_unknown));
  return found;
}

std::string data_tokenizer_text(const RunConfig& config, const DataTokenizers& tokenizers) {
  if (config.data.mock_data) return "none: random tokens";
  const auto [files, unknown, recorded] = tokenizers;
  const std::string own_use = tokenizer_source(config.data)
                                  ? "; this run's own only sizes the vocabulary and decodes samples"
                                  : "";
  if (unknown == files) {
    return "not known: the data is tokenized beforehand and has no record of it" + own_use;
  }
  const std::string of_recorded =
      tokenizer_source(config.data)
          ? fmt::format("this run's, by the records beside the data ({})", recorded)
          : fmt::format("{}, by the records beside the data", recorded);
  if (unknown == 0) return of_recorded;
  return fmt::format("of {} of {} files {}; of the others not known", files - unknown, files,
                     of_recorded);
}

}  // namespace borealis
