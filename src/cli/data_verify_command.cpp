#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/log.h"
#include "base/process.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/dataset_prefix.h"
#include "cli/parse_arguments.h"
#include "cli/tokenizer_options.h"
#include "cli/work_progress.h"
#include "config/tokenizer_types.h"
#include "data/dataset_check.h"
#include "tokenizer/tokenizer_identity.h"

namespace borealis {
namespace {

struct VerifyArguments {
  std::vector<std::string> prefixes;
  std::optional<int64_t> vocab_size;
  std::string tokenizer;
  std::string tokenizer_type = "HFTokenizer";
  int threads = 0;
  bool json = false;
};

nlohmann::ordered_json json_of(const std::filesystem::path& prefix, const DatasetCheck& check) {
  nlohmann::ordered_json json = {{"prefix", prefix.string()},
                                 {"sound", check.problems.empty()},
                                 {"readable", check.readable},
                                 {"documents", check.documents},
                                 {"sequences", check.sequences},
                                 {"tokens", check.tokens},
                                 {"dtype", token_type_name(check.type)},
                                 {"highest_id", check.highest_id},
                                 {"vocab_size", nullptr},
                                 {"record", check.record.has_value()},
                                 {"problems", nlohmann::ordered_json::array()},
                                 {"further_problems", check.further_problems}};
  if (check.vocab_size) json["vocab_size"] = *check.vocab_size;
  for (const DatasetProblem& problem : check.problems) {
    json["problems"].push_back(
        {{"class", std::string(dataset_fault_name(problem.fault))}, {"text", problem.text}});
  }
  return json;
}

// Ids of another tokenizer may well be within this one's vocabulary: the record tells.
void hold_against(const TokenizerIdentity& tokenizer, DatasetCheck& check) {
  if (!check.record || check.record->tokenizer == tokenizer) return;
  check.problems.push_back(
      {DatasetFault::kForeignToken,
       fmt::format("made with {}, not with this one ({})",
                   named_tokenizer(check.record->tokenizer_path, check.record->tokenizer),
                   describe_tokenizer(tokenizer))});
}

// As data has that was made with another tokenizer than the one that was given.
bool only_foreign_tokens(const DatasetCheck& check) {
  return !check.problems.empty() &&
         std::ranges::all_of(check.problems, [](const DatasetProblem& problem) {
           return problem.fault == DatasetFault::kForeignToken;
         });
}

void report(const std::filesystem::path& prefix, const DatasetCheck& check) {
  for (const DatasetProblem& problem : check.problems) {
    log_error(fmt::format("{}: {}", dataset_fault_name(problem.fault), problem.text));
  }
  if (check.further_problems > 0) {
    log_error(fmt::format("and {} more of these kinds", format_count(check.further_problems)));
  }
  if (!check.problems.empty()) return;
  const std::string against =
      check.vocab_size ? fmt::format("below the vocabulary's {}", *check.vocab_size)
                       : "not held against a vocabulary (give --vocab-size or --tokenizer)";
  log_info(fmt::format("{}: sound; {} documents, {} tokens ({}), ids up to {}, {}", prefix.string(),
                       format_count(check.documents), format_count(check.tokens),
                       token_type_name(check.type), check.highest_id, against));
}

int verify(const VerifyArguments& arguments) {
  log_open(arguments.json ? LogStream::kStderr : LogStream::kStdout, "INFO");
  omp_set_num_threads(arguments.threads > 0 ? arguments.threads : usable_cores());
  std::optional<int64_t> vocab_size = arguments.vocab_size;
  std::optional<TokenizerIdentity> tokenizer;
  if (!arguments.tokenizer.empty()) {
    TokenizerOptions options;
    options.model = arguments.tokenizer;
    options.type = arguments.tokenizer_type;
    tokenizer = tokenizer_identity(options.open());
    vocab_size = tokenizer->vocab_size;
  }
  const auto prefixes = dataset_prefixes(arguments.prefixes);
  nlohmann::ordered_json pairs = nlohmann::ordered_json::array();
  size_t damaged = 0, foreign = 0;
  for (const std::filesystem::path& prefix : prefixes) {
    DatasetCheck check;
    {
      WorkProgress progress(fmt::format("verifying {}", prefix.string()));
      check = check_dataset(prefix, vocab_size, [&](int64_t done, int64_t total) {
        progress.update(done, total, done);
      });
    }
    if (tokenizer) hold_against(*tokenizer, check);
    if (vocab_size && only_foreign_tokens(check)) {
      ++foreign;
    } else if (!check.problems.empty()) {
      ++damaged;
    }
    report(prefix, check);
    pairs.push_back(json_of(prefix, check));
  }
  if (arguments.json) fmt::print("{}\n", json_text(nlohmann::ordered_json({{"pairs", pairs}}), 2));
  if (damaged == 0 && foreign > 0) {
    throw Error(ErrorKind::kData,
                fmt::format("{} of {} pair{} {} tokens of another {}", foreign, prefixes.size(),
                            prefixes.size() == 1 ? "" : "s", foreign == 1 ? "has" : "have",
                            tokenizer ? "tokenizer" : "vocabulary"),
                "give the tokenizer or the vocabulary that the data was made with; where it was "
                "this one the data is damaged");
  }
  damaged += foreign;
  if (damaged == 0) return 0;
  throw Error(ErrorKind::kData,
              fmt::format("{} of {} pair{} {} damaged", damaged, prefixes.size(),
                          prefixes.size() == 1 ? "" : "s", damaged == 1 ? "is" : "are"),
              "tokenize the text again, or copy the files again");
}

}  // namespace

int run_data_verify_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Reads every byte of .bin/.idx pairs: header, lengths, offsets, document index, sizes, the "
      "record, and every token id. Exit code 0 if all are sound, 4 if one is damaged, 3 if a file "
      "is missing.",
      "borealis data verify");
  VerifyArguments parsed;
  app.add_option("PREFIX", parsed.prefixes,
                 "pairs, with or without .bin or .idx; quoted patterns are expanded")
      ->required();
  auto* size = app.add_option("--vocab-size", parsed.vocab_size,
                              "ids must be smaller (default: as <prefix>.meta.json says)")
                   ->check(whole_number(1));
  app.add_option("--tokenizer", parsed.tokenizer, "ids must be this tokenizer's")->excludes(size);
  app.add_option("--tokenizer-type", parsed.tokenizer_type,
                 "a TOKENIZER_TYPE: " + supported_tokenizer_types())
      ->capture_default_str();
  app.add_option("--threads", parsed.threads, "threads; 0: every core that this process may use")
      ->check(whole_number(0, 1024))
      ->capture_default_str();
  app.add_flag("--json", parsed.json, "print one JSON document about what was found");
  return parse_arguments(app, arguments) ? verify(parsed) : 0;
}

}  // namespace borealis
