// Shows the texts of `generate` on stdout: one as it grows, several one after the other in the
// order of their prompts, or none, for a document at the end.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/text_generation.h"

namespace borealis {

class TextPrinter {
 public:
  TextPrinter(size_t prompts, bool json) : json_(json), texts_(prompts), shown_texts_(prompts) {}
  // A line that was begun ends, also where an error cuts it off.
  ~TextPrinter() { end_line(); }
  TextPrinter(const TextPrinter&) = delete;
  TextPrinter& operator=(const TextPrinter&) = delete;

  TextGenerationEvents events();  // which refer to this
  // As they finished; without their characters where these were shown.
  const std::vector<std::optional<GeneratedText>>& texts() const { return texts_; }

 private:
  bool streams() const { return !json_ && texts_.size() == 1; }
  void show_piece(size_t prompt, std::string_view piece);
  void end_line();
  void show_finished();

  bool json_;
  bool in_line_ = false;
  std::vector<std::optional<GeneratedText>> texts_;
  std::vector<std::string> shown_texts_;  // of several prompts, until they are shown
  size_t shown_ = 0;
};

}  // namespace borealis
