// Every way in which a .bin/.idx pair can be wrong, by name.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace borealis {

enum class DatasetFault {
  // Found on opening: nothing can be read.
  kBadMagic,
  kOldFormat,
  kTruncatedHeader,
  kUnknownVersion,
  kUnknownType,
  kTruncatedIndex,
  kMultimodalIndex,
  kTrailingIndexBytes,
  kNegativeLength,
  kDescendingOffsets,
  kShortTokens,
  kEmptyDocumentIndex,
  kDocumentIndexStart,
  kDocumentIndexOrder,
  kDocumentIndexEnd,
  // Found by check_dataset and brief_check, or when the tokens are read.
  kTrailingTokenBytes,
  kGapInTokens,
  kOverlappingSequences,
  kForeignToken,
  kLostTokens,
  kDamagedRecord,
  kRecordMismatch,
};

std::string_view dataset_fault_name(DatasetFault fault);  // "bad-magic", as `data verify` prints it

// An Error(kData) about a pair.
class DatasetError : public Error {
 public:
  DatasetError(DatasetFault fault, const std::string& problem, const std::string& remedy)
      : Error(ErrorKind::kData, problem, remedy), fault_(fault), problem_(problem) {}
  DatasetFault fault() const { return fault_; }
  const std::string& problem() const { return problem_; }  // without kind and remedy

 private:
  DatasetFault fault_;
  std::string problem_;
};

}  // namespace borealis
