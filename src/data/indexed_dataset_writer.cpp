#include "data/indexed_dataset_writer.h"

#include <fmt/format.h>

#include <limits>

#include "base/error.h"
#include "data/data_record.h"
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
                                           int64_t documents, int64_t tokens)
    : prefix_(with_folder(prefix)),
      type_(type),
      paths_(paths),
      temporary_(temporary),
      tokens_(paths.tokens, static_cast<uint64_t>(tokens * token_type_bytes(type))),
      lengths_(paths.lengths, static_cast<uint64_t>(documents) * sizeof(int32_t)),
      documents_(documents),
      token_count_(tokens) {
  CHECK(type == TokenType::kU16 || type == TokenType::kI32, "a writer uses u16 or i32");
}

IndexedDatasetWriter::IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type)
    : IndexedDatasetWriter(prefix, type, paths_beside(prefix.string()), true, 0, 0) {}

IndexedDatasetWriter::IndexedDatasetWriter(const std::filesystem::path& prefix, TokenType type,
                                           const DatasetSpool& spool)
    : IndexedDatasetWriter(prefix, type, paths_in(spool), false, spool.documents, spool.tokens) {}

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
    tokens_.write(converted_);
  } else {
    tokens_.write(std::as_bytes(tokens));
  }
  const auto length = static_cast<int32_t>(tokens.size());
  lengths_.write(std::as_bytes(std::span(&length, 1)));
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
  if (file_stamp(tokens).bytes != spool.tokens * token_type_bytes(type)) {
    throw Error(ErrorKind::kFile, fmt::format("{} has changed since it was written", tokens), "");
  }
  finish(prefix.string(), type, paths, spool.documents, nullptr, record);
  return nullptr;
}

}  // namespace borealis
