#include "data/dataset_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "data/data_record.h"
#include "data/dataset_check.h"
#include "data/existing_output.h"
#include "data/index_file.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

struct MergePart {
  IndexedDataset data;
  std::optional<DataRecord> record;
};

[[noreturn]] void refuse(const std::string& first, const std::string& first_side,
                         const std::string& other, const std::string& other_side,
                         const std::string& remedy) {
  throw Error(ErrorKind::kConfig,
              fmt::format("{0} and {1} cannot be merged: of {0} {2}, of {1} {3}", first, other,
                          first_side, other_side),
              remedy);
}

void require_same_kind(const MergePart& first, const MergePart& other, bool without_record) {
  const std::string& a = first.data.prefix();
  const std::string& b = other.data.prefix();
  if (first.data.token_type() != other.data.token_type()) {
    refuse(a, "the tokens are " + token_type_name(first.data.token_type()), b,
           token_type_name(other.data.token_type()), "tokenize one of them again");
  }
  if (without_record) return;
  if (first.record.has_value() != other.record.has_value()) {
    refuse(a, first.record ? "there is a record of its tokenizer" : "no tokenizer is recorded", b,
           other.record ? "there is one" : "there is none",
           "give --without-record if you know that both are of the same tokenizer");
  }
  if (!first.record) return;
  if (first.record->tokenizer != other.record->tokenizer) {
    refuse(a, "its tokenizer is " + describe_tokenizer(first.record->tokenizer), b,
           describe_tokenizer(other.record->tokenizer), "tokenize the text with one tokenizer");
  }
  if (first.record->end_token_appended != other.record->end_token_appended) {
    const auto side = [](const DataRecord& record) {
      return record.end_token_appended ? "documents that end with the end token"
                                       : "documents without it";
    };
    refuse(a, side(*first.record), b, side(*other.record), "tokenize both in the same way");
  }
}

// Parts of one file that follow each other become one.
void add_source(const DataSource& source, std::vector<DataSource>& sources) {
  if (!sources.empty()) {
    DataSource& last = sources.back();
    if (last.path == source.path && last.file_bytes == source.file_bytes &&
        last.modified_ns == source.modified_ns && last.to_byte == source.from_byte) {
      last.to_byte = source.to_byte;
      return;
    }
  }
  sources.push_back(source);
}

std::optional<DataRecord> merged_record(const std::vector<MergePart>& parts, bool without) {
  if (without || !parts.front().record) return std::nullopt;
  DataRecord merged = *parts.front().record;
  merged.documents = merged.tokens = 0;
  merged.sources.clear();
  for (const MergePart& part : parts) {
    merged.documents += part.record->documents;
    merged.tokens += part.record->tokens;
    for (const DataSource& source : part.record->sources) add_source(source, merged.sources);
  }
  return merged;
}

int64_t payload_bytes(const MergePart& part) {
  return part.data.token_count() * token_type_bytes(part.data.token_type());
}

constexpr const char* kVerify = "`borealis data verify` tells all that is wrong with a pair";

// Copied, the documents would look sound.
void require_sound(const MergePart& part) {
  const auto problems = check_arithmetic(part.data, part.record);
  if (problems.empty()) return;
  throw DatasetError(problems.front().fault,
                     fmt::format("{} is damaged ({}): {}", part.data.prefix(),
                                 dataset_fault_name(problems.front().fault), problems.front().text),
                     fmt::format("tokenize the text again; {}", kVerify));
}

void require_known_ids(const IndexedDataset& data, int64_t sequence, int64_t vocab_size) {
  const auto range = data.id_range(sequence);
  if (range.lowest >= 0 && range.highest < vocab_size) return;
  throw DatasetError(
      DatasetFault::kForeignToken,
      fmt::format("{}.bin is damaged ({}): document {} has the token id {}, which is not in "
                  "0 .. {}",
                  data.prefix(), dataset_fault_name(DatasetFault::kForeignToken),
                  data.document_of_sequence(sequence),
                  range.lowest < 0 ? range.lowest : range.highest, vocab_size - 1),
      fmt::format("tokenize the text again; {}", kVerify));
}

void copy_tokens(const std::vector<MergePart>& parts, AtomicFile& file,
                 const std::function<void(int64_t, int64_t)>& progress) {
  int64_t total = 0;
  for (const MergePart& part : parts) total += payload_bytes(part);
  for (const MergePart& part : parts) {
    part.data.expect_reads_in_order();
    const int64_t vocab_size =
        part.record ? part.record->tokenizer.vocab_size : std::numeric_limits<int32_t>::max();
    for (int64_t sequence = 0; sequence < part.data.sequence_count(); ++sequence) {
      require_known_ids(part.data, sequence, vocab_size);
      file.write(part.data.bytes_of(sequence));
      if (progress && sequence % 1024 == 0) {
        progress(static_cast<int64_t>(file.written_bytes()), total);
      }
    }
  }
}

// What a mapped part holds must not be replaced while it is read.
void require_fresh_output(const std::vector<MergePart>& parts, const fs::path& output) {
  for (const MergePart& part : parts) {
    std::error_code missing;
    if (!fs::equivalent(part.data.prefix() + ".bin", output.string() + ".bin", missing)) continue;
    throw Error(ErrorKind::kUsage, fmt::format("{} is one of the pairs to merge", output.string()),
                "choose another --output-prefix");
  }
}

}  // namespace

MergedDataset merge_datasets(const std::vector<fs::path>& prefixes, const MergeOptions& options,
                             const std::function<void(int64_t, int64_t)>& progress) {
  CHECK(!prefixes.empty());
  std::vector<MergePart> parts;
  for (const fs::path& prefix : prefixes) {
    parts.push_back(
        {IndexedDataset(prefix, IndexedDataset::ExtraTokens::kAccept), read_data_record(prefix)});
    require_sound(parts.back());
    require_same_kind(parts.front(), parts.back(), options.without_record);
  }
  require_fresh_output(parts, options.output_prefix);
  require_usable_prefix(options.output_prefix);
  if (!options.overwrite) refuse_existing(existing_files_of(options.output_prefix));
  const std::string output = options.output_prefix.string();
  if (options.output_prefix.has_parent_path()) {
    borealis::create_directories(options.output_prefix.parent_path());
  }
  AtomicFile tokens(output + ".bin");
  copy_tokens(parts, tokens, progress);
  std::vector<IndexPart> index_parts;
  MergedDataset merged{.type = parts.front().data.token_type()};
  for (const MergePart& part : parts) {
    index_parts.push_back({part.data.lengths(), part.data.document_index()});
    merged.documents += part.data.document_count();
    merged.sequences += part.data.sequence_count();
    merged.tokens += part.data.token_count();
  }
  AtomicFile index(output + ".idx");
  write_index(index.content(), merged.type, index_parts);
  std::optional<AtomicFile> description;
  if (const auto record = merged_record(parts, options.without_record)) {
    description.emplace(data_record_path(output)).write(data_record_json(*record));
    merged.has_record = true;
  }
  remove_descriptions(output);
  tokens.commit();
  if (description) description->commit();
  index.commit();
  return merged;
}

}  // namespace borealis
