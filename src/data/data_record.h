// What is known of where a .bin/.idx pair comes from, kept beside it in <prefix>.meta.json: the
// tokenizer that made it and the files that it was made of. The pair itself is Megatron's and says
// nothing of either.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/indexed_dataset.h"
#include "tokenizer/tokenizer_identity.h"

namespace borealis {

// A part of a text file, in bytes of its text (unpacked, if the file is compressed).
struct DataSource {
  std::string path;         // absolute
  int64_t file_bytes = 0;   // as stored
  int64_t modified_ns = 0;  // since 1970
  int64_t from_byte = 0;
  std::optional<int64_t> to_byte;  // nullopt: to the end
  bool operator==(const DataSource&) const = default;
};

struct DataRecord {
  TokenizerIdentity tokenizer;
  std::string tokenizer_path;       // as it was called then
  bool end_token_appended = false;  // every document ends with tokenizer.end_token
  TokenType type = TokenType::kU16;
  int64_t documents = 0;
  int64_t tokens = 0;
  std::string program;              // "borealis 0.1.0 (3fd0123)"
  std::vector<DataSource> sources;  // in the order of the documents
  bool operator==(const DataRecord&) const = default;
};

std::filesystem::path data_record_path(const std::filesystem::path& prefix);
std::string data_record_json(const DataRecord& record);
// nullopt if the pair has no record. Throws DatasetError(kDamagedRecord) naming the file, and what
// is wrong in it.
std::optional<DataRecord> read_data_record(const std::filesystem::path& prefix);
DataRecord parse_data_record(const std::string& json, const std::string& name);

// "tokenizer.json with 32000 entries, end token 0, SHA-256 3f2a91c05e12": for messages.
std::string describe_tokenizer(const TokenizerIdentity& tokenizer);
// "the tokenizer PATH (...)", or "NullTokenizer (...)": numbers as text have one without a file.
std::string named_tokenizer(const std::string& path, const TokenizerIdentity& tokenizer);

}  // namespace borealis
