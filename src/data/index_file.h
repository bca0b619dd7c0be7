// Writes an .idx file (layout: indexed_dataset.h).
#pragma once

#include <optional>
#include <span>

#include "base/file.h"
#include "data/indexed_dataset.h"
#include "data/packed_array.h"

namespace borealis {

// Sequences that lie in .bin one after the other.
struct IndexPart {
  PackedArray<int32_t> lengths;
  std::optional<PackedArray<int64_t>> document_index;  // nullopt: every sequence is a document
};

// The index of a .bin that holds the parts end to end.
void write_index(AppendFile& file, TokenType type, std::span<const IndexPart> parts);

// Removes what describes a .bin that is about to be replaced: an older .idx or record must not
// speak of new tokens, not even for a moment.
void remove_descriptions(const std::string& prefix);

}  // namespace borealis
