// Records of a text input that cannot be used as they are: lines that are no JSON object with a
// text, and text that is not UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace borealis {

enum class BadRecordPolicy {
  kFail,    // the first one is an error
  kSkip,    // they are left out
  kRepair,  // mended where only characters or numbers are wrong, else left out
};

struct RecordFault {
  std::string problem;
  std::string remedy;
  bool invalid_utf8 = false;
};

struct BadRecord {
  int64_t offset = 0;  // in the text of its file
  RecordFault fault;
  bool repaired = false;  // else left out
};

struct BadRecordCounts {
  int64_t skipped = 0;
  int64_t repaired = 0;
  int64_t invalid_utf8 = 0;  // of both kinds

  int64_t all() const { return skipped + repaired; }
  void add(const BadRecordCounts& other);
  BadRecordCounts since(const BadRecordCounts& earlier) const;
  bool operator==(const BadRecordCounts&) const = default;
};

// Those of a chunk: the first few as they are, the rest by their numbers.
class BadRecords {
 public:
  static constexpr size_t kNamed = 5;

  void add(BadRecord record);
  const std::vector<BadRecord>& first() const { return first_; }
  const BadRecordCounts& counts() const { return counts_; }

 private:
  std::vector<BadRecord> first_;
  BadRecordCounts counts_;
};

class DocumentChunk;

// Those of all chunks, taken in the order of the input: the first few are warnings that name file
// and line.
class BadRecordLog {
 public:
  void add(const DocumentChunk& chunk, const BadRecords& records);
  const BadRecordCounts& counts() const { return counts_; }

 private:
  BadRecordCounts counts_;
  size_t named_ = 0;
};

// "12 bad records: 9 left out, 3 repaired; 2 of them are not UTF-8".
std::string bad_records_text(const BadRecordCounts& counts);

}  // namespace borealis
