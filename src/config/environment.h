// The contract: every environment variable and every flag that a run listens to, one row each. The
// rows yield the parsing (settings.h), `--help`, docs/environment.md, and the test that freezes
// their names. To add an option, add a row.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/run_config.h"

namespace borealis {

enum class OptionType {
  kInteger,
  kNumber,
  kText,
  kChoice,       // one of `choices`
  kSwitch,       // 1/true/yes/on or 0/false/no/off; the flag alone means true
  kAnyValue,     // any value at all switches it on, as scripts test it
  kBytes,        // "20GiB", "512M": a count of bytes
  kCount,        // an integer, or the first of a list of them ("4,2")
  kIntegers,     // whole numbers with commas or blanks between; as a flag, all that follow it
  kWords,        // words with blanks between; as a flag, all that follow it
  kUnavailable,  // a flag of the reference that is refused by name, whatever follows it
};

using OptionValue = std::variant<std::string, int64_t, double, bool>;

struct OptionRow {
  std::string_view variable = {};  // empty: a flag only
  std::vector<std::string_view> aliases = {};
  std::vector<std::string_view> flags = {};  // the first one is used in messages
  OptionType type = OptionType::kText;
  std::string_view default_text = {};  // parsed and stored as if it were given; empty: none
  std::string_view default_note = {};  // what the documentation says where the default is derived
  std::string_view help = {};
  void (*store)(RunConfig&, const OptionValue&) = nullptr;  // null: read by key where it is needed
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  std::vector<std::string_view> choices = {};
  // Values that work today, where not all do; any other is refused with `not_yet`.
  std::vector<std::string_view> accepted = {};
  std::string_view not_yet = {};
  bool ours = false;                    // not in the reference trainer's contract
  bool flag_wins_in_reference = false;  // there, too, the flag beats the variable

  // What code and presets call the row: its variable, or its first flag.
  std::string_view key() const { return variable.empty() ? flags.front() : variable; }
};

struct OptionGroup {
  std::string_view title;
  std::vector<OptionRow> rows;
};

const std::vector<OptionGroup>& option_groups();
const OptionRow& option_row(std::string_view key);  // CHECKs that it exists
const OptionRow* find_flag(std::string_view flag);  // null: no such flag
std::vector<std::string_view> all_flags();

// Names that people set and that nothing reads, with what they meant.
struct LookAlike {
  std::string_view variable;
  std::string_view instead;
};
const std::vector<LookAlike>& look_alikes();

// How the name of a variable is mistyped: an underscore, a letter or a plural s too many or too
// few, two letters exchanged, in small letters. Short names, which are near to too much, only
// by underscores and case.
std::vector<std::string> misspellings(std::string_view variable);

std::string option_help(std::string_view command);

// The parts of the table, one a file.
OptionGroup model_options();
OptionGroup batch_options();
OptionGroup optimizer_options();
OptionGroup run_length_options();
OptionGroup data_options();
OptionGroup output_options();
OptionGroup machine_options();
OptionGroup unavailable_options();

}  // namespace borealis
