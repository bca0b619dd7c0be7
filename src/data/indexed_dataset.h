// Reads a Megatron indexed dataset, the pair <prefix>.bin (token ids back to back) and <prefix>.idx
// (their dtype, and length and place of every sequence), through read-only mappings. Layout of
// .idx:
//   9 bytes "MMIDIDX\0\0" | u64 version = 1 | u8 dtype | u64 S sequences | u64 D index entries
//   S x i32 lengths in tokens | S x i64 byte offsets into .bin | D x i64 document index (0 .. S)
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/dataset_fault.h"
#include "data/packed_array.h"

namespace borealis {

// Codes as in the file. Megatron's float codes 6 and 7 hold no token ids and are refused.
enum class TokenType : uint8_t { kU8 = 1, kI8 = 2, kI16 = 3, kI32 = 4, kI64 = 5, kU16 = 8 };

int64_t token_type_bytes(TokenType type);
std::string token_type_name(TokenType type);  // "u16"
// What a writer uses: u16 below 65500 entries, else i32.
TokenType token_type_for_vocabulary(int64_t vocab_size);

class IndexedDataset {
 public:
  enum class ExtraTokens { kWarn, kAccept };
  // Opens and checks both files. Throws Error(kFile) if one is missing or unreadable, DatasetError
  // naming what is wrong with the content. A .bin longer than the index says is used with a
  // warning: the reference's own tool writes such files with --append-eod.
  explicit IndexedDataset(const std::filesystem::path& prefix,
                          ExtraTokens extra = ExtraTokens::kWarn);

  const std::string& prefix() const { return prefix_; }
  TokenType token_type() const { return type_; }
  int64_t sequence_count() const { return lengths_.size(); }
  int64_t document_count() const { return documents_.size() - 1; }
  int64_t token_count() const { return token_count_; }
  // Whether the sequences lie in .bin from its first byte on, each where the one before it ends.
  bool is_back_to_back() const { return is_back_to_back_; }
  int64_t index_file_bytes() const { return static_cast<int64_t>(index_.bytes().size()); }
  int64_t token_file_bytes() const { return static_cast<int64_t>(tokens_.bytes().size()); }
  int64_t tokens_in(int64_t first, int64_t last) const;  // of sequences [first, last)
  PackedArray<int32_t> lengths() const { return lengths_; }
  PackedArray<int64_t> offsets() const { return offsets_; }  // in bytes
  // [documents + 1]: the first sequence of each, and the number of sequences.
  PackedArray<int64_t> document_index() const { return documents_; }
  std::span<const std::byte> bytes_of(int64_t sequence) const;

  int64_t document_of_sequence(int64_t sequence) const;

  // out[0..count) = tokens [first, first+count) of a sequence. Throws DatasetError naming the file,
  // the document and the id if one is not in [0, vocab_size).
  void read(int64_t sequence, int64_t first, int64_t count, int64_t vocab_size, int32_t* out) const;

  // Lowest and highest id of a sequence; {0, -1} of an empty one.
  struct IdRange {
    int64_t lowest = 0;
    int64_t highest = -1;
  };
  IdRange id_range(int64_t sequence) const;

  // Hints for the kernel about the tokens; reading works without.
  void expect_random_reads() const { tokens_.advise(MappedFile::Access::kRandom); }
  void expect_reads_in_order() const { tokens_.advise(MappedFile::Access::kInOrder); }
  void will_need(int64_t sequence, int64_t first, int64_t count) const;
  void forget(int64_t sequence, int64_t first, int64_t count) const;  // read, in order
  // Gives back the pages of both files, which stay in the kernel's cache: what is read again is not
  // read from the disk again.
  void forget_pages() const;

 private:
  void parse_header();
  template <typename Visit>
  void walk_index(int64_t count, Visit visit) const;
  void check_lengths_and_offsets(ExtraTokens extra);
  void check_document_index() const;
  [[noreturn]] void refuse_index(DatasetFault fault, const std::string& problem) const;
  [[noreturn]] void refuse_token(int64_t sequence, int64_t first, int64_t count,
                                 int64_t vocab_size) const;
  int64_t token_at(int64_t sequence, int64_t position) const;

  std::string prefix_;
  MappedFile index_;
  MappedFile tokens_;
  TokenType type_ = TokenType::kI32;
  PackedArray<int32_t> lengths_;
  PackedArray<int64_t> offsets_;
  PackedArray<int64_t> documents_;
  int64_t token_count_ = 0;
  bool is_back_to_back_ = true;
  std::vector<int64_t> tokens_before_;  // of every kWalk-th sequence
};

}  // namespace borealis
