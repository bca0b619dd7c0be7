#include "config/tokenizer_lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "config/settings.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

struct KnownTokenizer {
  std::string_view repository;  // as its cache folder spells it
  int64_t vocab_size;
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
    KnownTokenizer{"meta-llama/Meta-Llama-3-8B", 128000},
    KnownTokenizer{"meta-llama/Llama-3.1-8B", 128000},
    KnownTokenizer{"meta-llama/Llama-3.2-1B", 128000},
    KnownTokenizer{"meta-llama/Llama-3.2-3B", 128000},
    KnownTokenizer{"HuggingFaceTB/SmolLM3-3B", 128000},
    KnownTokenizer{"mistralai/Mistral-7B-v0.1", 32000},
    KnownTokenizer{"TinyLlama/TinyLlama-1.1B-Chat-v1.0", 32000},
    KnownTokenizer{"gpt2", 50257},
    KnownTokenizer{"openai-community/gpt2", 50257},
};

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return result;
}

const KnownTokenizer* find_known(std::string_view repository) {
  for (const KnownTokenizer& known : kKnownTokenizers) {
    if (lower(known.repository) == lower(repository)) return &known;
  }
  return nullptr;
}

// Reads a tokenizer.json as a stream (Gemma's has 17 MB and half a million merges), counting the
// entries of model.vocab and noting the ids of added_tokens; stops once it has seen both.
class VocabularyReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  int64_t vocab_size = 0;
  int64_t largest_added_id = -1;
  bool has_vocab = false;
  std::string fault;

  bool finished() const { return has_vocab && has_added_; }

  bool null() override { return leaf(); }
  bool boolean(bool) override { return leaf(); }
  bool number_integer(number_integer_t value) override { return number(value); }
  bool number_unsigned(number_unsigned_t value) override {
    return number(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t, const string_t&) override { return leaf(); }
  bool string(string_t&) override { return leaf(); }
  bool binary(binary_t&) override { return leaf(); }
  bool start_object(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (depth_ <= kVocabDepth) keys_[static_cast<size_t>(depth_)] = name;
    if (in_vocab() && depth_ == kVocabDepth) ++vocab_size;  // {"piece": id, ...}
    return true;
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    fault = fmt::format("it is not valid JSON (at byte {})", position);
    return false;
  }

 private:
  // The root object is depth 1; model and added_tokens are opened at 2, model.vocab at 3.
  static constexpr int kVocabDepth = 3;

  bool in_vocab() const {
    return depth_ >= kVocabDepth && keys_[1] == "model" && keys_[2] == "vocab";
  }
  bool leaf() const { return true; }

  bool number(int64_t value) {
    if (depth_ == 3 && keys_[1] == "added_tokens" && keys_[3] == "id") {
      largest_added_id = std::max(largest_added_id, value);
    }
    return true;
  }

  bool open() {
    if (in_vocab() && depth_ == kVocabDepth) ++vocab_size;  // [["piece", score], ...]
    ++depth_;
    if (depth_ == kVocabDepth && keys_[1] == "model" && keys_[2] == "vocab") has_vocab = true;
    return true;
  }

  bool close() {
    const bool left_vocab = depth_ == kVocabDepth && in_vocab();
    const bool left_added = depth_ == 2 && keys_[1] == "added_tokens";
    --depth_;
    if (left_added) has_added_ = true;
    return !((left_vocab || left_added) && finished());
  }

  int depth_ = 0;
  bool has_added_ = false;
  std::array<std::string, kVocabDepth + 1> keys_;  // the current key at each depth
};

void read_vocabulary(const fs::path& file, TokenizerLookup& lookup) {
  const MappedFile mapped(file);
  const auto* text = reinterpret_cast<const char*>(mapped.bytes().data());
  VocabularyReader reader;
  nlohmann::json::sax_parse(text, text + mapped.bytes().size(), &reader);
  std::string fault = reader.fault;
  if (fault.empty() && (!reader.has_vocab || reader.vocab_size == 0)) {
    fault = "it has no model.vocab";
  }
  if (!fault.empty()) {
    throw Error(ErrorKind::kData,
                fmt::format("{} cannot be read as a tokenizer.json: {}", file.string(), fault),
                "TOKENIZER_MODEL must name a Hugging Face tokenizer.json or a folder with one");
  }
  lookup.path = file.string();
  lookup.vocab_size = reader.vocab_size;
  lookup.largest_added_id = reader.largest_added_id;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// The file, or the folder's tokenizer.json; notes where it looked.
std::optional<fs::path> find_in_files(const fs::path& path, std::vector<std::string>& tried) {
  if (is_file(path)) return path;
  if (is_folder(path)) {
    fs::path inside = path / "tokenizer.json";
    if (is_file(inside)) return inside;
    tried.push_back(inside.string());
    return std::nullopt;
  }
  tried.push_back(path.string());
  return std::nullopt;
}

// "~/x" and "$NAME/x" or "${NAME}/x" in the value of a variable that names a folder.
std::string expand(std::string_view text, const Environment& environment) {
  std::string result;
  if (text == "~" || text.starts_with("~/")) {
    result = set_value(environment, "HOME").value_or("~");
    text.remove_prefix(1);
  }
  while (!text.empty()) {
    if (text.front() != '$') {
      result += text.front();
      text.remove_prefix(1);
      continue;
    }
    text.remove_prefix(1);
    const bool braces = text.starts_with('{');
    if (braces) text.remove_prefix(1);
    size_t length = 0;
    while (length < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[length])) || text[length] == '_')) {
      ++length;
    }
    result += set_value(environment, text.substr(0, length)).value_or("");
    text.remove_prefix(length);
    if (braces && text.starts_with('}')) text.remove_prefix(1);
  }
  return result;
}

std::optional<fs::path> hub_cache(const Environment& environment) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kRoots = {{
      {"HF_HUB_CACHE", ""},
      {"HUGGINGFACE_HUB_CACHE", ""},
      {"HF_HOME", "hub"},
      {"XDG_CACHE_HOME", "huggingface/hub"},
      {"HOME", ".cache/huggingface/hub"},
  }};
  for (const auto& [variable, below] : kRoots) {
    if (const auto value = set_value(environment, variable)) {
      const fs::path root = expand(*value, environment);
      return below.empty() ? root : root / below;
    }
  }
  return std::nullopt;
}

// The snapshot of `main`, or the only one there is.
std::optional<fs::path> hub_snapshot(const fs::path& folder, std::vector<std::string>& tried) {
  const fs::path reference = folder / "refs" / "main";
  if (is_file(reference)) {
    std::string commit = read_text_file(reference);
    commit.erase(0, commit.find_first_not_of(" \t\r\n"));
    commit.erase(commit.find_last_not_of(" \t\r\n") + 1);
    return folder / "snapshots" / commit;
  }
  tried.push_back(reference.string());
  std::vector<fs::path> snapshots;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder / "snapshots", ignored)) {
    snapshots.push_back(entry.path());
  }
  std::sort(snapshots.begin(), snapshots.end());
  if (snapshots.size() == 1) return snapshots.front();
  for (const fs::path& snapshot : snapshots) {
    tried.push_back(snapshot.string() + " (one of several, without refs/main to choose)");
  }
  return std::nullopt;
}

std::optional<fs::path> find_in_hub(const std::string& repository, const fs::path& root,
                                    std::vector<std::string>& tried) {
  std::string name = "models--" + repository;
  if (const size_t slash = name.find('/'); slash != std::string::npos) {
    name.replace(slash, 1, "--");
  }
  const fs::path folder = root / name;
  if (!is_folder(folder)) {
    tried.push_back(folder.string());
    return std::nullopt;
  }
  const std::optional<fs::path> snapshot = hub_snapshot(folder, tried);
  if (!snapshot) return std::nullopt;
  fs::path file = *snapshot / "tokenizer.json";
  if (is_file(file)) return file;
  tried.push_back(file.string());
  return std::nullopt;
}

bool can_be_repository(std::string_view name) {
  return !name.empty() && !name.starts_with('.') && !name.starts_with('/') &&
         std::count(name.begin(), name.end(), '/') <= 1 && !name.ends_with('/') &&
         !name.ends_with(".json");
}

std::optional<fs::path> find_file(const std::string& model, const std::string& home,
                                  const Environment& environment, std::vector<std::string>& tried) {
  if (auto found = find_in_files(model, tried)) return found;
  if (!home.empty() && fs::path(model).is_relative()) {
    if (auto found = find_in_files(fs::path(home) / model, tried)) return found;
  }
  const std::optional<fs::path> root = hub_cache(environment);
  if (!root || !can_be_repository(model)) return std::nullopt;
  if (auto found = find_in_hub(model, *root, tried)) return found;
  const KnownTokenizer* known = find_known(model);
  if (known == nullptr || known->repository == model) return std::nullopt;
  return find_in_hub(std::string(known->repository), *root, tried);
}

}  // namespace

TokenizerLookup find_tokenizer(const std::string& model, const std::string& home,
                               const Environment& environment) {
  TokenizerLookup lookup;
  if (const auto file = find_file(model, home, environment, lookup.tried)) {
    read_vocabulary(*file, lookup);
  } else {
    lookup.vocab_size = known_vocab_size(model);
  }
  return lookup;
}

std::optional<int64_t> known_vocab_size(const std::string& repository) {
  const KnownTokenizer* known = find_known(repository);
  if (known == nullptr) return std::nullopt;
  return known->vocab_size;
}

}  // namespace borealis
