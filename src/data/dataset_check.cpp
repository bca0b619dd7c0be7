#include "data/dataset_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>

#include "data/parallel_tasks.h"

namespace borealis {
namespace {

constexpr int64_t kBlockBytes = int64_t{16} << 20;

class Findings {
 public:
  explicit Findings(DatasetCheck& check) : check_(check) {}
  void add(DatasetFault fault, std::string text) {
    if (++counts_[fault] > kProblemsOfAKind) {
      ++check_.further_problems;
    } else {
      check_.problems.push_back({fault, std::move(text)});
    }
  }

 private:
  DatasetCheck& check_;
  std::map<DatasetFault, size_t> counts_;
};

void read_record(const std::filesystem::path& prefix, DatasetCheck& check, Findings& findings) {
  try {
    check.record = read_data_record(prefix);
  } catch (const DatasetError& error) {
    findings.add(error.fault(), error.problem());
  }
}

void compare_record(const IndexedDataset& data, const DataRecord& record, Findings& findings) {
  const auto compare = [&](const char* what, const auto& recorded, const auto& found) {
    if (recorded == found) return;
    findings.add(DatasetFault::kRecordMismatch,
                 fmt::format("{}: the record says {} {}, the pair has {}",
                             data_record_path(data.prefix()).string(), recorded, what, found));
  };
  compare("documents", record.documents, data.document_count());
  compare("tokens", record.tokens, data.token_count());
  compare("as dtype", token_type_name(record.type), token_type_name(data.token_type()));
}

// Sequences must lie back to back from byte 0 to the end of .bin.
void check_layout(const IndexedDataset& data, Findings& findings) {
  const int64_t item = token_type_bytes(data.token_type());
  int64_t expected = data.is_back_to_back() ? data.token_count() * item : 0;
  for (int64_t i = 0; !data.is_back_to_back() && i < data.sequence_count(); ++i) {
    const int64_t offset = data.offsets()[i];
    if (offset != expected) {
      const bool gap = offset > expected;
      findings.add(
          gap ? DatasetFault::kGapInTokens : DatasetFault::kOverlappingSequences,
          fmt::format("{}.idx: sequence {} starts at byte {} of .bin, {} byte {} where the "
                      "one before it ends",
                      data.prefix(), i, offset, gap ? "behind" : "before", expected));
    }
    expected = offset + data.lengths()[i] * item;
  }
  const int64_t size = data.token_file_bytes();
  if (size > expected) {
    findings.add(DatasetFault::kTrailingTokenBytes,
                 fmt::format("{0}.bin has {1} bytes that no sequence of {0}.idx holds, from byte "
                             "{2} on (the reference's --append-eod writes such files, and all its "
                             "documents but the first are shifted)",
                             data.prefix(), size - expected, expected));
  }
}

// Runs of sequences with about kBlockBytes of tokens: [first, last).
std::vector<std::pair<int64_t, int64_t>> blocks_of(const IndexedDataset& data) {
  std::vector<std::pair<int64_t, int64_t>> blocks;
  int64_t first = 0;
  int64_t bytes = 0;
  for (int64_t i = 0; i < data.sequence_count(); ++i) {
    bytes += data.lengths()[i] * token_type_bytes(data.token_type());
    if (bytes < kBlockBytes && i + 1 < data.sequence_count()) continue;
    blocks.emplace_back(first, i + 1);
    first = i + 1;
    bytes = 0;
  }
  return blocks;
}

struct BlockFindings {
  int64_t highest_id = -1;
  int64_t foreign_sequences = 0;
  std::vector<std::string> texts;
};

BlockFindings check_tokens(const IndexedDataset& data, std::pair<int64_t, int64_t> block,
                           int64_t vocab_size) {
  BlockFindings found;
  std::vector<int32_t> tokens;
  for (int64_t sequence = block.first; sequence < block.second; ++sequence) {
    const auto range = data.id_range(sequence);
    found.highest_id = std::max(found.highest_id, range.highest);
    if (range.lowest >= 0 && range.highest < vocab_size) continue;
    if (++found.foreign_sequences > static_cast<int64_t>(kProblemsOfAKind)) continue;
    try {
      const int64_t length = data.lengths()[sequence];
      tokens.resize(static_cast<size_t>(length));
      data.read(sequence, 0, length, vocab_size, tokens.data());
    } catch (const DatasetError& error) {
      found.texts.push_back(error.problem());
    }
  }
  return found;
}

void check_all_tokens(const IndexedDataset& data, DatasetCheck& check, Findings& findings,
                      const std::function<void(int64_t, int64_t)>& progress) {
  // Without a vocabulary: what training can hold.
  const int64_t vocab_size = check.vocab_size.value_or(std::numeric_limits<int32_t>::max());
  const auto blocks = blocks_of(data);
  std::vector<BlockFindings> found(blocks.size());
  std::mutex reporting;
  int64_t done = 0;
  data.expect_reads_in_order();
  run_parallel(static_cast<int64_t>(blocks.size()), [&](int64_t i) {
    const auto& block = blocks[static_cast<size_t>(i)];
    found[static_cast<size_t>(i)] = check_tokens(data, block, vocab_size);
    if (!progress) return;
    const std::lock_guard lock(reporting);
    for (int64_t sequence = block.first; sequence < block.second; ++sequence) {
      done += static_cast<int64_t>(data.bytes_of(sequence).size());
    }
    progress(done, data.token_file_bytes());
  });
  for (const BlockFindings& block : found) {
    check.highest_id = std::max(check.highest_id, block.highest_id);
    for (const std::string& text : block.texts) findings.add(DatasetFault::kForeignToken, text);
    check.further_problems += block.foreign_sequences - static_cast<int64_t>(block.texts.size());
  }
}

}  // namespace

std::vector<DatasetProblem> check_arithmetic(const IndexedDataset& data,
                                             const std::optional<DataRecord>& record) {
  DatasetCheck check;
  Findings findings(check);
  if (record) compare_record(data, *record, findings);
  check_layout(data, findings);
  return std::move(check.problems);
}

DatasetCheck check_dataset(const std::filesystem::path& prefix, std::optional<int64_t> vocab_size,
                           const std::function<void(int64_t, int64_t)>& progress) {
  DatasetCheck check;
  Findings findings(check);
  read_record(prefix, check, findings);
  check.vocab_size = vocab_size;
  if (!vocab_size && check.record) check.vocab_size = check.record->tokenizer.vocab_size;
  std::optional<IndexedDataset> data;
  try {
    data.emplace(prefix, IndexedDataset::ExtraTokens::kAccept);
  } catch (const DatasetError& error) {
    findings.add(error.fault(), error.problem());
    return check;
  }
  check.readable = true;
  check.documents = data->document_count();
  check.sequences = data->sequence_count();
  check.tokens = data->token_count();
  check.type = data->token_type();
  if (check.record) compare_record(*data, *check.record, findings);
  check_layout(*data, findings);
  check_all_tokens(*data, check, findings, progress);
  return check;
}

}  // namespace borealis
