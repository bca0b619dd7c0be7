#include "sweep/grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>

#include "base/checksum.h"
#include "base/text.h"
#include "config/nearest.h"

namespace borealis {
namespace {

// What a measurement needs to be one.
struct OwnSetting {
  std::string_view key;
  std::string_view instead;
};
constexpr std::array kSweepOwn = {
    OwnSetting{"TRAIN_ITERS", "give the steps of every point with --steps"},
    OwnSetting{"TRAIN_TOKENS", "give the steps of every point with --steps"},
    OwnSetting{"EVAL_INTERVAL", "a sweep's points have no validation"},
    OwnSetting{"--split", "a sweep's points train on all documents"},
    OwnSetting{"TRAIN_SPLIT", "a sweep's points train on all documents"},
    OwnSetting{"VAL_SPLIT", "a sweep's points train on all documents"},
    OwnSetting{"TEST_SPLIT", "a sweep's points train on all documents"},
    OwnSetting{"LOAD", "a sweep's points start from scratch"},
    OwnSetting{"--finetune", "a sweep's points start from scratch"},
    OwnSetting{"EVAL_ITERS", "a sweep's points have no validation"},
    OwnSetting{"CKPT_DIR", "a sweep's points save nothing"},
    OwnSetting{"SAVE", "a sweep's points save nothing"},
    OwnSetting{"SAVE_INTERVAL", "a sweep's points save nothing"},
    OwnSetting{"--keep-last", "a sweep's points save nothing"},
    OwnSetting{"--keep-every", "a sweep's points save nothing"},
    OwnSetting{"--run-dir", "a sweep's runs lie in its own folder (--output)"},
    OwnSetting{"--json", "give --json to the sweep itself"},
};

constexpr size_t kLongestName = 120;  // of a folder, which leaves room in a path

std::vector<std::string_view> parts_of(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t end = 0; end != std::string_view::npos;) {
    end = text.find(separator);
    parts.push_back(trimmed(text.substr(0, end)));
    if (end != std::string_view::npos) text.remove_prefix(end + 1);
  }
  return parts;
}

// A number and a colon, or a colon and numbers; anything else with a colon is a value.
bool looks_like_range(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return false;
  if (text.find_first_not_of("0123456789:-") == std::string_view::npos) return true;
  return colon > 0 && text.find_first_not_of("0123456789-") == colon;
}

std::vector<std::string_view> all_variables() {
  std::vector<std::string_view> names;
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      if (!row.variable.empty()) names.push_back(row.variable);
    }
  }
  return names;
}

std::string meant_variable(const std::string& variable) {
  for (const LookAlike& entry : look_alikes()) {
    if (entry.variable == variable) return std::string(entry.instead);
  }
  return std::string(nearest_name(variable, all_variables()).value_or(""));
}

// "" for a variable that may stand in a grid.
std::string variable_fault(const std::string& variable) {
  const OptionRow* row = find_variable(variable);
  if (row == nullptr) {
    const std::string meant = meant_variable(variable);
    if (meant.starts_with("--")) {
      return fmt::format(
          "{} is not a variable that Borealis reads; {} is a flag, which all points get "
          "behind --",
          variable, meant);
    }
    return fmt::format("{} is not a variable that Borealis reads{}", variable,
                       meant.empty() ? "; docs/environment.md lists them"
                                     : fmt::format("; did you mean {}?", meant));
  }
  const std::string_view instead = own_setting(*row);
  return instead.empty() ? "" : fmt::format("{} cannot vary: {}", variable, instead);
}

struct PlacedAxis {
  size_t place = 0;  // of the variable in the contract
  std::string_view variable;
  const std::vector<std::string>* values = nullptr;
};

size_t place_of(std::string_view variable) {
  const std::vector<std::string_view> names = all_variables();
  return static_cast<size_t>(std::ranges::find(names, variable) - names.begin());
}

// Those that are in order; the others become problems.
std::vector<PlacedAxis> checked_axes(const Grid& grid, Problems& problems) {
  const std::string before = grid.where.empty() ? "" : grid.where + ": ";
  std::vector<PlacedAxis> axes;
  for (const GridAxis& axis : grid.axes) {
    if (axis.variable.empty() || axis.values.empty()) continue;
    if (std::string fault = variable_fault(axis.variable); !fault.empty()) {
      problems.settings.push_back(before + fault);
      continue;
    }
    const std::string_view name = find_variable(axis.variable)->variable;
    if (std::ranges::find(axes, name, &PlacedAxis::variable) != axes.end()) {
      problems.settings.push_back(fmt::format("{}{} is given twice", before, name));
      continue;
    }
    axes.push_back({place_of(name), name, &axis.values});
  }
  return axes;
}

PointSettings settings_at(const std::vector<PlacedAxis>& axes, std::span<const size_t> at) {
  std::vector<std::pair<size_t, std::pair<std::string, std::string>>> placed;
  for (size_t i = 0; i < axes.size(); ++i) {
    placed.push_back({axes[i].place, {std::string(axes[i].variable), (*axes[i].values)[at[i]]}});
  }
  std::ranges::sort(placed);
  PointSettings settings;
  for (auto& [place, setting] : placed) settings.push_back(std::move(setting));
  return settings;
}

// Counts `at` on, the last axis fastest; false behind the last point.
bool advance(const std::vector<PlacedAxis>& axes, std::vector<size_t>& at) {
  for (size_t i = axes.size(); i-- > 0;) {
    if (++at[i] < axes[i].values->size()) return true;
    at[i] = 0;
  }
  return false;
}

std::string checksum_of(const PointSettings& settings) {
  Checksum sum;
  for (const auto& [variable, value] : settings) {
    const std::string text = fmt::format("{}={}\n", variable, value);
    sum.add(std::as_bytes(std::span(text)));
  }
  return sum.hex().substr(0, 16);
}

}  // namespace

std::vector<std::string> expand_value(std::string_view text, const std::string& spelled,
                                      Problems& problems) {
  text = trimmed(text);
  if (text.empty()) {
    problems.settings.push_back(fmt::format("{} has an empty value", spelled));
    return {};
  }
  if (!looks_like_range(text)) return {std::string(text)};
  const std::vector<std::string_view> parts = parts_of(text, ':');
  const auto first = whole_number(parts[0]), last = whole_number(parts[1]);
  const auto step = parts.size() > 2 ? whole_number(parts[2]) : std::optional<int64_t>(1);
  if (parts.size() > 3 || !first || !last || !step || *first < 0 || *step < 1 || *last < *first) {
    problems.settings.push_back(fmt::format(
        "{}: {} is not a range FIRST:LAST:STEP of whole numbers, such as 4:16:2", spelled, text));
    return {};
  }
  const int64_t steps = (*last - *first) / *step;
  if (steps >= static_cast<int64_t>(kMostPoints)) {
    problems.settings.push_back(
        fmt::format("{}: {} has more than {} values", spelled, text, kMostPoints));
    return {};
  }
  std::vector<std::string> values;
  for (int64_t i = 0; i <= steps; ++i) values.push_back(std::to_string(*first + i * *step));
  return values;
}

std::vector<std::string> expand_values(std::string_view text, const std::string& spelled,
                                       Problems& problems) {
  std::vector<std::string> values;
  for (const std::string_view part : parts_of(text, ',')) {
    std::ranges::move(expand_value(part, spelled, problems), std::back_inserter(values));
  }
  return values;
}

GridAxis parse_axis(std::string_view text, Problems& problems) {
  const size_t equals = text.find('=');
  const std::string_view variable = trimmed(text.substr(0, equals));
  if (equals == std::string_view::npos || variable.empty()) {
    problems.command_line.push_back(fmt::format("--set {} is not VARIABLE=value,value,...", text));
    return {};
  }
  return {std::string(variable),
          expand_values(text.substr(equals + 1), fmt::format("--set {}", text), problems)};
}

const OptionRow* find_variable(std::string_view variable) {
  if (variable.empty()) return nullptr;
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      if (row.variable == variable) return &row;
      if (std::ranges::find(row.aliases, variable) != row.aliases.end()) return &row;
    }
  }
  return nullptr;
}

std::string_view own_setting(const OptionRow& row) {
  const auto own = std::ranges::find(kSweepOwn, row.key(), &OwnSetting::key);
  return own == kSweepOwn.end() ? std::string_view() : own->instead;
}

std::vector<PointSettings> grid_points(const std::vector<Grid>& grids, Problems& problems) {
  std::vector<PointSettings> points;
  std::set<PointSettings> seen;
  for (const Grid& grid : grids) {
    const std::vector<PlacedAxis> axes = checked_axes(grid, problems);
    if (problems.any() || axes.empty()) continue;
    std::vector<size_t> at(axes.size(), 0);
    do {
      PointSettings settings = settings_at(axes, at);
      if (!seen.insert(settings).second) continue;
      points.push_back(std::move(settings));
      if (points.size() <= kMostPoints) continue;
      problems.settings.push_back(fmt::format("the grid has more than {} points", kMostPoints));
      return {};
    } while (advance(axes, at));
  }
  return points;
}

std::string other_settings(const PointSettings& settings) {
  std::string text;
  for (const auto& [variable, value] : settings) {
    if (variable == "MODEL_ARCH" || variable == "NLAYERS") continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", variable, value);
  }
  return text;
}

std::string point_name(const PointSettings& settings) {
  std::string name;
  bool plain = true;  // nothing was changed, and no value can be taken for another part
  for (const auto& [variable, value] : settings) {
    if (!name.empty()) name += '_';
    if (variable != "MODEL_ARCH") name += lower_case(variable);
    plain = plain && (variable == "MODEL_ARCH" || value.find('_') == std::string::npos);
    name += value;
  }
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && (std::isalnum(byte) || c == '-' || c == '+' || c == '.' || c == '_'))
      continue;
    c = '_';
    plain = false;
  }
  if (name.starts_with('.')) {
    name.front() = '_';
    plain = false;
  }
  if (plain && name.size() <= kLongestName) return name;
  return fmt::format("{}-{}", name.substr(0, kLongestName), checksum_of(settings));
}

}  // namespace borealis
