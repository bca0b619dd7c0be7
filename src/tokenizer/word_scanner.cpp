#include "tokenizer/word_scanner.h"

#include "tokenizer/utf8.h"

namespace borealis {

const char* const kGpt2WordPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const char* const kLlama3WordPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

constexpr const char* kQwen2WordPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

bool is_newline(char c) { return c == '\r' || c == '\n'; }

// Bytes of 's, 't, 're, 've, 'm, 'll or 'd at the start of `rest`, which starts with the
// apostrophe; 0 if there is none of them.
size_t contraction(std::string_view rest, bool any_case) {
  const auto letter = [&](size_t place) {
    if (place >= rest.size()) return '\0';
    const char c = rest[place];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const char second = letter(2);
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  // U+017F, the long s, is an s of another case.
  if (any_case && rest.substr(1).starts_with("\xc5\xbf")) return 3;
  return 0;
}

}  // namespace

std::optional<WordScanner> WordScanner::for_pattern(const std::string& pattern) {
  if (pattern == kGpt2WordPattern) return WordScanner(0);
  if (pattern == kLlama3WordPattern) return WordScanner(3);
  if (pattern == kQwen2WordPattern) return WordScanner(1);
  return std::nullopt;
}

WordScanner::Char WordScanner::char_at(std::string_view text, size_t place) const {
  if (place >= text.size()) return {};
  const auto byte = static_cast<unsigned char>(text[place]);
  if (byte < 0x80) return {classes_->of_ascii(byte), 1};
  const CodePoint point = code_point_at(text, place);
  return {classes_->of(point.value), point.length};
}

size_t WordScanner::run_end(std::string_view text, size_t place, CharClass kind) const {
  for (;;) {
    const Char next = char_at(text, place);
    if (next.length == 0 || next.kind != kind) return place;
    place += next.length;
  }
}

// \s+(?!\S)|\s+ : all of a run at the end of the text, else all but its last character, for that
// belongs to the word that follows, unless it is the only one.
size_t WordScanner::space_run_end(std::string_view text, size_t begin) const {
  size_t last = begin;
  size_t end = begin;
  for (;;) {
    const Char next = char_at(text, end);
    if (next.length == 0) return end;
    if (next.kind != CharClass::kSpace) return last == begin ? end : last;
    last = end;
    end += next.length;
  }
}

size_t WordScanner::gpt2_word_end(std::string_view text, size_t begin) const {
  if (text[begin] == '\'') {
    if (const size_t length = contraction(text.substr(begin), false); length > 0) {
      return begin + length;
    }
  }
  Char first = char_at(text, begin);
  size_t place = begin + first.length;
  if (text[begin] == ' ') {
    const Char second = char_at(text, place);
    if (second.length == 0 || second.kind == CharClass::kSpace) return space_run_end(text, begin);
    first = second;
    place += second.length;
  } else if (first.kind == CharClass::kSpace) {
    return space_run_end(text, begin);
  }
  return run_end(text, place, first.kind);
}

size_t WordScanner::llama3_word_end(std::string_view text, size_t begin) const {
  if (text[begin] == '\'') {
    if (const size_t length = contraction(text.substr(begin), true); length > 0) {
      return begin + length;
    }
  }
  const Char first = char_at(text, begin);
  size_t place = begin + first.length;
  if (first.kind == CharClass::kLetter) return run_end(text, place, CharClass::kLetter);
  if (first.kind == CharClass::kNumber) {
    for (int digits = 1; digits < digits_per_word_; ++digits) {
      const Char next = char_at(text, place);
      if (next.length == 0 || next.kind != CharClass::kNumber) break;
      place += next.length;
    }
    return place;
  }
  const Char second = char_at(text, place);
  if (second.length > 0 && second.kind == CharClass::kLetter && !is_newline(text[begin])) {
    return run_end(text, place + second.length, CharClass::kLetter);
  }
  const bool space_and_other =
      text[begin] == ' ' && second.length > 0 && second.kind == CharClass::kOther;
  if (first.kind == CharClass::kSpace && !space_and_other) return llama3_space_end(text, begin);
  place = run_end(text, place, CharClass::kOther);
  while (place < text.size() && is_newline(text[place])) ++place;
  return place;
}

// \s*[\r\n]+ : up to the last line end of a run of white space; without one as space_run_end.
size_t WordScanner::llama3_space_end(std::string_view text, size_t begin) const {
  const size_t end = run_end(text, begin, CharClass::kSpace);
  for (size_t place = end; place > begin; --place) {
    if (is_newline(text[place - 1])) return place;
  }
  return space_run_end(text, begin);
}

}  // namespace borealis
