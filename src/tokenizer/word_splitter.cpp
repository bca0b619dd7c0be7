#include "tokenizer/word_splitter.h"

#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cctype>

#include "base/check.h"
#include "base/error.h"
#include "tokenizer/unicode_properties.h"

namespace borealis {

namespace {

constexpr const char* kWhiteSpace = R"(\t-\r\x{85}\p{Z})";

[[noreturn]] void refuse_pattern(const std::string& pattern, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("the tokenizer's expression {} {}", pattern, problem),
              "use another tokenizer.json; the expressions of GPT-2, Llama 3 and their kin work");
}

// Walks an expression once; `out_` grows by what PCRE2 calls the same thing.
class PatternTranslator {
 public:
  explicit PatternTranslator(const std::string& pattern) : in_(pattern) {}

  std::string translate() {
    while (at_ < in_.size()) {
      if (in_[at_] == '\\') {
        escape();
      } else {
        plain(in_[at_++]);
      }
    }
    return out_;
  }

 private:
  void plain(char c) {
    const char next = at_ < in_.size() ? in_[at_] : '\0';
    if (in_class_) {
      if (c == '[') refuse_pattern(in_, "has a class inside a class, which is not supported");
      if (c == '&' && next == '&') refuse_pattern(in_, "intersects classes (&&)");
      if (c == ']') in_class_ = false;
    } else if (c == '[') {
      in_class_ = true;
      out_ += c;
      if (next == '^') out_ += in_[at_++];
      return;
    } else if (c == '}' && next == '+') {
      refuse_pattern(in_, "repeats an interval ({..}+), which engines read differently");
    }
    out_ += c;
  }

  void escape() {
    if (at_ + 1 == in_.size()) refuse_pattern(in_, "ends in a backslash");
    const char c = in_[at_ + 1];
    at_ += 2;
    if (c == 's') {
      out_ += in_class_ ? kWhiteSpace : fmt::format("[{}]", kWhiteSpace);
    } else if (c == 'S' && !in_class_) {
      out_ += fmt::format("[^{}]", kWhiteSpace);
    } else if (c == 'u' && at_ + 4 <= in_.size()) {
      out_ += fmt::format("\\x{{{}}}", in_.substr(at_, 4));
      at_ += 4;
    } else if (c == 'd' || c == 'D') {
      property("Nd", c == 'D', "");
    } else if (c == 'p' || c == 'P') {
      property_escape(c == 'P');
    } else if (c == 'x') {
      out_ += {'\\', c};
      if (at_ < in_.size() && in_[at_] == '{') {
        const size_t end = in_.find('}', at_);
        if (end == std::string::npos) refuse_pattern(in_, "has an unfinished brace");
        out_ += in_.substr(at_, end + 1 - at_);
        at_ = end + 1;
      }
    } else if (std::string_view("rntf").find(c) != std::string_view::npos ||
               !std::isalnum(static_cast<unsigned char>(c))) {
      out_ += {'\\', c};
    } else {
      refuse_pattern(in_, fmt::format("has \\{}, which is not supported", c));
    }
  }

  // \p{Lu} or \p{^Lu}, behind the p.
  void property_escape(bool negated) {
    // Oniguruma reads \pL as the two letters.
    if (at_ == in_.size() || in_[at_] != '{') refuse_pattern(in_, "has a property without braces");
    const size_t end = in_.find('}', at_);
    if (end == std::string::npos) refuse_pattern(in_, "has an unfinished brace");
    std::string_view name = std::string_view(in_).substr(at_ + 1, end - at_ - 1);
    const std::string spelled = (negated ? "\\P" : "\\p") + in_.substr(at_, end + 1 - at_);
    at_ = end + 1;
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    property(name, negated, spelled);
  }

  // By the tables of unicode_properties.h or, where these have nothing, as it is `spelled`.
  void property(std::string_view name, bool negated, const std::string& spelled) {
    const auto items = pcre2_class_items(name, in_class_ && negated);
    if (!items) {
      out_ += spelled;
    } else if (in_class_) {
      out_ += *items;
    } else {
      out_ += fmt::format("[{}{}]", negated ? "^" : "", *items);
    }
  }

  const std::string& in_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

std::string pcre2_message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

std::string pcre2_pattern(const std::string& oniguruma_pattern) {
  return PatternTranslator(oniguruma_pattern).translate();
}

struct WordSplitter::Code {
  explicit Code(const std::string& pattern) {
    const std::string translated = pcre2_pattern(pattern);
    int error = 0;
    PCRE2_SIZE place = 0;
    pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
    // As in Ruby, whose syntax Oniguruma's is: ^ and $ stand at every line end, and that is LF.
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &place, context);
    pcre2_compile_context_free(context);
    if (code == nullptr) refuse_pattern(pattern, "is wrong: " + pcre2_message(error));
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no JIT, the interpreter serves
  }
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  pcre2_code* code = nullptr;
};

WordSplitter::WordSplitter(const std::string& pattern, SplitBehavior behavior, bool invert,
                           bool literal)
    : behavior_(behavior), invert_(invert) {
  CHECK(!pattern.empty());
  if (literal) {
    literal_ = pattern;
    return;
  }
  // The known expressions match everywhere.
  const bool words_are_matches =
      behavior == SplitBehavior::kIsolated || (behavior == SplitBehavior::kRemoved && invert);
  if (words_are_matches) scanner_ = WordScanner::for_pattern(pattern);
  code_ = std::make_unique<Code>(pattern);
}
WordSplitter::~WordSplitter() = default;
WordSplitter::WordSplitter(WordSplitter&&) noexcept = default;
WordSplitter& WordSplitter::operator=(WordSplitter&&) noexcept = default;

struct WordSplitter::Matcher::State {
  State()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(32 << 10, 8 << 20, nullptr)) {
    CHECK(data != nullptr && context != nullptr);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~State() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

WordSplitter::Matcher::Matcher() : state_(std::make_unique<State>()) {}
WordSplitter::Matcher::~Matcher() = default;
WordSplitter::Matcher::Matcher(Matcher&&) noexcept = default;
WordSplitter::Matcher& WordSplitter::Matcher::operator=(Matcher&&) noexcept = default;

std::optional<WordSplitter::Match> WordSplitter::find(std::string_view text, size_t from,
                                                      Matcher& matcher) const {
  if (literal_.empty()) return find_expression(text, from, matcher);
  const size_t begin = text.find(literal_, from);
  if (begin == std::string_view::npos) return std::nullopt;
  return Match{begin, begin + literal_.size()};
}

std::optional<WordSplitter::Match> WordSplitter::find_expression(std::string_view text, size_t from,
                                                                 Matcher& matcher) const {
  Matcher::State& state = *matcher.state_;
  const int count = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                from, PCRE2_NO_UTF_CHECK, state.data, state.context);
  if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (count < 0) {
    throw Error(ErrorKind::kData,
                fmt::format("the tokenizer's expression gave up on a text of {} bytes: {}",
                            text.size(), pcre2_message(count)),
                "cut the text into smaller documents, or use another tokenizer.json");
  }
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(state.data);
  return Match{ends[0], ends[1]};
}

}  // namespace borealis
