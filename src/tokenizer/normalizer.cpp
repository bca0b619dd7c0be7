#include "tokenizer/normalizer.h"

#include <algorithm>

#include "tokenizer/normal_form.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

using StepKind = NormalizerStep::Kind;

void replace_all(std::string_view text, std::string_view pattern, std::string_view content,
                 std::string& out) {
  size_t done = 0;
  for (size_t found = text.find(pattern); found != std::string_view::npos;
       found = text.find(pattern, done)) {
    out += text.substr(done, found - done);
    out += content;
    done = found + pattern.size();
  }
  out += text.substr(done);
}

// Spaces stand every few bytes: no search for each of them.
void replace_byte(std::string_view text, char pattern, std::string_view content, std::string& out) {
  const auto count = static_cast<size_t>(std::ranges::count(text, pattern));
  out.resize(text.size() + count * content.size() - count);
  char* to = out.data();
  for (const char c : text) {
    if (c == pattern) {
      to = std::ranges::copy(content, to).out;
    } else {
      *to++ = c;
    }
  }
}

// No character below has a composition, a decomposition or a combining class.
bool is_normal_already(std::string_view text, StepKind form) {
  if (is_ascii(text)) return true;
  if (form != StepKind::kNfc) return false;
  // Lead bytes below 0xCC are those of U+0000 to U+02FF.
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0xcc;
  });
}

NormalForm form_of(StepKind kind) {
  switch (kind) {
    case StepKind::kNfc:
      return NormalForm::kNfc;
    case StepKind::kNfd:
      return NormalForm::kNfd;
    case StepKind::kNfkc:
      return NormalForm::kNfkc;
    default:
      return NormalForm::kNfkd;
  }
}

}  // namespace

Normalizer::Normalizer(const std::vector<NormalizerStep>& steps) {
  for (const NormalizerStep& step : steps) {
    Step& own = steps_.emplace_back(Step{step, std::nullopt});
    if (step.kind == StepKind::kReplaceRegex) own.expression.emplace(step.pattern);
  }
}

std::string_view Normalizer::apply(std::string_view text, Buffers& buffers) const {
  for (const Step& step : steps_) {
    const NormalizerStep& what = step.definition;
    std::string& out = buffers.next;
    out.clear();
    switch (what.kind) {
      case StepKind::kReplace:
        if (what.pattern.size() == 1) {
          replace_byte(text, what.pattern[0], what.content, out);
        } else {
          replace_all(text, what.pattern, what.content, out);
        }
        break;
      case StepKind::kReplaceRegex:
        step.expression->for_each_segment(text, buffers.matcher,
                                          [&](std::string_view segment, bool is_match) {
                                            out += is_match ? what.content : segment;
                                          });
        break;
      case StepKind::kPrepend:
        if (text.empty()) continue;
        out += what.content;
        out += text;
        break;
      case StepKind::kNfc:
      case StepKind::kNfd:
      case StepKind::kNfkc:
      case StepKind::kNfkd:
        if (is_normal_already(text, what.kind)) continue;
        append_normal_form(text, form_of(what.kind), out);
        break;
    }
    buffers.text.swap(out);
    text = buffers.text;
  }
  return text;
}

}  // namespace borealis
