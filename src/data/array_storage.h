// What views of the arrays of an index point to: memory, or files that are mapped.
#pragma once

namespace borealis {

struct ArrayStorage {
  virtual ~ArrayStorage() = default;
  // Gives back the pages of files that have been read; they are read again where they are needed.
  virtual void forget_pages() const {}
};

}  // namespace borealis
