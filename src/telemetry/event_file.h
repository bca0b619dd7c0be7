// TensorBoard's event files (tensorflow/tensorboard, compat/proto/{event,summary}.proto): records
// of
//   u64 length | u32 masked CRC-32C of the length's bytes | Event | u32 masked CRC-32C of the Event
// little-endian, the mask being ((crc >> 15) | (crc << 17)) + 0xA282EAD8.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/file.h"

namespace borealis {

std::string frame_event(std::string_view event);

struct EventScalar {
  std::string_view tag;  // no '/' at its front; groups are cut at the first '/'
  double value = 0;      // kept in f32, as the format has it
};
// Serialized Events. wall_time_s: since 1970.
std::string version_event(double wall_time_s);
// A reader forgets what it has read of `first_step` and later ones.
std::string start_event(double wall_time_s, int64_t first_step);
std::string scalar_event(double wall_time_s, int64_t step, std::span<const EventScalar> scalars);
// Markdown, shown by the plugin "text".
std::string text_event(double wall_time_s, int64_t step, std::string_view tag,
                       std::string_view text);

// events.out.tfevents.<seconds>.<host>.<pid>.0 in a folder, named to be read after those that are
// there already.
class EventFile {
 public:
  // Makes the folder if it has to, and writes the version. Throws Error(kFile), here and below.
  EventFile(const std::filesystem::path& folder, int64_t unix_seconds, const std::string& hostname);

  void write(std::string_view event);  // it reaches the kernel at the next flush
  void flush() { file_.flush(); }
  void sync() { file_.sync(); }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  AppendFile file_;
};

}  // namespace borealis
