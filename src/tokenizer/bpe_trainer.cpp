#include "tokenizer/bpe_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <queue>
#include <utility>

#include "base/error.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/chunks_in_order.h"
#include "tokenizer/word_splitter.h"

namespace borealis {
namespace {

constexpr int64_t kBytes = 256;
// A run of 100 million zeros has pairs up to pieces of half of it; a vocabulary of such pieces is
// larger than its text. The tokenizers library has no limit unless it is given one.
constexpr size_t kLongestPiece = size_t{1} << 16;

uint64_t pair_key(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

struct Word {
  std::vector<int32_t> ids;
  int64_t count = 0;
};

// Where a pair of adjacent ids occurs.
struct PairState {
  int64_t count = 0;            // over all words, each as often as it occurs
  bool touched = false;         // by the merge under way
  std::vector<uint32_t> words;  // that had the pair when it was noted; may have lost it since
};

struct Candidate {
  int64_t count = 0;
  uint64_t pair = 0;
  bool operator<(const Candidate& other) const {  // for a queue with the best on top
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Trainer {
 public:
  Trainer(const WordCounts& words, const BpeTrainingOptions& options) : options_(options) {
    put_first_pieces();
    put_words(words);
    count_all_pairs();
  }

  void run(const ProgressFunction& progress) {
    while (size() < options_.vocab_size && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      PairState& state = pairs_[best.pair];
      if (state.count != best.count) {  // grown stale: try again with what it is now
        if (state.count > 0) queue_.push({state.count, best.pair});
        continue;
      }
      if (best.count < std::max<int64_t>(1, options_.min_frequency)) break;
      if (is_too_long(best.pair)) continue;
      merge(best.pair);
      if (size() % 64 == 0 && progress) progress(size(), options_.vocab_size);
    }
    if (progress) progress(size(), options_.vocab_size);
  }

  TokenizerDefinition result() {
    definition_.end_of_text = options_.special_tokens.empty()
                                  ? std::nullopt
                                  : std::optional(options_.special_tokens.front());
    WordStep step;
    step.pattern = kGpt2WordPattern;
    definition_.steps = {step};
    return std::move(definition_);
  }

 private:
  int64_t size() const { return static_cast<int64_t>(definition_.pieces.size()); }

  void put_first_pieces() {
    for (const std::string& content : options_.special_tokens) {
      AddedToken token;
      token.id = static_cast<int32_t>(size());
      token.content = content;
      token.special = true;
      definition_.added_tokens.push_back(token);
      definition_.pieces.push_back(content);
    }
    // Bytes in the order of the characters that stand for them.
    std::array<uint8_t, kBytes> bytes;
    std::iota(bytes.begin(), bytes.end(), uint8_t{0});
    std::ranges::sort(bytes, std::less(), byte_level_code_point);
    for (const uint8_t byte : bytes) {
      byte_ids_[byte] = static_cast<int32_t>(size());
      definition_.pieces.push_back(to_byte_level(std::string(1, static_cast<char>(byte))));
    }
    for (int64_t id = 0; id < size(); ++id) {
      ids_.emplace(definition_.pieces[static_cast<size_t>(id)], static_cast<int32_t>(id));
    }
  }

  void put_words(const WordCounts& counts) {
    words_.reserve(counts.size());
    for (const auto& [text, count] : counts) {
      if (text.size() < 2) continue;  // nothing to merge
      Word& word = words_.emplace_back();
      word.count = count;
      word.ids.reserve(text.size());  // a text may be a single word
      for (const char byte : text) word.ids.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
    }
  }

  void count_all_pairs() {
    for (size_t w = 0; w < words_.size(); ++w) {
      const Word& word = words_[w];
      for (size_t i = 0; i + 1 < word.ids.size(); ++i) {
        add(pair_key(word.ids[i], word.ids[i + 1]), word.count, static_cast<uint32_t>(w));
      }
    }
    queue_touched();
  }

  void add(uint64_t pair, int64_t count, uint32_t word) {
    PairState& state = pairs_[pair];
    state.count += count;
    if (count < 0) return;
    if (state.words.empty() || state.words.back() != word) state.words.push_back(word);
    if (!std::exchange(state.touched, true)) touched_.push_back(pair);
  }

  // Pairs that gained words are candidates with their new counts.
  void queue_touched() {
    for (const uint64_t pair : touched_) {
      const auto found = pairs_.find(pair);
      if (found == pairs_.end()) continue;
      found->second.touched = false;
      queue_.push({found->second.count, pair});
    }
    touched_.clear();
  }

  bool is_too_long(uint64_t pair) const {
    const auto size_of = [this](uint64_t id) {
      return definition_.pieces[static_cast<size_t>(id & 0xffffffff)].size();
    };
    return size_of(pair >> 32) + size_of(pair) > kLongestPiece;
  }

  // The id of the piece that the pair makes; new, unless another pair made it before.
  int32_t piece_of(int32_t left, int32_t right) {
    const std::string piece = definition_.pieces[static_cast<size_t>(left)] +
                              definition_.pieces[static_cast<size_t>(right)];
    const auto [place, is_new] = ids_.emplace(piece, static_cast<int32_t>(size()));
    if (is_new) definition_.pieces.push_back(piece);
    return place->second;
  }

  void merge(uint64_t pair) {
    const auto left = static_cast<int32_t>(pair >> 32);
    const auto right = static_cast<int32_t>(pair);
    const int32_t result = piece_of(left, right);
    definition_.merges.push_back({left, right, result});
    std::vector<uint32_t> words = std::move(pairs_[pair].words);
    pairs_[pair] = {};
    // A word is listed again when it gained the pair a second time.
    std::ranges::sort(words);
    words.erase(std::ranges::unique(words).begin(), words.end());
    for (const uint32_t w : words) merge_in_word(w, left, right, result);
    pairs_.erase(pair);
    queue_touched();
  }

  void merge_in_word(uint32_t w, int32_t left, int32_t right, int32_t result) {
    Word& word = words_[w];
    std::vector<int32_t>& ids = word.ids;
    size_t out = 0;
    for (size_t i = 0; i < ids.size(); ++out) {
      if (ids[i] != left || i + 1 == ids.size() || ids[i + 1] != right) {
        ids[out] = ids[i++];
        continue;
      }
      if (out > 0) {
        add(pair_key(ids[out - 1], left), -word.count, w);
        add(pair_key(ids[out - 1], result), word.count, w);
      }
      if (i + 2 < ids.size()) {
        add(pair_key(right, ids[i + 2]), -word.count, w);
        add(pair_key(result, ids[i + 2]), word.count, w);
      }
      ids[out] = result;
      i += 2;
    }
    ids.resize(out);
  }

  BpeTrainingOptions options_;
  TokenizerDefinition definition_;
  std::array<int32_t, kBytes> byte_ids_{};
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<Word> words_;
  std::unordered_map<uint64_t, PairState> pairs_;
  std::priority_queue<Candidate> queue_;
  std::vector<uint64_t> touched_;  // pairs that gained words in the merge under way
};

}  // namespace

WordCounts count_words(const DocumentFiles& files, int threads, const ProgressFunction& progress,
                       BadRecordLog* bad) {
  const WordSplitter splitter(kGpt2WordPattern);
  std::vector<WordCounts> own_counts(static_cast<size_t>(threads));
  const auto count_chunk = [&](const DocumentChunk& chunk) {
    WordCounts& counts = own_counts[static_cast<size_t>(omp_get_thread_num())];
    WordSplitter::Matcher matcher;
    std::string key;  // a buffer: most words are known already
    BadRecords found;
    chunk.for_each_document(
        [&](std::string_view text, int64_t) {
          std::string repaired;
          if (!is_valid_utf8(text)) text = repaired = replace_invalid_utf8(text);
          splitter.split(text, matcher, [&](std::string_view word) {
            key.assign(word);
            ++counts[key];
          });
        },
        &found);
    return found;
  };
  DocumentReader reader(files);
  for_chunks_in_order(reader, threads, count_chunk,
                      [&](const DocumentChunk& chunk, const BadRecords& found) {
                        if (bad != nullptr) bad->add(chunk, found);
                        if (progress) progress(chunk.stored_end(), files.total_bytes());
                        return true;
                      });
  WordCounts total = std::move(own_counts.front());
  for (size_t i = 1; i < own_counts.size(); ++i) {
    for (const auto& [word, count] : own_counts[i]) total[word] += count;
  }
  return total;
}

TokenizerDefinition train_bpe(const WordCounts& words, const BpeTrainingOptions& options,
                              const ProgressFunction& progress) {
  const int64_t least = kBytes + static_cast<int64_t>(options.special_tokens.size());
  if (options.vocab_size < least) {
    throw Error(ErrorKind::kConfig,
                fmt::format("a vocabulary of {} is too small: the 256 bytes and {} special "
                            "token{} already make {}",
                            options.vocab_size, options.special_tokens.size(),
                            options.special_tokens.size() == 1 ? "" : "s", least),
                "raise --vocab-size");
  }
  Trainer trainer(words, options);
  trainer.run(progress);
  return trainer.result();
}

}  // namespace borealis
