#include "data/indexed_dataset_writer.h"

#include <fmt/format.h>

#include <limits>

#include "base/error.h"
#include "data/data_record.h"
#include "data/file_checksum.h"
#include "data/index_file.h"

namespace borealis {
namespace {

template <typename T>
void convert(std::span<const int32_t> tokens, std::vector<std::byte>& bytes) {
  bytes.resize(tokens.size() * sizeof(T));
  for (size_t i = 0; i < tokens.size(); ++i) {
    const T value = static_cast<T>(tokens[i]);
    CHECK(static_cast<int64_t>(value) == tokens[i], "token id does not fit the dtype");
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
}

constexpr int64_t kLengthBytes = sizeof(int32_t);

[[noreturn]] void refuse_changed(const std::filesystem::path& path) {
  throw Error(ErrorKind::kData, fmt::format("{} has changed since it was written", path.string()));
}

// Of the first `bytes` of a file of an earlier process, which must be `expected` unless that is
// empty.
Checksum checked_start(const std::filesystem::path& path, int64_t bytes,
                       const std::string& expected) {
  if (bytes == 0) return {};
  if (!expected.empty()) {
    std::error_code missing;
    const auto size = std::filesystem::file_size(path, missing);
    if (missing || size < static_cast<uint64_t>(bytes)) refuse_changed(path);
  }
  Checksum sum = checksum_of_start(path, bytes);
  if (!expected.empty() && sum.hex() != expected) refuse_changed(path);
  return sum;
}

void write(std::span<const std::byte> bytes, AppendFile& file, Checksum& sum) {
  file.write(bytes);
  sum.add(bytes);
}

std::string with_folder(const std::filesystem::path& prefix) {
  if (prefix.has_parent_path()) borealis::create_directories(prefix.parent_path());
  return prefix.string();
}

}  // namespace

IndexedDatasetWriter::SpoolPaths IndexedDatasetWriter::paths_in(const DatasetSpool& spool) {
  const std::filesystem::path& folder = spool.folder;
  return {folder / "tokens", folder / "lengths", folder / "index", folder / "record"};
}

IndexedDatasetWriter::SpoolPaths IndexedDatasetWriter::paths_beside(const std::string& prefix) {
  const auto path = [&](const char* part) {
    return partial_path_of(fmt::format("{}.{}", prefix, part));
  };
  return {path("bin"), path("lengths"), path("idx"), path("meta.json")};
}

// Everything that can fail for want of space is written before the first final name is given.
void IndexedDatasetWriter::finish(const std::string& prefix, TokenType type,
                                  const SpoolPaths& paths, int64_t documents, AppendFile* tokens,
                                  const std::string& record) {
  const MappedFile lengths(paths.lengths);
  const IndexPart part{PackedArray<int32_t>(lengths.bytes().data(), documents), std::nullopt};
  AppendFile index(paths.index, 0);
  write_index(index, type, std::span(&part, 1));
  index.sync();
  std::optional<AppendFile> description;
  if (!record.empty()) {
    description.emplace(paths.record, 0).write(record);
    description->sync();
  }
  remove_descriptions(prefix);
  if (tokens != nullptr) tokens->rename_to(prefix + ".bin");
  if (description) description->rename_to(data_record_path(prefix));
  index.rename_to(prefix + ".idx");
}

IndexedDatasetWriter::IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type,
                                           const SpoolPaths& paths, bool temporary,
                                           const DatasetSpool& earlier)
    : prefix_(with_folder(prefix)),
      type_(type),
      paths_(paths),
      temporary_(temporary),
      tokens_sum_(checked_start(paths.tokens, earlier.tokens * token_type_bytes(type),
                                earlier.tokens_checksum)),
      lengths_sum_(
          checked_start(paths.lengths, earlier.documents * kLengthBytes, earlier.lengths_checksum)),
      tokens_(paths.tokens, static_cast<uint64_t>(earlier.tokens * token_type_bytes(type))),
      lengths_(paths.lengths, static_cast<uint64_t>(earlier.documents) * sizeof(int32_t)),
      documents_(earlier.documents),
      token_count_(earlier.tokens) {
  CHECK(type == TokenType::kU16 || type == TokenType::kI32, "a writer uses u16 or i32");
}

IndexedDatasetWriter::IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type)
    : IndexedDatasetWriter(prefix, type, paths_beside(prefix.string()), true, {}) {}

IndexedDatasetWriter::IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type,
                                           const DatasetSpool& spool)
    : IndexedDatasetWriter(prefix, type, paths_in(spool), false, spool) {}

IndexedDatasetWriter::~IndexedDatasetWriter() {
  if (!temporary_) return;
  std::error_code ignored;
  for (const auto& path : {paths_.tokens, paths_.lengths, paths_.index, paths_.record}) {
    std::filesystem::remove(path, ignored);
  }
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
    write(converted_, tokens_, tokens_sum_);
  } else {
    write(std::as_bytes(tokens), tokens_, tokens_sum_);
  }
  const auto length = static_cast<int32_t>(tokens.size());
  write(std::as_bytes(std::span(&length, 1)), lengths_, lengths_sum_);
  ++documents_;
  token_count_ += length;
}

void IndexedDatasetWriter::sync() {
  tokens_.sync();
  lengths_.sync();
}

void IndexedDatasetWriter::commit(const std::string& record) {
  sync();
  finish(prefix_, type_, paths_, documents_, &tokens_, record);
}

std::unique_ptr<IndexedDatasetWriter> IndexedDatasetWriter::resume_commit(
    const std::filesystem::path& prefix, TokenType type, const DatasetSpool& spool,
    const std::string& record) {
  const SpoolPaths paths = paths_in(spool);
  std::error_code unknown;
  if (std::filesystem::exists(paths.tokens, unknown)) {
    return std::make_unique<IndexedDatasetWriter>(prefix, type, spool);
  }
  const std::string tokens = prefix.string() + ".bin";
  const int64_t bytes = spool.tokens * token_type_bytes(type);
  std::error_code missing;
  if (std::filesystem::file_size(tokens, missing) != static_cast<uint64_t>(bytes)) {
    refuse_changed(tokens);
  }
  checked_start(tokens, bytes, spool.tokens_checksum);
  checked_start(paths.lengths, spool.documents * kLengthBytes, spool.lengths_checksum);
  finish(prefix.string(), type, paths, spool.documents, nullptr, record);
  return nullptr;
}

}  // namespace borealis
