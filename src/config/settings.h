// What the user set: the environment and the command line, read by the rows of the contract.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/environment.h"
#include "config/run_config_loader.h"

namespace borealis {

// Problems pile up here and are thrown together.
struct Problems {
  std::vector<std::string> command_line;  // unknown flags, missing values
  std::vector<std::string> settings;

  bool any() const { return !command_line.empty() || !settings.empty(); }
  [[noreturn]] void raise() const;  // ListedProblems(kUsage) or (kConfig)
};

// All that is wrong, a line each.
class ListedProblems : public Error {
 public:
  ListedProblems(ErrorKind kind, std::vector<std::string> all);
  const std::vector<std::string>& all() const { return all_; }

 private:
  std::vector<std::string> all_;
};

// Where a value comes from; later ones win.
enum class Source { kDefault, kModel, kEnvironment, kFlag };

struct Setting {
  const OptionRow* row = nullptr;
  Source source = Source::kDefault;
  OptionValue value;
  std::string text;     // as given, choices in their own spelling
  std::string spelled;  // "MICRO_BATCH=2" or "--micro-batch-size 2", for messages
};

class Settings {
 public:
  // Parses one value and keeps it if nothing stronger is there. A bad one becomes a problem.
  void put(const OptionRow& row, Source source, std::string_view text, std::string spelled,
           Problems& problems);

  bool has(std::string_view key) const { return by_key_.contains(key); }
  bool given(std::string_view key) const;  // by the user, not by a default
  Source source(std::string_view key) const;
  std::string text(std::string_view key) const;  // "" if it has no value
  std::optional<int64_t> integer(std::string_view key) const;
  bool is_on(std::string_view key) const;  // switches
  std::string spelled(std::string_view key) const;

  const std::map<std::string_view, Setting>& all() const { return by_key_; }
  // What gave way to a flag of another value, in the order of finding.
  struct Beaten {
    std::string winner, loser;  // as they are spelled: "--seed 3", "SEED=4"
    Source losing_source = Source::kEnvironment;
  };
  const std::vector<Beaten>& beaten() const { return beaten_; }

 private:
  const Setting* find(std::string_view key) const;

  std::map<std::string_view, Setting> by_key_;
  std::vector<Beaten> beaten_;
};

// Fills `settings` with the defaults of the table, the environment's values and the flags'. Throws
// HelpRequested.
Settings read_settings(const Environment& environment, const std::vector<std::string>& arguments,
                       const std::string& command, Problems& problems);

// A set variable's value; an empty one is unset, and blanks around it do not count.
std::optional<std::string> set_value(const Environment& environment, std::string_view variable);

}  // namespace borealis
