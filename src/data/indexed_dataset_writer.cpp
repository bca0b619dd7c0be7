#include "data/indexed_dataset_writer.h"

#include <fmt/format.h>

#include <limits>
#include <string_view>

#include "base/error.h"

namespace borealis {
namespace {

std::string prepared_path(const std::filesystem::path& prefix) {
  if (prefix.has_parent_path()) borealis::create_directories(prefix.parent_path());
  return prefix.string() + ".bin";
}

template <typename T>
void put(AtomicFile& file, T value) {
  file.write(std::as_bytes(std::span(&value, 1)));
}

template <typename T>
void convert(std::span<const int32_t> tokens, std::vector<std::byte>& bytes) {
  bytes.resize(tokens.size() * sizeof(T));
  for (size_t i = 0; i < tokens.size(); ++i) {
    const T value = static_cast<T>(tokens[i]);
    CHECK(static_cast<int64_t>(value) == tokens[i], "token id does not fit the dtype");
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
}

}  // namespace

IndexedDatasetWriter::IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type)
    : prefix_(prefix.string()), type_(type), tokens_(prepared_path(prefix)) {
  CHECK(type == TokenType::kU16 || type == TokenType::kI32, "a writer uses u16 or i32");
}

void IndexedDatasetWriter::add_document(std::span<const int32_t> tokens) {
  if (tokens.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw Error(ErrorKind::kData,
                fmt::format("document {} has {} tokens, more than the format's 2^31 - 1",
                            document_count(), tokens.size()),
                "cut it into several documents");
  }
  if (type_ == TokenType::kU16) {
    convert<uint16_t>(tokens, converted_);
    tokens_.write(converted_);
  } else {
    tokens_.write(std::as_bytes(tokens));
  }
  lengths_.push_back(static_cast<int32_t>(tokens.size()));
  token_count_ += static_cast<int64_t>(tokens.size());
}

void IndexedDatasetWriter::commit() {
  AtomicFile index(prefix_ + ".idx");
  index.write(std::string_view("MMIDIDX\0\0", 9));
  put<uint64_t>(index, 1);
  put<uint8_t>(index, static_cast<uint8_t>(type_));
  put<uint64_t>(index, lengths_.size());
  put<uint64_t>(index, lengths_.size() + 1);
  index.write(std::as_bytes(std::span(lengths_)));
  int64_t offset = 0;
  for (const int32_t length : lengths_) {
    put<int64_t>(index, offset);
    offset += length * token_type_bytes(type_);
  }
  for (int64_t document = 0; document <= document_count(); ++document) {
    put<int64_t>(index, document);
  }
  // An older index must not describe the new tokens, not even for a moment.
  std::error_code ignored;
  std::filesystem::remove(prefix_ + ".idx", ignored);
  tokens_.commit();
  index.commit();
}

}  // namespace borealis
