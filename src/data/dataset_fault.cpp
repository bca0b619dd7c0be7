#include "data/dataset_fault.h"

#include "base/check.h"

namespace borealis {

std::string_view dataset_fault_name(DatasetFault fault) {
  switch (fault) {
    case DatasetFault::kBadMagic:
      return "bad-magic";
    case DatasetFault::kOldFormat:
      return "old-format";
    case DatasetFault::kTruncatedHeader:
      return "truncated-header";
    case DatasetFault::kUnknownVersion:
      return "unknown-version";
    case DatasetFault::kUnknownType:
      return "unknown-type";
    case DatasetFault::kTruncatedIndex:
      return "truncated-index";
    case DatasetFault::kMultimodalIndex:
      return "multimodal-index";
    case DatasetFault::kTrailingIndexBytes:
      return "trailing-index-bytes";
    case DatasetFault::kNegativeLength:
      return "negative-length";
    case DatasetFault::kDescendingOffsets:
      return "descending-offsets";
    case DatasetFault::kShortTokens:
      return "short-tokens";
    case DatasetFault::kEmptyDocumentIndex:
      return "empty-document-index";
    case DatasetFault::kDocumentIndexStart:
      return "document-index-start";
    case DatasetFault::kDocumentIndexOrder:
      return "document-index-order";
    case DatasetFault::kDocumentIndexEnd:
      return "document-index-end";
    case DatasetFault::kTrailingTokenBytes:
      return "trailing-token-bytes";
    case DatasetFault::kGapInTokens:
      return "gap-in-tokens";
    case DatasetFault::kOverlappingSequences:
      return "overlapping-sequences";
    case DatasetFault::kForeignToken:
      return "foreign-token";
    case DatasetFault::kLostTokens:
      return "lost-tokens";
    case DatasetFault::kDamagedRecord:
      return "damaged-record";
    case DatasetFault::kRecordMismatch:
      return "record-mismatch";
  }
  CHECK(false, "unknown fault");
}

}  // namespace borealis
