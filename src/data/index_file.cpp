#include "data/index_file.h"

#include <string_view>

#include "data/data_record.h"

namespace borealis {
namespace {

template <typename T>
void put(AppendFile& file, T value) {
  file.write(std::as_bytes(std::span(&value, 1)));
}

int64_t document_count(const IndexPart& part) {
  return part.document_index ? part.document_index->size() - 1 : part.lengths.size();
}

}  // namespace

void write_index(AppendFile& file, TokenType type, std::span<const IndexPart> parts) {
  uint64_t sequences = 0;
  uint64_t documents = 0;
  for (const IndexPart& part : parts) {
    sequences += static_cast<uint64_t>(part.lengths.size());
    documents += static_cast<uint64_t>(document_count(part));
  }
  file.write(std::string_view("MMIDIDX\0\0", 9));
  put<uint64_t>(file, 1);
  put<uint8_t>(file, static_cast<uint8_t>(type));
  put<uint64_t>(file, sequences);
  put<uint64_t>(file, documents + 1);
  for (const IndexPart& part : parts) {
    for (int64_t i = 0; i < part.lengths.size(); ++i) put<int32_t>(file, part.lengths[i]);
  }
  int64_t offset = 0;
  for (const IndexPart& part : parts) {
    for (int64_t i = 0; i < part.lengths.size(); ++i) {
      put<int64_t>(file, offset);
      offset += part.lengths[i] * token_type_bytes(type);
    }
  }
  put<int64_t>(file, 0);
  int64_t first_sequence = 0;  // of the part
  for (const IndexPart& part : parts) {
    for (int64_t i = 1; i <= document_count(part); ++i) {
      put<int64_t>(file, first_sequence + (part.document_index ? (*part.document_index)[i] : i));
    }
    first_sequence += part.lengths.size();
  }
}

void remove_descriptions(const std::string& prefix) {
  std::error_code ignored;
  std::filesystem::remove(prefix + ".idx", ignored);
  std::filesystem::remove(data_record_path(prefix), ignored);
}

}  // namespace borealis
