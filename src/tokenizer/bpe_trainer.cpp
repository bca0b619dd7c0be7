#include "tokenizer/bpe_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <queue>
#include <set>
#include <tuple>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/bpe_merge.h"
#include "tokenizer/byte_level.h"

namespace borealis {
namespace {

constexpr int32_t kFirstByteId = 1;
constexpr int64_t kSmallestVocabulary = 257;

struct Word {
  std::vector<int32_t> symbols;
  int64_t count;
};

struct Candidate {
  int64_t count;
  uint64_t pair;
  bool operator<(const Candidate& other) const {  // the top: most frequent, then lowest ids
    return std::tie(count, other.pair) < std::tie(other.count, pair);
  }
};

// Words, how often each pair stands in them, and where.
class PairCounts {
 public:
  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (size_t w = 0; w < words_.size(); ++w) count_word(w, +1);
    for (const auto& [pair, count] : counts_) queue_.push({count, pair});
  }

  // The most frequent pair; false if none stands anywhere twice.
  bool pop_best(uint64_t& pair) {
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const int64_t now = counts_[best.pair];
      if (now != best.count) {  // counted anew since it was put here
        if (now > 0 && now < best.count) queue_.push({now, best.pair});
        continue;
      }
      if (now < 2) return false;
      pair = best.pair;
      return true;
    }
    return false;
  }

  void merge(uint64_t pair, int32_t id) {
    const auto left = static_cast<int32_t>(pair >> 32), right = static_cast<int32_t>(pair);
    const std::set<size_t> places = std::move(where_[pair]);
    where_.erase(pair);
    for (const size_t w : places) {
      count_word(w, -1);
      std::vector<int32_t>& symbols = words_[w].symbols;
      size_t to = 0;
      for (size_t from = 0; from < symbols.size(); ++from) {
        const bool here =
            from + 1 < symbols.size() && symbols[from] == left && symbols[from + 1] == right;
        symbols[to++] = here ? id : symbols[from];
        from += here ? 1 : 0;
      }
      symbols.resize(to);
      count_word(w, +1);
    }
    for (const uint64_t changed : grown_) queue_.push({counts_[changed], changed});
    grown_.clear();
  }

 private:
  void count_word(size_t w, int sign) {
    const std::vector<int32_t>& symbols = words_[w].symbols;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const uint64_t pair = merge_key(symbols[i], symbols[i + 1]);
      counts_[pair] += sign * words_[w].count;
      if (sign > 0) {
        where_[pair].insert(w);
        grown_.insert(pair);
      }
    }
  }

  std::vector<Word> words_;
  std::unordered_map<uint64_t, int64_t> counts_;
  std::unordered_map<uint64_t, std::set<size_t>> where_;
  std::set<uint64_t> grown_;  // pairs to be queued again
  std::priority_queue<Candidate> queue_;
};

}  // namespace

void BpeTrainer::add_text(std::string_view text) {
  const std::string valid = valid_utf8(text);
  pattern_.split(valid, [&](std::string_view word) { ++counts_[std::string(word)]; });
}

BpeTrainer::Result BpeTrainer::train(int64_t vocab_size) const {
  if (vocab_size < kSmallestVocabulary) {
    throw Error(ErrorKind::kConfig,
                fmt::format("a vocabulary of {} entries has no room for 256 bytes and {}",
                            vocab_size, kEndOfText),
                fmt::format("choose --vocab-size of {} or more", kSmallestVocabulary));
  }
  if (counts_.empty()) throw Error(ErrorKind::kData, "the input holds no text to train on");
  Result result;
  result.pieces.emplace_back(kEndOfText);
  for (int byte = 0; byte < 256; ++byte) result.pieces.emplace_back(1, static_cast<char>(byte));

  std::vector<Word> words;
  for (const auto& [text, count] : counts_) {
    Word word{{}, count};
    for (const char byte : text) word.symbols.push_back(kFirstByteId + static_cast<uint8_t>(byte));
    words.push_back(std::move(word));
  }
  PairCounts pairs(std::move(words));
  uint64_t pair = 0;
  while (static_cast<int64_t>(result.pieces.size()) < vocab_size && pairs.pop_best(pair)) {
    const auto left = static_cast<int32_t>(pair >> 32), right = static_cast<int32_t>(pair);
    const auto id = static_cast<int32_t>(result.pieces.size());
    result.pieces.push_back(result.pieces[static_cast<size_t>(left)] +
                            result.pieces[static_cast<size_t>(right)]);
    result.merges.emplace_back(left, right);
    pairs.merge(pair, id);
  }
  return result;
}

void write_tokenizer(const BpeTrainer::Result& result, const std::filesystem::path& folder) {
  nlohmann::ordered_json vocab, merges = nlohmann::ordered_json::array();
  const auto piece = [&](int32_t id) {
    return id == 0 ? kEndOfText : byte_level_of_bytes(result.pieces[static_cast<size_t>(id)]);
  };
  for (size_t id = 0; id < result.pieces.size(); ++id) {
    vocab[piece(static_cast<int32_t>(id))] = id;
  }
  for (const auto& [left, right] : result.merges) merges.push_back({piece(left), piece(right)});
  const nlohmann::ordered_json byte_level = {{"type", "ByteLevel"},
                                             {"add_prefix_space", false},
                                             {"trim_offsets", true},
                                             {"use_regex", true}};
  const nlohmann::ordered_json document = {{"version", "1.0"},
                                           {"truncation", nullptr},
                                           {"padding", nullptr},
                                           {"added_tokens",
                                            {{{"id", 0},
                                              {"content", kEndOfText},
                                              {"single_word", false},
                                              {"lstrip", false},
                                              {"rstrip", false},
                                              {"normalized", false},
                                              {"special", true}}}},
                                           {"normalizer", nullptr},
                                           {"pre_tokenizer", byte_level},
                                           {"post_processor", byte_level},
                                           {"decoder", byte_level},
                                           {"model",
                                            {{"type", "BPE"},
                                             {"dropout", nullptr},
                                             {"unk_token", nullptr},
                                             {"continuing_subword_prefix", nullptr},
                                             {"end_of_word_suffix", nullptr},
                                             {"fuse_unk", false},
                                             {"byte_fallback", false},
                                             {"ignore_merges", false},
                                             {"vocab", vocab},
                                             {"merges", merges}}}};
  const nlohmann::ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                                         {"bos_token", kEndOfText},
                                         {"eos_token", kEndOfText},
                                         {"pad_token", kEndOfText},
                                         {"unk_token", kEndOfText},
                                         {"clean_up_tokenization_spaces", false}};
  borealis::create_directories(folder);
  write_file_atomically(folder / "tokenizer.json", document.dump(1) + "\n");
  write_file_atomically(folder / "tokenizer_config.json", config.dump(1) + "\n");
}

}  // namespace borealis
