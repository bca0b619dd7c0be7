// Ends a text in front of the first of some strings that is complete in it. Text comes in pieces;
// what could still become the start of such a string is held back, so that no part of one is shown.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace borealis {

class StopText {
 public:
  // None may be empty (CHECK). Without any, text passes through.
  explicit StopText(std::vector<std::string> stops) : stops_(std::move(stops)) { require_text(); }

  // What can be shown now; nothing more once it has stopped. Where two strings end at the same
  // byte, the text ends in front of the longer one. Does not depend on how text is cut into pieces.
  std::string add(std::string_view text);
  std::string finish();  // the rest of a text that ends otherwise
  bool stopped() const { return stopped_; }

 private:
  void require_text() const;
  size_t complete_stop() const;  // bytes of the longest that `held_` ends with; 0: none
  size_t start_of_stop() const;  // bytes at the end of `held_` that a string starts with

  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace borealis
