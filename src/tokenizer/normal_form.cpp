#include "tokenizer/normal_form.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "tokenizer/utf8.h"

namespace borealis {
namespace {

struct Composition {
  uint32_t first;
  uint32_t second;
  uint32_t result;
};
struct CombiningClass {
  uint32_t first;
  uint32_t last;
  uint8_t number;
};
#include "tokenizer/normal_forms.inc"

constexpr uint32_t kBegin = 0xa0;  // no character before has a part in any of this

// Syllables are arithmetic: Unicode, section 3.12.
constexpr uint32_t kSyllables = 0xac00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11a7;
constexpr uint32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr uint32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

std::optional<uint32_t> compose_hangul(uint32_t first, uint32_t second) {
  if (first - kLeads < kLeadCount && second - kVowels < kVowelCount) {
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
  }
  const bool open = first - kSyllables < kSyllableCount && (first - kSyllables) % kTailCount == 0;
  if (open && second - kTails - 1 < kTailCount - 1) return first + (second - kTails);
  return std::nullopt;
}

class Tables {
 public:
  static const Tables& get() {
    static const Tables kTables;
    return kTables;
  }
  // Empty: the character stays.
  std::span<const uint32_t> decomposition(uint32_t c, bool compatible) const {
    if (compatible) {
      if (const auto found = compatible_.find(c); found != compatible_.end()) return found->second;
    }
    const auto found = canonical_.find(c);
    return found == canonical_.end() ? std::span<const uint32_t>() : found->second;
  }
  uint8_t combining_class(uint32_t c) const {
    const auto above = std::ranges::upper_bound(kCombiningClasses, c, {}, &CombiningClass::first);
    if (above == std::begin(kCombiningClasses)) return 0;
    return c <= (above - 1)->last ? (above - 1)->number : uint8_t{0};
  }
  // Whether it is the second of some pair that becomes one character: few starters are.
  bool ends_pairs(uint32_t c) const { return c < ends_pairs_.size() && ends_pairs_[c]; }
  std::optional<uint32_t> compose(uint32_t first, uint32_t second) const {
    const auto found = compositions_.find(uint64_t{first} << 32 | second);
    return found == compositions_.end() ? compose_hangul(first, second) : found->second;
  }

 private:
  using Decompositions = std::unordered_map<uint32_t, std::span<const uint32_t>>;
  Tables() {
    read(kCanonical, canonical_);
    read(kCompatible, compatible_);
    for (const auto& [first, second, result] : kCompositions) {
      compositions_.emplace(uint64_t{first} << 32 | second, result);
      if (second >= ends_pairs_.size()) ends_pairs_.resize(second + 1);
      ends_pairs_[second] = true;
    }
    std::fill_n(ends_pairs_.begin() + kVowels, kVowelCount, true);
    std::fill_n(ends_pairs_.begin() + kTails + 1, kTailCount - 1, true);
  }
  static void read(std::span<const uint32_t> flat, Decompositions& into) {
    for (size_t at = 0; at < flat.size(); at += 2 + flat[at + 1]) {
      into.emplace(flat[at], flat.subspan(at + 2, flat[at + 1]));
    }
  }

  Decompositions canonical_, compatible_;
  std::unordered_map<uint64_t, uint32_t> compositions_;
  std::vector<bool> ends_pairs_ = std::vector<bool>(kTails + kTailCount);  // by code point
};

// Takes decomposed characters and gives out whole ones: a starter with the marks that follow it.
class Composer {
 public:
  Composer(bool composes, std::string& out) : composes_(composes), out_(out) {}

  void add(uint32_t c) {
    const uint8_t number = c < kBegin ? uint8_t{0} : tables_.combining_class(c);
    if (number > 0) {
      marks_.push_back({c, number});
      return;
    }
    end_marks();
    if (composes_ && starter_ && marks_.empty() && tables_.ends_pairs(c)) {
      if (const auto both = tables_.compose(*starter_, c)) {
        starter_ = both;
        return;
      }
    }
    put();
    starter_ = c;
  }
  void finish() {
    end_marks();
    put();
  }

 private:
  struct Mark {
    uint32_t character;
    uint8_t number;
  };
  // Marks in order; those that become one with the starter go.
  void end_marks() {
    if (marks_.empty()) return;
    std::ranges::stable_sort(marks_, {}, &Mark::number);
    if (!composes_ || !starter_) return;
    size_t left = 0;
    for (const Mark& mark : marks_) {
      // One of the same class that is left stands between the two.
      const bool blocked = left > 0 && marks_[left - 1].number == mark.number;
      const auto both = blocked ? std::nullopt : tables_.compose(*starter_, mark.character);
      if (both) {
        starter_ = both;
      } else {
        marks_[left++] = mark;
      }
    }
    marks_.resize(left);
  }
  void put() {
    if (starter_) append_utf8(out_, *starter_);
    for (const Mark& mark : marks_) append_utf8(out_, mark.character);
    starter_.reset();
    marks_.clear();
  }

  const Tables& tables_ = Tables::get();
  bool composes_;
  std::string& out_;
  std::optional<uint32_t> starter_;
  std::vector<Mark> marks_;
};

}  // namespace

void append_normal_form(std::string_view text, NormalForm form, std::string& out) {
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const Tables& tables = Tables::get();
  Composer composer(form == NormalForm::kNfc || form == NormalForm::kNfkc, out);
  for (size_t place = 0; place < text.size();) {
    const CodePoint point = code_point_at(text, place);
    place += point.length;
    const uint32_t c = point.value;
    if (c < kBegin) {
      composer.add(c);
      continue;
    }
    if (const uint32_t syllable = c - kSyllables; syllable < kSyllableCount) {
      composer.add(kLeads + syllable / (kVowelCount * kTailCount));
      composer.add(kVowels + syllable / kTailCount % kVowelCount);
      if (syllable % kTailCount != 0) composer.add(kTails + syllable % kTailCount);
      continue;
    }
    const auto parts = tables.decomposition(c, compatible);
    if (parts.empty()) composer.add(c);
    for (const uint32_t part : parts) composer.add(part);
  }
  composer.finish();
}

}  // namespace borealis
