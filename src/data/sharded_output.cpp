#include "data/sharded_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/log.h"
#include "data/existing_output.h"
#include "data/file_checksum.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

void require_listable(const ShardedOutputOptions& options) {
  if (options.shard_tokens == 0) return;
  const std::string name = options.prefix.filename().string();
  constexpr const char* kBlanks = " \t\r\n\v\f";
  if (name.find_first_of(kBlanks) == std::string::npos && name.find(".bin") == std::string::npos &&
      !options.corpus.empty() && options.corpus.find_first_of(kBlanks) == std::string::npos) {
    return;
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("a data list cannot hold the prefix '{}' with the label '{}'", name,
                          options.corpus),
              "use names without blanks and without '.bin'; --corpus sets the label");
}

void require_other_files(const ShardedOutputOptions& options, const DocumentFiles& files) {
  for (const char* suffix : {".bin", ".idx", ".meta.json", ".list"}) {
    const std::string output = options.prefix.string() + suffix;
    for (const TextFile& file : files.files()) {
      std::error_code missing;
      if (!fs::equivalent(file.path, output, missing)) continue;
      throw Error(ErrorKind::kUsage,
                  fmt::format("the input file {} would be overwritten", file.path.string()),
                  "choose another --output-prefix");
    }
  }
}

// The first of a shard's files that is not as it was written; empty if there is none.
std::string changed_file(const std::string& prefix, const PairChecksums& checksums) {
  const std::array<std::pair<fs::path, std::string>, 3> files = {{
      {prefix + ".bin", checksums.tokens},
      {prefix + ".idx", checksums.index},
      {data_record_path(prefix), checksums.record},
  }};
  for (const auto& [path, expected] : files) {
    if (file_checksum(path) != expected) return path.string();
  }
  return "";
}

fs::path list_path_of(const fs::path& prefix) { return prefix.string() + ".list"; }

void require_no_output(const ShardedOutputOptions& options) {
  std::vector<fs::path> existing = existing_files_of(options.prefix);
  if (options.shard_tokens > 0) {
    existing = existing_shards_of(options.prefix);
    const fs::path list = list_path_of(options.prefix);
    if (std::error_code unknown; fs::exists(list, unknown)) existing.push_back(list);
  }
  refuse_existing(existing);
}

// Before anything is made.
ShardedOutputOptions checked(ShardedOutputOptions options, const DocumentFiles& files) {
  require_usable_prefix(options.prefix);
  require_listable(options);
  require_other_files(options, files);
  // An unfinished run is thrown away only for one that may begin.
  if (options.start_over && !options.overwrite) require_no_output(options);
  return options;
}

}  // namespace

ShardedOutput::ShardedOutput(ShardedOutputOptions options, const DocumentFiles& files,
                             nlohmann::json request)
    : options_(checked(std::move(options), files)),
      files_(files),
      journal_(options_.prefix, request, options_.start_over),
      progress_(journal_.earlier()) {
  if (!options_.overwrite && !journal_.same_request()) require_no_output(options_);
  if (journal_.resumed()) go_on();
  // A list beside shards means that they are all there.
  std::error_code ignored;
  if (options_.shard_tokens > 0) fs::remove(list_path(), ignored);
}

fs::path ShardedOutput::list_path() const { return list_path_of(options_.prefix); }

void ShardedOutput::return_to(size_t shard, const std::string& damage) {
  log_warning(fmt::format("{}: made again from {} on", damage, shard_prefix(shard).string()));
  progress_.return_to(shard);
  journal_.save(progress_);
}

void ShardedOutput::go_on() {
  for (size_t i = 0; i < progress_.shards.size(); ++i) {
    const std::string damaged =
        changed_file(shard_prefix(i).string(), progress_.shards[i].checksums);
    if (damaged.empty()) continue;
    return_to(i, damaged + " has changed since it was written");
    return;
  }
  try {
    if (progress_.closing) {
      writer_ = IndexedDatasetWriter::resume_commit(shard_prefix(progress_.shards.size()),
                                                    options_.record.type, spool(),
                                                    data_record_json(record_of(progress_.open)));
    } else if (progress_.open.documents > 0) {
      writer_ = std::make_unique<IndexedDatasetWriter>(shard_prefix(progress_.shards.size()),
                                                       options_.record.type, spool());
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kData) throw;  // a full disk, say: nothing is damaged
    return_to(progress_.shards.size(), fault_text(error));
  }
  if (progress_.closing && writer_) {
    close_shard();
  } else if (progress_.closing) {
    shard_closed();
  }
}

fs::path ShardedOutput::shard_prefix(size_t shard) const {
  if (options_.shard_tokens == 0) return options_.prefix;
  return fmt::format("{}-{:05}", options_.prefix.string(), shard);
}

std::vector<fs::path> ShardedOutput::prefixes() const {
  std::vector<fs::path> prefixes;
  for (size_t i = 0; i < progress_.shards.size(); ++i) prefixes.push_back(shard_prefix(i));
  return prefixes;
}

DatasetSpool ShardedOutput::spool() const {
  const ShardSummary& open = progress_.open;
  return {journal_.folder(), open.documents, open.tokens, open.checksums.tokens,
          open.checksums.index};
}

void ShardedOutput::add_document(std::span<const int32_t> ids, const TextPosition& end) {
  if (ids.empty()) {
    ++progress_.counts.empty_documents;
    pass(end);
    return;
  }
  ShardSummary& open = progress_.open;
  const auto length = static_cast<int64_t>(ids.size());
  if (options_.shard_tokens > 0 && open.documents > 0 &&
      open.tokens + length > options_.shard_tokens) {
    close_shard();
  }
  if (!writer_) {
    open.first =
        end.file == progress_.position.file ? progress_.position : TextPosition{end.file, 0};
    open.before = progress_.counts;
    open.checksums = {};
    writer_ = std::make_unique<IndexedDatasetWriter>(shard_prefix(progress_.shards.size()),
                                                     options_.record.type, spool());
  }
  writer_->add_document(ids);
  ++open.documents;
  open.tokens += length;
  open.end = end;
  pass(end);
}

void ShardedOutput::pass(const TextPosition& end) {
  TextPosition& position = progress_.position;
  progress_.counts.text_bytes += end.offset - (end.file == position.file ? position.offset : 0);
  position = end;
}

void ShardedOutput::checkpoint() {
  if (writer_) {
    writer_->sync();
    progress_.open.checksums = {writer_->tokens_checksum(), writer_->lengths_checksum(), ""};
  }
  journal_.save(progress_);
}

void ShardedOutput::close_shard() {
  progress_.closing = true;
  checkpoint();
  writer_->commit(data_record_json(record_of(progress_.open)));
  writer_.reset();
  shard_closed();
}

void ShardedOutput::shard_closed() {
  const std::string prefix = shard_prefix(progress_.shards.size()).string();
  progress_.open.checksums.index = file_checksum(prefix + ".idx");
  progress_.open.checksums.record = file_checksum(data_record_path(prefix));
  progress_.shards.push_back(std::exchange(progress_.open, {}));
  progress_.closing = false;
  journal_.save(progress_);
}

DataRecord ShardedOutput::record_of(const ShardSummary& shard) const {
  DataRecord record = options_.record;
  record.documents = shard.documents;
  record.tokens = shard.tokens;
  for (int64_t i = shard.first.file; i <= shard.end.file; ++i) {
    const TextFile& file = files_.files()[static_cast<size_t>(i)];
    DataSource source{.path = fs::absolute(file.path).lexically_normal().string(),
                      .file_bytes = file.stamp.bytes,
                      .modified_ns = file.stamp.modified_ns,
                      .from_byte = i == shard.first.file ? shard.first.offset : 0,
                      .to_byte = std::nullopt};
    const bool is_all =
        file.unit == DocumentUnit::kFile ||
        (file.compression == Compression::kNone && shard.end.offset == file.stamp.bytes);
    if (i == shard.end.file && !is_all) source.to_byte = shard.end.offset;
    record.sources.push_back(std::move(source));
  }
  return record;
}

void ShardedOutput::finish() {
  if (writer_) close_shard();
  if (progress_.shards.empty()) {
    journal_.remove();
    throw Error(ErrorKind::kData, "the input has no documents with text in them",
                "give files that are not empty");
  }
  if (options_.shard_tokens > 0) {
    write_list();
    warn_of_older_shards();
  }
  journal_.remove();
}

void ShardedOutput::write_list() const {
  std::string text;
  for (size_t i = 0; i < progress_.shards.size(); ++i) {
    text += fmt::format("{} {} {}\n", progress_.shards[i].tokens,
                        shard_prefix(i).filename().string(), options_.corpus);
  }
  AppendFile list(journal_.folder() / "list", 0);
  list.write(text);
  list.rename_to(list_path());
}

void ShardedOutput::warn_of_older_shards() const {
  const fs::path next = shard_prefix(progress_.shards.size());
  if (!fs::exists(next.string() + ".idx")) return;
  log_warning(
      fmt::format("{}.idx and what follows it are of an earlier run with more shards; they "
                  "are not in {}",
                  next.string(), list_path().string()));
}

}  // namespace borealis
