#include "config/tokenizer_lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json_excerpt.h"
#include "base/text.h"
#include "config/hub_cache.h"
#include "config/tokenizer_vocabulary.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

struct KnownTokenizer {
  std::string_view repository;  // as its cache folder spells it
  int64_t vocab_size;           // with the tokens added behind the base entries
};

constexpr std::array kKnownTokenizers = {
    KnownTokenizer{"google/gemma-7b", 256000},
    KnownTokenizer{"google/gemma-7b-it", 256000},
    KnownTokenizer{"google/gemma-2b", 256000},
    KnownTokenizer{"google/gemma-2-2b", 256000},
    KnownTokenizer{"google/gemma-2-9b", 256000},
    KnownTokenizer{"google/gemma-2-27b", 256000},
    KnownTokenizer{"meta-llama/Llama-2-7b-hf", 32000},
    KnownTokenizer{"meta-llama/Llama-2-13b-hf", 32000},
    KnownTokenizer{"meta-llama/Llama-2-70b-hf", 32000},
    KnownTokenizer{"meta-llama/Meta-Llama-3-8B", 128256},
    KnownTokenizer{"meta-llama/Llama-3.1-8B", 128256},
    KnownTokenizer{"meta-llama/Llama-3.2-1B", 128256},
    KnownTokenizer{"meta-llama/Llama-3.2-3B", 128256},
    KnownTokenizer{"HuggingFaceTB/SmolLM3-3B", 128256},
    KnownTokenizer{"mistralai/Mistral-7B-v0.1", 32000},
    KnownTokenizer{"TinyLlama/TinyLlama-1.1B-Chat-v1.0", 32000},
    KnownTokenizer{"gpt2", 50257},
    KnownTokenizer{"openai-community/gpt2", 50257},
};

const KnownTokenizer* find_known(std::string_view repository) {
  for (const KnownTokenizer& known : kKnownTokenizers) {
    if (lower_case(known.repository) == lower_case(repository)) return &known;
  }
  return nullptr;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool takes(TokenizerType type, TokenizerFormat format) {
  switch (type) {
    case TokenizerType::kHuggingFace:
      return true;
    case TokenizerType::kGpt2:
      return format == TokenizerFormat::kGpt2;
    case TokenizerType::kNull:
      return false;
    default:
      return format == TokenizerFormat::kSentencePiece;
  }
}

// A checkpoint of a model whose texts are numbers says so (checkpoint/tokenizer_files.cpp).
std::optional<TokenizerSource> numbers_in(const fs::path& folder) {
  const fs::path file = folder / "tokenizer_config.json";
  if (!is_file(file)) return std::nullopt;
  const auto config = nlohmann::json::parse(read_json_text(file), nullptr, false);
  if (!config.is_object() || config.value("tokenizer_class", nlohmann::json()) !=
                                 tokenizer_type_name(TokenizerType::kNull)) {
    return std::nullopt;
  }
  const nlohmann::json size = config.value("vocab_size", nlohmann::json());
  if (!size.is_number_unsigned() || size == 0 || size >= kLargestNullVocabulary) {
    throw Error(ErrorKind::kData, fmt::format("{} has no vocab_size", file.string()),
                "write it: ids below it are text, it itself ends a document");
  }
  return TokenizerSource{.type = TokenizerType::kNull, .size = size.get<int64_t>()};
}

// The files of a folder that the type can be read from; notes where it looked.
std::optional<TokenizerSource> in_folder(TokenizerType type, const fs::path& folder,
                                         std::vector<std::string>& tried) {
  struct Candidate {
    TokenizerFormat format;
    const char* file;
    const char* merges;
  };
  for (const Candidate& candidate :
       {Candidate{TokenizerFormat::kJson, "tokenizer.json", nullptr},
        Candidate{TokenizerFormat::kSentencePiece, "tokenizer.model", nullptr},
        Candidate{TokenizerFormat::kGpt2, "gpt2-vocab.json", "gpt2-merges.txt"},
        Candidate{TokenizerFormat::kGpt2, "vocab.json", "merges.txt"}}) {
    if (!takes(type, candidate.format)) continue;
    TokenizerSource source{.type = type, .path = (folder / candidate.file).string()};
    if (candidate.merges != nullptr) source.merges = (folder / candidate.merges).string();
    const bool complete = source.merges.empty() || is_file(source.merges);
    if (complete && is_file(source.path)) return source;
    tried.push_back(source.path);
    if (candidate.merges != nullptr) tried.back() += std::string(" with ") + candidate.merges;
  }
  return type == TokenizerType::kHuggingFace ? numbers_in(folder) : std::nullopt;
}

std::optional<TokenizerSource> in_place(TokenizerType type, const fs::path& path,
                                        std::vector<std::string>& tried) {
  if (is_folder(path)) return in_folder(type, path, tried);
  if (!is_file(path)) {
    tried.push_back(path.string());
    return std::nullopt;
  }
  TokenizerSource source{.type = type, .path = path.string()};
  const fs::path merges = path.parent_path() / "merges.txt";
  if (type == TokenizerType::kHuggingFace && path.filename() == "vocab.json" && is_file(merges)) {
    source.merges = merges.string();
  }
  if (type == TokenizerType::kGpt2) {
    throw Error(ErrorKind::kConfig,
                fmt::format("GPT2BPETokenizer needs two files, {} is one", path.string()),
                "give --vocab-file and --merge-file, or a folder with vocab.json and merges.txt");
  }
  return source;
}

std::vector<fs::path> places_of(const std::string& name, const std::string& home) {
  std::vector<fs::path> places = {name};
  if (!home.empty() && fs::path(name).is_relative()) places.push_back(fs::path(home) / name);
  return places;
}

bool can_be_repository(std::string_view name) {
  return !name.empty() && !name.starts_with('.') && !name.starts_with('/') &&
         std::count(name.begin(), name.end(), '/') <= 1 && !name.ends_with('/') &&
         !name.ends_with(".json") && !name.ends_with(".model");
}

std::optional<TokenizerSource> in_hub(TokenizerType type, const std::string& model,
                                      const Environment& environment,
                                      std::vector<std::string>& tried) {
  if (!can_be_repository(model)) return std::nullopt;
  std::vector<std::string> spellings = {model};
  const KnownTokenizer* known = find_known(model);
  if (known != nullptr && known->repository != model) spellings.emplace_back(known->repository);
  for (const std::string& repository : spellings) {
    const auto snapshot = hub_snapshot(repository, environment, tried);
    if (!snapshot) continue;
    if (auto found = in_folder(type, *snapshot, tried)) return found;
  }
  return std::nullopt;
}

// --vocab-file and --merge-file.
std::optional<TokenizerSource> from_two_files(const TokenizerRequest& request,
                                              const std::string& home,
                                              std::vector<std::string>& tried) {
  if (request.vocab_file.empty() || request.merge_file.empty()) {
    throw Error(ErrorKind::kConfig, "of --vocab-file and --merge-file only one is given",
                "give both");
  }
  const auto find = [&](const std::string& name) -> std::string {
    for (const fs::path& place : places_of(name, home)) {
      if (is_file(place)) return place.string();
      tried.push_back(place.string());
    }
    return "";
  };
  TokenizerSource source{
      .type = request.type, .path = find(request.vocab_file), .merges = find(request.merge_file)};
  if (source.path.empty() || source.merges.empty()) return std::nullopt;
  return source;
}

std::optional<TokenizerSource> find_source(const TokenizerRequest& request, const std::string& home,
                                           const Environment& environment,
                                           std::vector<std::string>& tried) {
  if (request.type == TokenizerType::kNull) {
    return TokenizerSource{.type = request.type, .size = request.size};
  }
  if (!request.vocab_file.empty() || !request.merge_file.empty()) {
    return from_two_files(request, home, tried);
  }
  if (request.type == TokenizerType::kGpt2 && !request.data_parent.empty()) {
    for (const fs::path& place : places_of(request.data_parent, home)) {
      if (auto found = in_place(request.type, place, tried)) return found;
    }
  }
  for (const fs::path& place : places_of(request.model, home)) {
    if (auto found = in_place(request.type, place, tried)) return found;
  }
  return in_hub(request.type, request.model, environment, tried);
}

}  // namespace

TokenizerLookup find_tokenizer(const TokenizerRequest& request, const std::string& home,
                               const Environment& environment) {
  TokenizerLookup lookup;
  lookup.source = find_source(request, home, environment, lookup.tried);
  if (!lookup.source) {
    lookup.vocab_size = known_vocab_size(request.model);
    return lookup;
  }
  const TokenizerVocabulary vocabulary = tokenizer_vocabulary(*lookup.source);
  lookup.base_vocab_size = vocabulary.size;
  lookup.vocab_size = std::max(vocabulary.size, vocabulary.largest_added_id + 1);
  return lookup;
}

std::optional<int64_t> known_vocab_size(const std::string& repository) {
  const KnownTokenizer* known = find_known(repository);
  if (known == nullptr) return std::nullopt;
  return known->vocab_size;
}

}  // namespace borealis
