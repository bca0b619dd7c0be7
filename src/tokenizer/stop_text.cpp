#include "tokenizer/stop_text.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace borealis {

void StopText::require_text() const {
  for (const std::string& stop : stops_) CHECK(!stop.empty());
}

std::string StopText::add(std::string_view text) {
  if (stopped_) return "";
  for (const char byte : text) {
    held_ += byte;
    if (const size_t bytes = complete_stop(); bytes > 0) {
      stopped_ = true;
      held_.resize(held_.size() - bytes);
      return std::exchange(held_, "");
    }
  }
  const size_t shown = held_.size() - start_of_stop();
  std::string result = held_.substr(0, shown);
  held_.erase(0, shown);
  return result;
}

std::string StopText::finish() { return std::exchange(held_, ""); }

size_t StopText::complete_stop() const {
  size_t bytes = 0;
  for (const std::string& stop : stops_) {
    if (held_.ends_with(stop)) bytes = std::max(bytes, stop.size());
  }
  return bytes;
}

size_t StopText::start_of_stop() const {
  size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (size_t bytes = std::min(stop.size() - 1, held_.size()); bytes > longest; --bytes) {
      if (held_.ends_with(std::string_view(stop).substr(0, bytes))) longest = bytes;
    }
  }
  return longest;
}

}  // namespace borealis
