#include "cli/text_printer.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

namespace borealis {
namespace {

void show(std::string_view text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

}  // namespace

TextGenerationEvents TextPrinter::events() {
  TextGenerationEvents events;
  events.on_text = [this](size_t prompt, std::string_view piece) { show_piece(prompt, piece); };
  events.on_finish = [this](size_t prompt, GeneratedText text) {
    texts_[prompt] = std::move(text);
    if (json_) return;
    if (streams()) {
      end_line();
    } else {
      show_finished();
    }
  };
  return events;
}

void TextPrinter::show_piece(size_t prompt, std::string_view piece) {
  if (json_) return;
  if (!streams()) {
    shown_texts_[prompt] += piece;
    return;
  }
  in_line_ = true;
  show(piece);
}

void TextPrinter::end_line() {
  if (std::exchange(in_line_, false)) show("\n");
}

void TextPrinter::show_finished() {
  for (; shown_ < texts_.size() && texts_[shown_]; ++shown_) {
    show(fmt::format("[{}/{}] {}\n", shown_ + 1, texts_.size(), shown_texts_[shown_]));
    shown_texts_[shown_] = {};
    texts_[shown_]->text = {};
  }
}

}  // namespace borealis
