#include "telemetry/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/crc.h"
#include "base/little_endian.h"
#include "base/protobuf_writer.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNamePrefix = "events.out.tfevents.";

// Field numbers of the messages.
namespace event {
constexpr uint32_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace session_log {
constexpr uint32_t kStatus = 1;
constexpr int64_t kStart = 1;
}  // namespace session_log
namespace summary {
constexpr uint32_t kValue = 1;
}
namespace value {
constexpr uint32_t kTag = 1, kSimpleValue = 2, kTensor = 8, kMetadata = 9;
}
namespace metadata {
constexpr uint32_t kPluginData = 1, kPluginName = 1;
}
namespace tensor {
constexpr uint32_t kDtype = 1, kShape = 2, kStringValue = 8;
constexpr uint32_t kShapeDim = 2, kDimSize = 1;
constexpr int64_t kString = 7;
}  // namespace tensor

void append_masked_crc(std::string& framed, std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  append_little_endian(framed, ((crc >> 15) | (crc << 17)) + 0xA282EAD8U, 4);
}

// The seconds in the newest name of the folder; readers take files in the order of their names.
int64_t newest_seconds(const fs::path& folder) {
  int64_t newest = 0;
  std::error_code unknown;
  for (const auto& entry : fs::directory_iterator(folder, unknown)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kNamePrefix)) continue;
    int64_t seconds = 0;
    std::from_chars(name.data() + kNamePrefix.size(), name.data() + name.size(), seconds);
    newest = std::max(newest, seconds);
  }
  return newest;
}

fs::path new_path(const fs::path& folder, int64_t unix_seconds, std::string hostname) {
  borealis::create_directories(folder);
  std::ranges::replace(hostname, '/', '_');
  return folder / fmt::format("{}{:010}.{}.{}.0", kNamePrefix,
                              std::max(unix_seconds, newest_seconds(folder) + 1), hostname,
                              ::getpid());
}

}  // namespace

std::string frame_event(std::string_view event) {
  std::string framed;
  append_little_endian(framed, event.size(), 8);
  append_masked_crc(framed, std::string(framed));
  framed += event;
  append_masked_crc(framed, event);
  return framed;
}

std::string version_event(double wall_time_s) {
  return ProtobufWriter()
      .float64(event::kWallTime, wall_time_s)
      .bytes(event::kFileVersion, "brain.Event:2")
      .encoded();
}

std::string start_event(double wall_time_s, int64_t first_step) {
  return ProtobufWriter()
      .float64(event::kWallTime, wall_time_s)
      .integer(event::kStep, first_step)
      .message(event::kSessionLog,
               ProtobufWriter().integer(session_log::kStatus, session_log::kStart))
      .encoded();
}

std::string scalar_event(double wall_time_s, int64_t step, std::span<const EventScalar> scalars) {
  ProtobufWriter values;
  for (const EventScalar& scalar : scalars) {
    values.message(summary::kValue,
                   ProtobufWriter()
                       .text(value::kTag, scalar.tag)
                       .float32(value::kSimpleValue, static_cast<float>(scalar.value)));
  }
  return ProtobufWriter()
      .float64(event::kWallTime, wall_time_s)
      .integer(event::kStep, step)
      .message(event::kSummary, values)
      .encoded();
}

std::string text_event(double wall_time_s, int64_t step, std::string_view tag,
                       std::string_view text) {
  const ProtobufWriter shape =
      ProtobufWriter().message(tensor::kShapeDim, ProtobufWriter().integer(tensor::kDimSize, 1));
  const ProtobufWriter plugin = ProtobufWriter().message(
      metadata::kPluginData, ProtobufWriter().bytes(metadata::kPluginName, "text"));
  const ProtobufWriter strings = ProtobufWriter()
                                     .integer(tensor::kDtype, tensor::kString)
                                     .message(tensor::kShape, shape)
                                     .text(tensor::kStringValue, text);
  const ProtobufWriter one = ProtobufWriter()
                                 .text(value::kTag, tag)
                                 .message(value::kTensor, strings)
                                 .message(value::kMetadata, plugin);
  return ProtobufWriter()
      .float64(event::kWallTime, wall_time_s)
      .integer(event::kStep, step)
      .message(event::kSummary, ProtobufWriter().message(summary::kValue, one))
      .encoded();
}

EventFile::EventFile(const fs::path& folder, int64_t unix_seconds, const std::string& hostname)
    : file_(new_path(folder, unix_seconds, hostname), 0) {
  write(version_event(static_cast<double>(unix_seconds)));
  flush();
}

void EventFile::write(std::string_view event) { file_.write(frame_event(event)); }

}  // namespace borealis
