#include "telemetry/wandb_log.h"

#include "base/crc.h"
#include "base/little_endian.h"

namespace borealis {
namespace {

constexpr uint64_t kBlockBytes = 32768;
constexpr uint64_t kChunkHeaderBytes = 7;

enum ChunkType : char { kWhole = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

ChunkType chunk_type(bool first, bool last) {
  if (first) return last ? kWhole : kFirst;
  return last ? kLast : kMiddle;
}

void append_chunk(std::string& framed, ChunkType type, std::string_view part) {
  std::string checked(1, type);
  checked += part;
  append_little_endian(framed, crc32_ieee(checked), 4);
  append_little_endian(framed, part.size(), 2);
  framed += checked;
}

}  // namespace

std::string frame_wandb_record(std::string_view record, uint64_t position) {
  std::string framed;
  const auto left_in_block = [&] { return kBlockBytes - (position + framed.size()) % kBlockBytes; };
  if (left_in_block() < kChunkHeaderBytes) framed.append(left_in_block(), '\0');
  bool first = true;
  do {
    const uint64_t room = left_in_block() - kChunkHeaderBytes;
    const std::string_view part = record.substr(0, room);
    record.remove_prefix(part.size());
    append_chunk(framed, chunk_type(first, record.empty()), part);
    first = false;
  } while (!record.empty());
  return framed;
}

WandbLog::WandbLog(const std::filesystem::path& path) : file_(path, 0) {
  file_.write(kWandbLogHeader);
  file_.flush();
}

void WandbLog::put(std::string_view record) {
  file_.write(frame_wandb_record(record, file_.size()));
  file_.flush();
}

}  // namespace borealis
