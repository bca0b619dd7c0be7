// The transaction log of Weights & Biases (wandb/wandb, core/pkg/leveldb): a header of 7 bytes,
// then records in LevelDB's log format, in blocks of 32768 bytes that are counted from the file's
// front, header included. Each block holds chunks
//   u32 CRC | u16 length | u8 type (1 whole, 2 first, 3 middle, 4 last) | part of a record
// little-endian; unlike LevelDB's, the CRC is IEEE's CRC-32, unmasked, of type and part. A chunk
// never crosses the end of a block; less than 7 bytes there are zeros.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/file.h"

namespace borealis {

inline constexpr std::string_view kWandbLogHeader{":W&B\xE1\xBE\0", 7};

// The bytes that a record takes in a file of `position` bytes.
std::string frame_wandb_record(std::string_view record, uint64_t position);

class WandbLog {
 public:
  // Begins a new file. Throws Error(kFile), here and below.
  explicit WandbLog(const std::filesystem::path& path);

  void put(std::string_view record);  // reaches the kernel
  void sync() { file_.sync(); }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  AppendFile file_;
};

}  // namespace borealis
