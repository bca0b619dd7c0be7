// Reads gzip and zstd files as a stream of what they hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/file.h"

namespace borealis {

enum class Compression { kNone, kGzip, kZstd };

// By the first bytes, whatever the name says; a zstd file may start with a skippable frame.
Compression compression_of(std::span<const std::byte> bytes);

// Any number of gzip members or zstd frames, one after the other; zeros after the last gzip member
// are padding, as for gzip itself. Memory: 32 KiB for gzip; for zstd the window of the frame, 8 MiB
// as a rule and up to 2 GiB (--long=31).
class UnpackingReader {
 public:
  // `compression` is not kNone.
  UnpackingReader(std::shared_ptr<const MappedFile> file, Compression compression);
  ~UnpackingReader();
  UnpackingReader(const UnpackingReader&) = delete;
  UnpackingReader& operator=(const UnpackingReader&) = delete;

  // Fills `out` unless the end comes first; returns how many bytes it got. Throws Error(kData)
  // naming the file where it is truncated, damaged, or followed by something else.
  size_t read(std::span<char> out);
  int64_t consumed_bytes() const;  // of the file

 private:
  class Decoder;
  class GzipDecoder;
  class ZstdDecoder;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace borealis
