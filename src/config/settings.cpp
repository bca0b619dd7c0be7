#include "config/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "base/units.h"
#include "config/nearest.h"

namespace borealis {
namespace {

// A value, or what is wrong with the text ("is not a whole number").
struct Parsed {
  std::optional<OptionValue> value;
  std::string wrong;
};

Parsed wrong(std::string text) { return {.value = std::nullopt, .wrong = std::move(text)}; }

bool equal_but_for_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

Parsed parse_integer(std::string_view text) {
  int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc::result_out_of_range) return wrong("is too large a number");
  if (code != std::errc() || end != text.data() + text.size()) {
    return wrong("is not a whole number");
  }
  return {.value = number, .wrong = {}};
}

Parsed parse_number(std::string_view text) {
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code == std::errc::result_out_of_range) return wrong("is too large or too small a number");
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) {
    return wrong("is not a number");
  }
  return {.value = number, .wrong = {}};
}

Parsed parse_switch(std::string_view text) {
  for (const std::string_view yes : {"1", "true", "yes", "on"}) {
    if (equal_but_for_case(text, yes)) return {.value = true, .wrong = {}};
  }
  for (const std::string_view no : {"0", "false", "no", "off"}) {
    if (equal_but_for_case(text, no)) return {.value = false, .wrong = {}};
  }
  return wrong("is neither 1 (or true, yes, on) nor 0 (or false, no, off)");
}

Parsed parse_choice(std::string_view text, const std::vector<std::string_view>& choices) {
  for (const std::string_view choice : choices) {
    if (equal_but_for_case(text, choice)) return {.value = std::string(choice), .wrong = {}};
  }
  std::string message = fmt::format("is not one of {}", fmt::join(choices, ", "));
  if (const auto near = nearest_name(text, choices)) {
    message += fmt::format("; did you mean {}?", *near);
  }
  return wrong(std::move(message));
}

// The numbers as text with commas between, which parse_integers (option_store.h) reads back.
Parsed parse_integer_list(std::string_view text) {
  std::string list;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(", "), text.size());
    if (end > 0) {
      const Parsed one = parse_integer(text.substr(0, end));
      if (!one.value) return wrong("is not a list of whole numbers such as 10,20");
      if (!list.empty()) list += ',';
      list += std::to_string(std::get<int64_t>(*one.value));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (list.empty()) return wrong("is not a list of whole numbers such as 10,20");
  return {.value = std::move(list), .wrong = {}};
}

Parsed parse_byte_count(std::string_view text) {
  const std::optional<int64_t> bytes = parse_bytes(text);
  if (!bytes) return wrong("is not a number of bytes such as 20GiB, 512MiB or 1000000");
  return {.value = *bytes, .wrong = {}};
}

Parsed parse_text(const OptionRow& row, std::string_view text) {
  switch (row.type) {
    case OptionType::kInteger:
      return parse_integer(text);
    case OptionType::kCount:
      return parse_integer(trimmed(text.substr(0, text.find(','))));
    case OptionType::kNumber:
      return parse_number(text);
    case OptionType::kChoice:
      return parse_choice(text, row.choices);
    case OptionType::kSwitch:
      return parse_switch(text);
    case OptionType::kBytes:
      return parse_byte_count(text);
    case OptionType::kAnyValue:
      return {.value = true, .wrong = {}};
    case OptionType::kIntegers:
      return parse_integer_list(text);
    case OptionType::kText:
    case OptionType::kWords:
    case OptionType::kUnavailable:
      break;
  }
  return {.value = std::string(text), .wrong = {}};
}

std::string bound_text(double bound) {
  if (std::abs(bound) < 1e15 && bound == std::floor(bound)) return fmt::format("{:.0f}", bound);
  return fmt::format("{}", bound);
}

// "" if the value is within the row's range.
std::string range_fault(const OptionRow& row, const OptionValue& value) {
  double number = 0;
  if (const auto* whole = std::get_if<int64_t>(&value)) {
    number = static_cast<double>(*whole);
  } else if (const auto* real = std::get_if<double>(&value)) {
    number = *real;
  } else {
    return "";
  }
  if (number < row.minimum) {
    return fmt::format("is too small: it must be at least {}", bound_text(row.minimum));
  }
  if (number > row.maximum) {
    return fmt::format("is too large: it must be at most {}", bound_text(row.maximum));
  }
  return "";
}

// The text that `accepted` lists: choices in their own spelling, switches as true and false.
std::string canonical_text(const OptionValue& value, std::string_view text) {
  if (const auto* name = std::get_if<std::string>(&value)) return *name;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* whole = std::get_if<int64_t>(&value)) return std::to_string(*whole);
  return std::string(text);
}

Parsed parse_value(const OptionRow& row, std::string_view text) {
  Parsed parsed = parse_text(row, text);
  if (!parsed.value) return parsed;
  if (std::string fault = range_fault(row, *parsed.value); !fault.empty()) {
    return wrong(std::move(fault));
  }
  if (!row.not_yet.empty()) {
    const std::string canonical = canonical_text(*parsed.value, text);
    if (std::find(row.accepted.begin(), row.accepted.end(), canonical) == row.accepted.end()) {
      return wrong(fmt::format(": {}", row.not_yet));
    }
  }
  return parsed;
}

void read_environment(const Environment& environment, Settings& settings, Problems& problems) {
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      if (row.variable.empty()) continue;
      std::vector<std::string_view> names = {row.variable};
      names.insert(names.end(), row.aliases.begin(), row.aliases.end());
      std::string first_spelled;
      std::string first_text;
      for (const std::string_view name : names) {
        const std::optional<std::string> text = set_value(environment, name);
        if (!text) continue;
        std::string spelled = fmt::format("{}={}", name, *text);
        if (first_spelled.empty()) {
          first_spelled = spelled;
          first_text = *text;
          settings.put(row, Source::kEnvironment, *text, std::move(spelled), problems);
        } else if (*text != first_text) {
          problems.settings.push_back(fmt::format(
              "{} and {} contradict each other; set one of them", first_spelled, spelled));
        }
      }
    }
  }
}

bool takes_no_value(OptionType type) {
  return type == OptionType::kSwitch || type == OptionType::kAnyValue;
}

bool takes_many_values(OptionType type) {
  return type == OptionType::kIntegers || type == OptionType::kWords;
}

void report_unknown_flag(const std::string& flag, Problems& problems) {
  std::string message = fmt::format("{} is not a flag", flag);
  constexpr std::string_view kDashes = "--";  // which all have, so that they say nothing
  std::vector<std::string_view> names = all_flags();
  for (std::string_view& name : names) name.remove_prefix(kDashes.size());
  if (const auto near = nearest_name(
          std::string_view(flag).substr(std::min(kDashes.size(), flag.size())), names)) {
    message += fmt::format("; did you mean --{}? (flags cannot be abbreviated)", *near);
  } else {
    message += "; --help lists them";
  }
  problems.command_line.push_back(std::move(message));
}

// Walks over the arguments once.
class ArgumentReader {
 public:
  ArgumentReader(const std::vector<std::string>& arguments, Settings& settings, Problems& problems)
      : arguments_(arguments), settings_(settings), problems_(problems) {}

  void read_all() {
    while (at_ < arguments_.size()) {
      const std::string& argument = arguments_[at_++];
      if (argument.starts_with("--") && argument.size() > 2) {
        read_flag(argument);
      } else {
        problems_.command_line.push_back(
            fmt::format("'{}' is not expected here; settings are flags such as --lr 0.001, or "
                        "VARIABLE=value before the command",
                        argument));
      }
    }
  }

 private:
  bool next_is_value() const {
    return at_ < arguments_.size() && !arguments_[at_].starts_with("--");
  }

  void read_flag(const std::string& argument) {
    const size_t equals = argument.find('=');
    const std::string flag = argument.substr(0, equals);
    const OptionRow* row = find_flag(flag);
    if (row == nullptr) {
      report_unknown_flag(flag, problems_);
      if (equals == std::string::npos && next_is_value()) ++at_;
      return;
    }
    if (row->type == OptionType::kUnavailable) {
      problems_.settings.push_back(fmt::format("{}: {}", flag, row->not_yet));
      while (equals == std::string::npos && next_is_value()) ++at_;
      return;
    }
    if (equals != std::string::npos) {
      keep(*row, flag, argument.substr(equals + 1), argument);
    } else if (takes_no_value(row->type)) {
      keep(*row, flag, "true", flag);
    } else if (next_is_value()) {
      std::string value = arguments_[at_++];
      while (takes_many_values(row->type) && next_is_value()) value += " " + arguments_[at_++];
      keep(*row, flag, value, fmt::format("{} {}", flag, value));
    } else {
      problems_.command_line.push_back(fmt::format("{} needs a value", flag));
    }
  }

  void keep(const OptionRow& row, const std::string& flag, const std::string& value,
            const std::string& spelled) {
    if (trimmed(value).empty()) {
      problems_.command_line.push_back(fmt::format("{} needs a value", flag));
      return;
    }
    settings_.put(row, Source::kFlag, trimmed(value), spelled, problems_);
  }

  const std::vector<std::string>& arguments_;
  Settings& settings_;
  Problems& problems_;
  size_t at_ = 0;
};

}  // namespace

void Problems::raise() const {
  std::vector<std::string> all = command_line;
  all.insert(all.end(), settings.begin(), settings.end());
  const ErrorKind kind = settings.empty() ? ErrorKind::kUsage : ErrorKind::kConfig;
  throw ListedProblems(kind, std::move(all));
}

ListedProblems::ListedProblems(ErrorKind kind, std::vector<std::string> all)
    : Error(kind, all.size() == 1
                      ? all.front()
                      : fmt::format("{} problems:\n  - {}", all.size(), fmt::join(all, "\n  - "))),
      all_(std::move(all)) {}

void Settings::put(const OptionRow& row, Source source, std::string_view text, std::string spelled,
                   Problems& problems) {
  Parsed parsed = parse_value(row, text);
  if (!parsed.value) {
    CHECK(source != Source::kDefault, spelled);  // those are ours; a model's may be a config.json's
    const std::string_view gap = parsed.wrong.starts_with(':') ? "" : " ";
    problems.settings.push_back(spelled + std::string(gap) + parsed.wrong);
    return;
  }
  const Setting* old = find(row.key());
  if (old != nullptr && old->source > source) return;
  if (old != nullptr && old->source >= Source::kEnvironment && source == Source::kFlag &&
      old->value != *parsed.value) {
    // A flag that is given again: what the first one beat, the last one does.
    for (Beaten& before : beaten_) {
      if (before.winner == old->spelled) before.winner = spelled;
    }
    beaten_.push_back({spelled, old->spelled, old->source});
  }
  std::string kept(text);
  if (row.type == OptionType::kChoice) kept = std::get<std::string>(*parsed.value);
  by_key_[row.key()] = {.row = &row,
                        .source = source,
                        .value = std::move(*parsed.value),
                        .text = std::move(kept),
                        .spelled = std::move(spelled)};
}

const Setting* Settings::find(std::string_view key) const {
  const auto at = by_key_.find(key);
  return at == by_key_.end() ? nullptr : &at->second;
}

bool Settings::given(std::string_view key) const { return source(key) >= Source::kEnvironment; }

Source Settings::source(std::string_view key) const {
  const Setting* setting = find(key);
  return setting == nullptr ? Source::kDefault : setting->source;
}

std::string Settings::text(std::string_view key) const {
  const Setting* setting = find(key);
  return setting == nullptr ? "" : setting->text;
}

std::optional<int64_t> Settings::integer(std::string_view key) const {
  const Setting* setting = find(key);
  if (setting == nullptr) return std::nullopt;
  return std::get<int64_t>(setting->value);
}

bool Settings::is_on(std::string_view key) const {
  const Setting* setting = find(key);
  return setting != nullptr && std::get<bool>(setting->value);
}

std::string Settings::spelled(std::string_view key) const {
  const Setting* setting = find(key);
  return setting == nullptr ? std::string(key) : setting->spelled;
}

std::optional<std::string> set_value(const Environment& environment, std::string_view variable) {
  const std::optional<std::string> text = environment(std::string(variable));
  if (!text || trimmed(*text).empty()) return std::nullopt;
  return std::string(trimmed(*text));
}

Settings read_settings(const Environment& environment, const std::vector<std::string>& arguments,
                       const std::string& command, Problems& problems) {
  for (const std::string& argument : arguments) {
    if (argument == "--help" || argument == "-h") throw HelpRequested{option_help(command)};
  }
  Settings settings;
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      if (row.default_text.empty()) continue;
      const std::string_view gap = row.variable.empty() ? " " : "=";
      settings.put(row, Source::kDefault, row.default_text,
                   fmt::format("{}{}{} (default)", row.key(), gap, row.default_text), problems);
    }
  }
  read_environment(environment, settings, problems);
  ArgumentReader(arguments, settings, problems).read_all();
  return settings;
}

}  // namespace borealis
