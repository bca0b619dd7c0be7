#include "cli/tokenizer_options.h"

#include <fmt/format.h>

#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "cli/parse_arguments.h"
#include "config/run_config_loader.h"
#include "data/data_record.h"
#include "tokenizer/open_tokenizer.h"
#include "tokenizer/tokenizer_identity.h"

namespace borealis {
namespace {

TokenizerLookup find_named(const TokenizerRequest& request, const std::string& shown) {
  const Environment environment = process_environment();
  TokenizerLookup found =
      find_tokenizer(request, environment("BOREALIS_HOME").value_or(""), environment);
  if (!found.source) {
    throw Error(ErrorKind::kFile,
                fmt::format("no tokenizer ({}) was found at {} (looked for {})",
                            tokenizer_type_name(request.type), shown, fmt::join(found.tried, ", ")),
                "give --tokenizer its file, its folder, or a name in the Hugging Face cache; "
                "`borealis tokenizer train` makes one");
  }
  return found;
}

}  // namespace

void TokenizerOptions::add_to(CLI::App& app, const std::string& help) {
  app.add_option("--tokenizer", model, help);
  app.add_option("--tokenizer-type", type, "a TOKENIZER_TYPE: " + supported_tokenizer_types())
      ->capture_default_str();
  app.add_option("--vocab-file", vocab_file, "GPT2BPETokenizer's vocab.json");
  app.add_option("--merge-file", merge_file, "GPT2BPETokenizer's merges.txt");
  app.add_option("--vocab-size", vocab_size, "NullTokenizer's: ids below it are text")
      ->check(whole_number(1, kLargestNullVocabulary - 1));
}

bool TokenizerOptions::names_one() const {
  require_known_type();
  // A type alone names none, which find() tells.
  const bool has_type = type != tokenizer_type_name(TokenizerType::kHuggingFace);
  return has_type || !model.empty() || !vocab_file.empty() || !merge_file.empty() || vocab_size > 0;
}

void TokenizerOptions::require_known_type() const {
  if (parse_tokenizer_type(type)) return;
  throw Error(ErrorKind::kUsage, fmt::format("--tokenizer-type {}: not supported", type),
              "use one of " + supported_tokenizer_types());
}

TokenizerLookup TokenizerOptions::find() const {
  const auto known = parse_tokenizer_type(type);
  require_known_type();
  const bool two_files = !vocab_file.empty() || !merge_file.empty();
  if (two_files && *known != TokenizerType::kGpt2) {
    throw Error(ErrorKind::kUsage, fmt::format("--vocab-file and --merge-file are not {}'s", type),
                "give --tokenizer-type GPT2BPETokenizer");
  }
  if ((vocab_size > 0) != (*known == TokenizerType::kNull)) {
    throw Error(ErrorKind::kUsage,
                vocab_size > 0 ? fmt::format("--vocab-size is not for {}", type)
                               : "NullTokenizer needs --vocab-size",
                "--vocab-size N goes with NullTokenizer: ids below N are text, N ends a document");
  }
  if (model.empty() && !two_files && vocab_size == 0) {
    throw Error(ErrorKind::kUsage, "--tokenizer is required",
                "give a tokenizer's file, its folder, or a name in the Hugging Face cache");
  }
  return find_named({.type = *known,
                     .model = model,
                     .vocab_file = vocab_file,
                     .merge_file = merge_file,
                     .size = vocab_size},
                    two_files ? vocab_file + " and " + merge_file : model);
}

Tokenizer TokenizerOptions::open() const { return open_tokenizer(*find().source); }

void TokenizerOptions::warn_if_not_of(const std::string& folder, const Tokenizer& tokenizer) const {
  if (!names_one()) return;
  std::optional<TokenizerIdentity> own;
  try {
    own = tokenizer_identity(open_tokenizer_of(folder));
  } catch (const Error&) {
    return;  // it has none that can be read, which is why another was given
  }
  const TokenizerIdentity given = tokenizer_identity(tokenizer);
  if (given == *own) return;
  log_warning(fmt::format(
      "the tokenizer that was given ({}) is not the model's own ({}): its ids mean other text to "
      "the model",
      describe_tokenizer(given), describe_tokenizer(*own)));
}

Tokenizer open_tokenizer_of(const std::string& folder) {
  return open_tokenizer(*find_named({.model = folder}, folder).source);
}

}  // namespace borealis
