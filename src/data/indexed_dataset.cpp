#include "data/indexed_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/lost_pages.h"
#include "base/unaligned.h"

namespace borealis {
namespace {

constexpr std::string_view kIndexMagic("MMIDIDX\0\0", 9);
constexpr std::string_view kOldMagic("TNTIDX\0\0", 8);
constexpr size_t kHeaderBytes = 34;
constexpr int64_t kWalk = 1 << 16;  // elements of an index behind which its pages are given back

MappedFile open_part(const std::string& path) {
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown) && !unknown) {
    const std::string prefix = path.substr(0, path.size() - 4);
    if (std::filesystem::is_directory(prefix, unknown)) {
      throw Error(ErrorKind::kFile,
                  fmt::format("{} is a folder, and {} does not exist", prefix, path),
                  "name the prefix of a .bin/.idx pair");
    }
    if (std::filesystem::is_directory(prefix + ".tokenizing", unknown)) {
      throw Error(ErrorKind::kFile, fmt::format("{} does not exist yet", path),
                  "its tokenizing was cut off: the same `borealis data tokenize` goes on");
    }
    throw Error(ErrorKind::kFile, fmt::format("{} does not exist", path),
                "check the prefix that was given, or make the pair with `borealis data tokenize`");
  }
  return MappedFile(path);
}

// Converts and says whether every id is in [0, vocab_size): branch-free, so that it vectorises.
template <typename T>
bool convert_tokens(const std::byte* source, int64_t count, int64_t vocab_size, int32_t* out) {
  bool good = true;
  for (int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, source + i * static_cast<int64_t>(sizeof(T)), sizeof value);
    out[i] = static_cast<int32_t>(value);
    // A negative id turns into one beyond every vocabulary.
    good &= static_cast<uint64_t>(value) < static_cast<uint64_t>(vocab_size);
  }
  return good;
}

template <typename T>
IndexedDataset::IdRange id_range_of(std::span<const std::byte> bytes) {
  T lowest = std::numeric_limits<T>::max();
  T highest = std::numeric_limits<T>::min();
  const size_t count = bytes.size() / sizeof(T);
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof value);
    lowest = std::min(lowest, value);
    highest = std::max(highest, value);
  }
  if (count == 0) return {};
  return {static_cast<int64_t>(lowest), static_cast<int64_t>(highest)};
}

}  // namespace

int64_t token_type_bytes(TokenType type) {
  switch (type) {
    case TokenType::kU8:
    case TokenType::kI8:
      return 1;
    case TokenType::kI16:
    case TokenType::kU16:
      return 2;
    case TokenType::kI32:
      return 4;
    case TokenType::kI64:
      return 8;
  }
  CHECK(false, "unknown token type");
}

std::string token_type_name(TokenType type) {
  const bool is_unsigned = type == TokenType::kU8 || type == TokenType::kU16;
  return fmt::format("{}{}", is_unsigned ? 'u' : 'i', 8 * token_type_bytes(type));
}

TokenType token_type_for_vocabulary(int64_t vocab_size) {
  return vocab_size < 65500 ? TokenType::kU16 : TokenType::kI32;
}

IndexedDataset::IndexedDataset(const std::filesystem::path& prefix, ExtraTokens extra)
    : prefix_(prefix.string()),
      index_(open_part(prefix_ + ".idx")),
      tokens_(open_part(prefix_ + ".bin")) {
  parse_header();
  check_lengths_and_offsets(extra);
  check_document_index();
}

void IndexedDataset::refuse_index(DatasetFault fault, const std::string& problem) const {
  throw DatasetError(fault, fmt::format("{}.idx {}", prefix_, problem),
                     "the file is damaged or not a Megatron index; write the data set again");
}

void IndexedDataset::parse_header() {
  const auto bytes = index_.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with(kOldMagic.substr(0, 6))) {
    refuse_index(DatasetFault::kOldFormat,
                 "has the older TNTIDX format, which is not supported (only MMIDIDX is)");
  }
  if (!text.empty() && !kIndexMagic.starts_with(text.substr(0, kIndexMagic.size()))) {
    refuse_index(DatasetFault::kBadMagic, "does not start with the magic bytes MMIDIDX");
  }
  if (bytes.size() < kHeaderBytes) {
    refuse_index(DatasetFault::kTruncatedHeader,
                 fmt::format("is truncated: {} bytes, but the header alone has {}", bytes.size(),
                             kHeaderBytes));
  }
  const auto version = load_unaligned<uint64_t>(bytes, 9);
  if (version != 1)
    refuse_index(DatasetFault::kUnknownVersion,
                 fmt::format("has version {}; only version 1 is known", version));
  const auto code = load_unaligned<uint8_t>(bytes, 17);
  if (code == 6 || code == 7) {
    refuse_index(DatasetFault::kUnknownType,
                 fmt::format("has dtype code {}: floating point numbers are no token ids", code));
  }
  if (code < 1 || code > 8) {
    refuse_index(DatasetFault::kUnknownType,
                 fmt::format("has the unknown dtype code {}; 1 to 5 and 8 are known", code));
  }
  type_ = static_cast<TokenType>(code);

  const auto sequences = load_unaligned<uint64_t>(bytes, 18);
  const auto entries = load_unaligned<uint64_t>(bytes, 26);
  // Each sequence takes 12 bytes, each entry 8: larger counts would overflow the sum below.
  const bool absurd = sequences > bytes.size() || entries > bytes.size();
  const uint64_t expected = kHeaderBytes + 12 * sequences + 8 * entries;
  if (absurd || bytes.size() < expected) {
    refuse_index(
        DatasetFault::kTruncatedIndex,
        fmt::format(
            "is truncated: {} bytes do not hold the {} sequences and {} document entries that its "
            "header announces",
            bytes.size(), sequences, entries));
  }
  if (bytes.size() == expected + sequences && sequences > 0) {
    refuse_index(DatasetFault::kMultimodalIndex,
                 "has a mode for every sequence (a multimodal data set), which is not supported");
  }
  if (bytes.size() > expected) {
    refuse_index(
        DatasetFault::kTrailingIndexBytes,
        fmt::format("is {} bytes long, but its header announces {}", bytes.size(), expected));
  }
  const std::byte* data = bytes.data() + kHeaderBytes;
  const auto count = static_cast<int64_t>(sequences);
  lengths_ = PackedArray<int32_t>(data, count);
  offsets_ = PackedArray<int64_t>(data + 4 * count, count);
  documents_ = PackedArray<int64_t>(data + 12 * count, static_cast<int64_t>(entries));
}

// visit(i) for all of 0 .. count - 1. An index is walked through once, when it is opened; of 10^8
// sequences it is 2 GB, which would count as the process' memory.
template <typename Visit>
void IndexedDataset::walk_index(int64_t count, Visit visit) const {
  for (int64_t begin = 0; begin < count; begin += kWalk) {
    const int64_t end = std::min(begin + kWalk, count);
    for (int64_t i = begin; i < end; ++i) visit(i);
    forget_pages();
  }
}

int64_t IndexedDataset::tokens_in(int64_t first, int64_t last) const {
  const auto before = [&](int64_t sequence) {
    int64_t tokens = tokens_before_[static_cast<size_t>(sequence / kWalk)];
    for (int64_t i = sequence / kWalk * kWalk; i < sequence; ++i) tokens += lengths_[i];
    return tokens;
  };
  CHECK(0 <= first && first <= last && last <= sequence_count());
  return before(last) - before(first);
}

void IndexedDataset::check_lengths_and_offsets(ExtraTokens extra) {
  const int64_t item = token_type_bytes(type_);
  const auto size = static_cast<int64_t>(tokens_.bytes().size());
  int64_t end = 0;  // of all sequences so far, in bytes
  int64_t previous = 0;
  tokens_before_.assign(static_cast<size_t>(lengths_.size() / kWalk + 1), 0);
  walk_index(lengths_.size(), [&](int64_t i) {
    const int64_t length = lengths_[i];
    const int64_t offset = offsets_[i];
    if (i % kWalk == 0) tokens_before_[static_cast<size_t>(i / kWalk)] = token_count_;
    if (length < 0)
      refuse_index(DatasetFault::kNegativeLength,
                   fmt::format("gives sequence {} the negative length {}", i, length));
    if (offset < previous) {
      refuse_index(DatasetFault::kDescendingOffsets,
                   fmt::format("has offsets that do not ascend: sequence {} starts at byte {}, {} "
                               "at byte {}",
                               i, offset, i == 0 ? "the first" : "the one before it", previous));
    }
    if (offset > size || length * item > size - offset) {
      throw DatasetError(
          DatasetFault::kShortTokens,
          fmt::format("{0}.bin is too short: it has {1} bytes, but by {0}.idx sequence {2} "
                      "ends at byte {3}",
                      prefix_, size, i,
                      static_cast<double>(offset) + static_cast<double>(length * item)),
          "one of the two files is truncated or from another data set; write them again");
    }
    is_back_to_back_ &= offset == token_count_ * item;
    token_count_ += length;
    previous = offset;
    end = std::max(end, offset + length * item);
  });
  if (lengths_.size() % kWalk == 0) tokens_before_.back() = token_count_;
  if (size > end && extra == ExtraTokens::kWarn) {
    log_warning(
        fmt::format("{0}.bin is {1} bytes longer than {0}.idx says (the reference's "
                    "--append-eod does that); the rest is not used",
                    prefix_, size - end));
  }
}

void IndexedDataset::check_document_index() const {
  if (documents_.size() == 0)
    refuse_index(DatasetFault::kEmptyDocumentIndex, "has an empty document index");
  if (documents_[0] != 0) {
    refuse_index(DatasetFault::kDocumentIndexStart,
                 fmt::format("has a document index that starts with {}, not 0", documents_[0]));
  }
  int64_t previous = 0;
  walk_index(documents_.size(), [&](int64_t i) {
    const int64_t first = documents_[i];
    if (first < previous) {
      refuse_index(DatasetFault::kDocumentIndexOrder,
                   fmt::format("has a document index that descends at entry {}", i));
    }
    previous = first;
  });
  const int64_t last = documents_[documents_.size() - 1];
  if (last != sequence_count()) {
    refuse_index(DatasetFault::kDocumentIndexEnd,
                 fmt::format("has a document index that ends with {}, but there are {} sequences",
                             last, sequence_count()));
  }
}

int64_t IndexedDataset::document_of_sequence(int64_t sequence) const {
  int64_t low = 0;  // the last entry not above `sequence`
  int64_t high = documents_.size();
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (documents_[middle] <= sequence ? low : high) = middle;
  }
  return low;
}

void IndexedDataset::read(int64_t sequence, int64_t first, int64_t count, int64_t vocab_size,
                          int32_t* out) const {
  CHECK(sequence >= 0 && sequence < sequence_count());
  CHECK(first >= 0 && count >= 0 && first + count <= lengths_[sequence]);
  const std::byte* source =
      tokens_.bytes().data() + offsets_[sequence] + first * token_type_bytes(type_);
  const MappedRead reading(tokens_.bytes());
  bool good = false;
  switch (type_) {
    case TokenType::kU8:
      good = convert_tokens<uint8_t>(source, count, vocab_size, out);
      break;
    case TokenType::kI8:
      good = convert_tokens<int8_t>(source, count, vocab_size, out);
      break;
    case TokenType::kI16:
      good = convert_tokens<int16_t>(source, count, vocab_size, out);
      break;
    case TokenType::kU16:
      good = convert_tokens<uint16_t>(source, count, vocab_size, out);
      break;
    case TokenType::kI32:
      good = convert_tokens<int32_t>(source, count, vocab_size, out);
      break;
    case TokenType::kI64:
      good = convert_tokens<int64_t>(source, count, vocab_size, out);
      break;
  }
  if (!reading.is_whole()) {
    throw DatasetError(
        DatasetFault::kLostTokens,
        fmt::format("{}.bin was cut short while it was read, or its disk or server failed",
                    prefix_),
        "put the data set back and look at it with `borealis data verify`");
  }
  if (!good) refuse_token(sequence, first, count, vocab_size);
}

std::span<const std::byte> IndexedDataset::bytes_of(int64_t sequence) const {
  return tokens_.bytes().subspan(static_cast<size_t>(offsets_[sequence]),
                                 static_cast<size_t>(lengths_[sequence] * token_type_bytes(type_)));
}

IndexedDataset::IdRange IndexedDataset::id_range(int64_t sequence) const {
  const auto bytes = bytes_of(sequence);
  switch (type_) {
    case TokenType::kU8:
      return id_range_of<uint8_t>(bytes);
    case TokenType::kI8:
      return id_range_of<int8_t>(bytes);
    case TokenType::kI16:
      return id_range_of<int16_t>(bytes);
    case TokenType::kU16:
      return id_range_of<uint16_t>(bytes);
    case TokenType::kI32:
      return id_range_of<int32_t>(bytes);
    case TokenType::kI64:
      return id_range_of<int64_t>(bytes);
  }
  CHECK(false, "unknown token type");
}

void IndexedDataset::will_need(int64_t sequence, int64_t first, int64_t count) const {
  const int64_t item = token_type_bytes(type_);
  tokens_.will_need(static_cast<size_t>(offsets_[sequence] + first * item),
                    static_cast<size_t>(count * item));
}

void IndexedDataset::forget_pages() const {
  for (const MappedFile* file : {&index_, &tokens_}) {
    file->forget(0, file->bytes().size());
  }
}

void IndexedDataset::forget(int64_t sequence, int64_t first, int64_t count) const {
  const int64_t item = token_type_bytes(type_);
  tokens_.forget(static_cast<size_t>(offsets_[sequence] + first * item),
                 static_cast<size_t>(count * item));
}

int64_t IndexedDataset::token_at(int64_t sequence, int64_t position) const {
  const size_t place = static_cast<size_t>(offsets_[sequence] + position * token_type_bytes(type_));
  switch (type_) {
    case TokenType::kU8:
      return load_unaligned<uint8_t>(tokens_.bytes(), place);
    case TokenType::kI8:
      return load_unaligned<int8_t>(tokens_.bytes(), place);
    case TokenType::kI16:
      return load_unaligned<int16_t>(tokens_.bytes(), place);
    case TokenType::kU16:
      return load_unaligned<uint16_t>(tokens_.bytes(), place);
    case TokenType::kI32:
      return load_unaligned<int32_t>(tokens_.bytes(), place);
    case TokenType::kI64:
      return load_unaligned<int64_t>(tokens_.bytes(), place);
  }
  CHECK(false, "unknown token type");
}

void IndexedDataset::refuse_token(int64_t sequence, int64_t first, int64_t count,
                                  int64_t vocab_size) const {
  for (int64_t position = first; position < first + count; ++position) {
    const int64_t id = token_at(sequence, position);
    if (id >= 0 && id < vocab_size) continue;
    throw DatasetError(
        DatasetFault::kForeignToken,
        fmt::format("{}.bin: document {} has the token id {} at position {}, but the vocabulary "
                    "ends at {}",
                    prefix_, document_of_sequence(sequence), id, position, vocab_size - 1),
        "use the tokenizer that made the data, or a larger --vocab-size");
  }
  CHECK(false, "refuse_token found no bad id");
}

}  // namespace borealis
