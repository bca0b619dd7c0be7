#include "data/token_documents.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/units.h"
#include "data/brief_check.h"
#include "data/document_lengths.h"
#include "tokenizer/chunks_in_order.h"

namespace borealis {
namespace {

// Of what ids stand for, given in parts; special tokens stand for nothing.
class ByteCounter {
 public:
  explicit ByteCounter(const Tokenizer& tokenizer) : decoder_(tokenizer) {}
  void add(std::span<const int32_t> ids) {
    for (const int32_t id : ids) bytes_ += decoder_.add(id).size();
  }
  int64_t finish() { return static_cast<int64_t>(bytes_ + decoder_.finish().size()); }

 private:
  StreamDecoder decoder_;
  size_t bytes_ = 0;
};

int64_t decoded_bytes(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  ByteCounter counter(tokenizer);
  counter.add(ids);
  return counter.finish();
}

// Whether the document needs the start token in front.
bool takes_start(const StartToken& start, const Tokenizer* tokenizer, int32_t first_id) {
  if (!start.id || first_id == *start.id) return false;
  return tokenizer == nullptr || first_id < 0 || !tokenizer->is_special(first_id);
}

// The documents of a chunk of the input, behind one another.
struct TokenizedChunk {
  struct Document {
    size_t end = 0;  // in ids
    int64_t text_bytes = 0;
    bool has_start = false;
  };
  std::vector<int32_t> ids;
  std::vector<Document> documents;
  BadRecords bad;

  int64_t memory_bytes() const {
    return static_cast<int64_t>(ids.capacity() * sizeof(int32_t) +
                                documents.capacity() * sizeof(Document));
  }
};

class TokenizedTexts : public TokenDocuments {
 public:
  explicit TokenizedTexts(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add(TokenizedChunk part) {
    if (part.documents.empty()) return;
    part.ids.shrink_to_fit();
    part.documents.shrink_to_fit();
    first_documents_.push_back(count_);
    count_ += static_cast<int64_t>(part.documents.size());
    tokens_ += static_cast<int64_t>(part.ids.size());
    memory_bytes_ += part.memory_bytes();
    chunks_.push_back(std::move(part));
  }
  int64_t predictable_tokens() const { return tokens_ - count_; }

  int64_t count() const override { return count_; }
  int64_t length(int64_t document) const override {
    return static_cast<int64_t>(ids_of(document).size());
  }
  void read(int64_t document, int64_t first, int64_t count, int32_t* out) const override {
    const auto ids = ids_of(document);
    CHECK(first >= 0 && first + count <= static_cast<int64_t>(ids.size()));
    std::copy_n(ids.begin() + first, count, out);
  }
  std::optional<int64_t> text_bytes(int64_t document, int64_t end) const override {
    const auto ids = ids_of(document);
    if (end < static_cast<int64_t>(ids.size())) {
      return decoded_bytes(tokenizer_, ids.subspan(1, static_cast<size_t>(end - 1)));
    }
    const TokenizedChunk::Document& entry = entry_of(document);
    return entry.text_bytes - (entry.has_start ? 0 : decoded_bytes(tokenizer_, ids.first(1)));
  }
  std::string name(int64_t document) const override {
    return fmt::format("document {} of the text", document);
  }
  int64_t memory_bytes() const override { return memory_bytes_; }

 private:
  size_t chunk_of(int64_t document) const {
    const auto after = std::ranges::upper_bound(first_documents_, document);
    return static_cast<size_t>(after - first_documents_.begin()) - 1;
  }
  const TokenizedChunk::Document& entry_of(int64_t document) const {
    const size_t part = chunk_of(document);
    return chunks_[part].documents[static_cast<size_t>(document - first_documents_[part])];
  }
  std::span<const int32_t> ids_of(int64_t document) const {
    const size_t number = chunk_of(document);
    const TokenizedChunk& part = chunks_[number];
    const auto at = static_cast<size_t>(document - first_documents_[number]);
    const size_t begin = at == 0 ? 0 : part.documents[at - 1].end;
    return std::span(part.ids).subspan(begin, part.documents[at].end - begin);
  }

  const Tokenizer& tokenizer_;
  std::vector<TokenizedChunk> chunks_;
  std::vector<int64_t> first_documents_;  // of each chunk
  int64_t count_ = 0;
  int64_t tokens_ = 0;
  int64_t memory_bytes_ = 0;
};

TokenizedChunk tokenize_chunk(const DocumentChunk& chunk, TokenEncoder& encoder,
                              const Tokenizer& tokenizer, const StartToken& start) {
  TokenizedChunk result;
  std::vector<int32_t> ids;
  chunk.for_each_document(
      [&](std::string_view text, int64_t) {
        ids.clear();
        if (!text.empty()) encoder.encode_document(text, ids);
        if (ids.empty()) return;
        const bool has_start = takes_start(start, &tokenizer, ids.front());
        if (has_start) result.ids.push_back(*start.id);
        result.ids.insert(result.ids.end(), ids.begin(), ids.end());
        result.documents.push_back(
            {result.ids.size(), static_cast<int64_t>(text.size()), has_start});
      },
      &result.bad);
  return result;
}

// before: what the process had before the text. Where that is too much already the plan tells.
void require_room(int64_t before, int64_t more_bytes, const TokenizeTexts& options) {
  if (!options.limit_bytes || before > *options.limit_bytes) return;
  if (resident_bytes() + more_bytes <= *options.limit_bytes) return;
  throw Error(ErrorKind::kMemory,
              fmt::format("the tokens of the text do not fit in the {} that this run may use",
                          format_bytes(*options.limit_bytes)),
              "write them to a file with `borealis data tokenize` and give it with --data, or read "
              "less with --max-tokens");
}

class IndexedDocuments : public TokenDocuments {
 public:
  IndexedDocuments(const std::filesystem::path& prefix, const Tokenizer* tokenizer,
                   const StartToken& start)
      : data_(prefix), tokenizer_(tokenizer), start_(start.id) {
    warn_of_damage(data_, brief_check(data_, read_data_record(prefix)));
    data_.expect_reads_in_order();
    if (start_ && !takes_start(start, tokenizer, first_id())) start_.reset();
  }

  int64_t count() const override { return data_.document_count(); }
  int64_t length(int64_t document) const override {
    const int64_t tokens = document_length(data_, document);
    return tokens == 0 ? 0 : tokens + (start_ ? 1 : 0);
  }
  void read(int64_t document, int64_t first, int64_t count, int32_t* out) const override {
    if (start_ && first == 0 && count > 0) {
      *out++ = *start_;
      --count;
    } else if (start_) {
      --first;
    }
    for (int64_t s = data_.document_index()[document]; count > 0; ++s) {
      const int64_t length = data_.lengths()[s];
      const int64_t here = std::clamp<int64_t>(length - first, 0, count);
      if (here > 0) {
        data_.read(s, first, here, kAnyId, out);
        data_.forget(s, first, here);
      }
      first = std::max<int64_t>(first - length, 0);
      count -= here;
      out += here;
    }
  }
  std::optional<int64_t> text_bytes(int64_t document, int64_t end) const override {
    if (tokenizer_ == nullptr) return std::nullopt;
    ByteCounter counter(*tokenizer_);
    std::vector<int32_t> part(kPartTokens);
    for (int64_t first = 1; first < end; first += kPartTokens) {
      const int64_t count = std::min(kPartTokens, end - first);
      read(document, first, count, part.data());
      counter.add(std::span(part).first(static_cast<size_t>(count)));
    }
    return counter.finish();
  }
  std::string name(int64_t document) const override {
    return fmt::format("document {} of {}.bin", document, data_.prefix());
  }
  int64_t memory_bytes() const override { return 0; }  // pages are given up once they are read

 private:
  static constexpr int64_t kAnyId = std::numeric_limits<int32_t>::max();
  static constexpr int64_t kPartTokens = 1 << 16;

  // Of the file; its documents all start alike. An id of none where it is empty.
  int32_t first_id() const {
    int32_t id = -1;
    for (int64_t s = 0; s < data_.sequence_count(); ++s) {
      if (data_.lengths()[s] == 0) continue;
      data_.read(s, 0, 1, kAnyId, &id);
      break;
    }
    return id;
  }

  IndexedDataset data_;
  const Tokenizer* tokenizer_;
  std::optional<int32_t> start_;
};

}  // namespace

int64_t TokenDocuments::token_count() const {
  int64_t tokens = 0;
  for (int64_t document = 0; document < count(); ++document) tokens += length(document);
  return tokens;
}

std::unique_ptr<TokenDocuments> tokenize_texts(
    const DocumentFiles& files, const Tokenizer& tokenizer, const TokenizeTexts& options,
    const std::function<void(int64_t, int64_t)>& progress, BadRecordLog* bad) {
  auto texts = std::make_unique<TokenizedTexts>(tokenizer);
  std::vector<std::unique_ptr<TokenEncoder>> encoders(static_cast<size_t>(options.threads));
  DocumentReader reader(files);
  const int64_t before = resident_bytes();
  for_chunks_in_order(
      reader, options.threads,
      [&](const DocumentChunk& chunk) {
        // Of a text mostly fewer ids than bytes, of 4 bytes each, while they are collected.
        require_room(before, 4 * chunk.text_bytes(), options);
        auto& encoder = encoders[static_cast<size_t>(omp_get_thread_num())];
        if (!encoder) encoder = std::make_unique<TokenEncoder>(tokenizer);
        return tokenize_chunk(chunk, *encoder, tokenizer, options.start);
      },
      [&](const DocumentChunk& chunk, TokenizedChunk part) {
        if (bad != nullptr) bad->add(chunk, part.bad);
        texts->add(std::move(part));
        if (progress) progress(chunk.stored_end(), files.total_bytes());
        return !options.max_tokens || texts->predictable_tokens() < *options.max_tokens;
      });
  return texts;
}

std::unique_ptr<TokenDocuments> indexed_documents(const std::filesystem::path& prefix,
                                                  const Tokenizer* tokenizer,
                                                  const StartToken& start) {
  return std::make_unique<IndexedDocuments>(prefix, tokenizer, start);
}

}  // namespace borealis
