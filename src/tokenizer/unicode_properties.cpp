#include "tokenizer/unicode_properties.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <vector>

namespace borealis {
namespace {

enum class C : uint8_t {
  kCc,
  kCf,
  kCn,
  kCo,
  kLl,
  kLm,
  kLo,
  kLt,
  kLu,
  kMc,
  kMe,
  kMn,
  kNd,
  kNl,
  kNo,  //
  kPc,
  kPd,
  kPe,
  kPf,
  kPi,
  kPo,
  kPs,
  kSc,
  kSk,
  kSm,
  kSo,
  kZl,
  kZp,
  kZs,
};
constexpr const char* kNames[] = {
    "cc", "cf", "cn", "co", "ll", "lm", "lo", "lt", "lu", "mc", "me", "mn", "nd", "nl", "no",  //
    "pc", "pd", "pe", "pf", "pi", "po", "ps", "sc", "sk", "sm", "so", "zl", "zp", "zs",
};
static_assert(std::size(kNames) == static_cast<size_t>(C::kZs) + 1);

struct CategoryRange {
  uint32_t first;
  uint32_t last;
  C category;
};
struct ScriptRange {
  const char* script;
  uint32_t first;
  uint32_t last;
};
#include "tokenizer/unicode_properties.inc"

using Categories = uint32_t;  // a bit each

bool holds(Categories categories, C category) {
  return (categories >> static_cast<int>(category) & 1) != 0;
}

std::string loose(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c == ' ' || c == '-' || c == '_') continue;
    plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return plain;
}

// Those that "L" or "Lu" names; none for other names.
Categories categories_of(const std::string& name) {
  Categories found = 0;
  for (size_t i = 0; i < std::size(kNames); ++i) {
    const std::string_view category = kNames[i];
    const bool is_its_group = name.size() == 1 && category.front() == name.front();
    if (is_its_group || category == name) found |= Categories{1} << i;
  }
  return found;
}

void put_range(std::string& out, uint32_t first, uint32_t last) {
  // Surrogates are in no text.
  if (first >= 0xd800 && last <= 0xdfff) return;
  if (first < 0xd800 && last > 0xdfff) {
    put_range(out, first, 0xd7ff);
    put_range(out, 0xe000, last);
    return;
  }
  out += fmt::format("\\x{{{:X}}}", first);
  if (last > first) out += fmt::format("-\\x{{{:X}}}", last);
}

// Ranges in rising order; neighbours become one, for the fewer there are, the faster is a class.
class JoinedRanges {
 public:
  void add(CodePointRange range) {
    if (open_ && open_->last + 1 == range.first) {
      open_->last = range.last;
      return;
    }
    close();
    open_ = range;
  }
  std::string text() {
    close();
    return out_;
  }

 private:
  void close() {
    if (open_) put_range(out_, open_->first, open_->last);
    open_.reset();
  }
  std::string out_;
  std::optional<CodePointRange> open_;
};

std::string all_ranges(Categories categories) {
  JoinedRanges ranges;
  for (const CategoryRange& range : kCategories) {
    if (holds(categories, range.category)) ranges.add({range.first, range.last});
  }
  return ranges.text();
}

// Calls put(range) for what has come into the categories since Unicode 14 or, if not `come`, gone.
template <typename Put>
void for_each_change(Categories categories, bool come, Put put) {
  for (const CategoryRange& before : kCategoriesOfUnicode14) {
    if (holds(categories, before.category) == come) continue;
    auto now = std::ranges::lower_bound(kCategories, before.first, {}, &CategoryRange::last);
    for (; now != std::end(kCategories) && now->first <= before.last; ++now) {
      if (holds(categories, now->category) != come) continue;
      put(CodePointRange{std::max(now->first, before.first), std::min(now->last, before.last)});
    }
  }
}

bool has_lost(Categories categories) {
  bool lost = false;
  for_each_change(categories, false, [&lost](CodePointRange) { lost = true; });
  return lost;
}

std::string new_ranges(Categories categories) {
  JoinedRanges ranges;
  for_each_change(categories, true, [&](CodePointRange range) { ranges.add(range); });
  return ranges.text();
}

// PCRE2's \p{Han} has the characters that are used with Han, Oniguruma's those of the script.
std::optional<std::string> script_items(std::string_view name, const std::string& plain,
                                        bool negated) {
  std::string added;
  bool known = false;
  for (const ScriptRange& range : kNewInScripts) {
    if (loose(range.script) != plain) continue;
    known = true;
    put_range(added, range.first, range.last);
  }
  // What is new cannot be taken out of a negated class.
  if (!known || negated) return std::nullopt;
  return fmt::format("\\p{{sc:{}}}{}", name, added);
}

}  // namespace

std::optional<std::string> pcre2_class_items(std::string_view name, bool negated) {
  const std::string plain = loose(name);
  const Categories categories = categories_of(plain);
  if (categories == 0) return script_items(name, plain, negated);
  if (negated) return all_ranges(~categories);
  if (has_lost(categories)) return all_ranges(categories);
  return fmt::format("\\p{{{}}}{}", name, new_ranges(categories));
}

}  // namespace borealis
