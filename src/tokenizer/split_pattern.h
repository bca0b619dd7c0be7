// Splits text into words by a regular expression with Unicode properties (PCRE2).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace borealis {

// What GPT-2 splits by, and ByteLevel with use_regex means.
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class SplitPattern {
 public:
  explicit SplitPattern(const std::string& pattern);  // Error(kData) if it does not compile
  ~SplitPattern();
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;

  // Calls on_word with each match and each stretch between matches, in order; together they are the
  // text, which must be valid UTF-8. May be called by several threads at once.
  void split(std::string_view text, const std::function<void(std::string_view)>& on_word) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

}  // namespace borealis
