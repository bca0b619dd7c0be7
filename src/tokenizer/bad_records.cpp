#include "tokenizer/bad_records.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "base/units.h"
#include "tokenizer/documents.h"

namespace borealis {

void BadRecordCounts::add(const BadRecordCounts& other) {
  skipped += other.skipped;
  repaired += other.repaired;
  invalid_utf8 += other.invalid_utf8;
}

BadRecordCounts BadRecordCounts::since(const BadRecordCounts& earlier) const {
  return {skipped - earlier.skipped, repaired - earlier.repaired,
          invalid_utf8 - earlier.invalid_utf8};
}

void BadRecords::add(BadRecord record) {
  ++(record.repaired ? counts_.repaired : counts_.skipped);
  counts_.invalid_utf8 += record.fault.invalid_utf8;
  if (first_.size() < kNamed) first_.push_back(std::move(record));
}

void BadRecordLog::add(const DocumentChunk& chunk, const BadRecords& records) {
  counts_.add(records.counts());
  for (const BadRecord& record : records.first()) {
    if (named_ == BadRecords::kNamed) return;
    log_warning(fmt::format("{}: {}; {}", chunk.place_of(record.offset), record.fault.problem,
                            record.repaired ? "repaired" : "left out"));
    if (++named_ == BadRecords::kNamed) log_warning("further bad records are only counted");
  }
}

std::string bad_records_text(const BadRecordCounts& counts) {
  return fmt::format("{} bad record{}: {} left out, {} repaired; {} not UTF-8",
                     format_count(counts.all()), counts.all() == 1 ? "" : "s",
                     format_count(counts.skipped), format_count(counts.repaired),
                     format_count(counts.invalid_utf8));
}

}  // namespace borealis
