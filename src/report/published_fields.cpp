#include "report/published_fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/not_a_number.h"
#include "base/text.h"

namespace borealis {
namespace {

// Of both ways to escape a name only this is left.
std::string plain_name(std::string_view name) {
  std::string plain;
  while (!name.empty()) {
    if (name.starts_with("&lt;")) {
      plain += '<';
      name.remove_prefix(4);
      continue;
    }
    if (std::string_view(" \t,[]:").find(name.front()) == std::string_view::npos) {
      plain += name.front();
    }
    name.remove_prefix(1);
  }
  return lower_case(plain);
}

bool is_number_of_layers(std::string_view text) {
  constexpr std::string_view kMark = "-nLayers";
  return text.starts_with(kMark) && published_integer(text.substr(kMark.size()));
}

PublishedNumber number_or_none(std::string_view text, int64_t line) {
  return published_number(text, line)
      .value_or(PublishedNumber{std::string(trimmed(text)), kNaN, line});
}

// "AMD EPYC" of "AMD EPYC, 2 cores".
std::string_view without_cores(std::string_view name) {
  const size_t comma = name.rfind(", ");
  if (comma == std::string_view::npos) return name;
  const std::string_view cores = name.substr(comma + 2);
  const size_t space = cores.find(' ');
  const bool counts = space != std::string_view::npos && cores.substr(space).starts_with(" core") &&
                      published_integer(cores.substr(0, space));
  return counts ? name.substr(0, comma) : name;
}

// What a row may differ from others in (publish/performance_report.h): a variable, a flag, or one
// of the words for what has neither.
bool is_feature(std::string_view name) {
  constexpr std::array<std::string_view, 5> kWords = {"instruction set", "head dimension",
                                                      "vocabulary", "head", "threads"};
  const bool is_variable = !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  return is_variable || name.starts_with("--") || std::ranges::find(kWords, name) != kWords.end();
}

void take_named_run(std::string_view text, std::string_view& name, std::optional<int64_t>& batch,
                    PublishedRun& run) {
  name = text_between(text, "env.MODEL_ARCH:", ",");
  if (name.empty()) return;
  batch = published_integer(text_between(text, "args.global_batch_size:", ","));
  run.hosts = published_integer(text_between(text, "env.NHOSTS:", ",")).value_or(0);
  run.machine = published_machine(text_between(text, "machine:", ","));
  constexpr std::string_view kStart = "created_at:";
  const size_t at = text.find(kStart);
  if (at == std::string_view::npos) return;
  const std::string_view rest = trimmed(text.substr(at + kStart.size()));
  run.stamp = rest.substr(0, rest.find_first_of(" \t"));
}

// "[NHOST:2][MB:1][GAS:2][GB:48] ... [id:machine, hosts, name, batch, stamp]".
void take_tagged_run(std::string_view text, std::string_view& name, std::optional<int64_t>& batch,
                     PublishedRun& run) {
  std::vector<std::string_view> parts;
  for (std::string_view rest = text_between(text, "[id:", "]"); !rest.empty();) {
    const size_t comma = rest.find(',');
    parts.push_back(trimmed(rest.substr(0, comma)));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  if (parts.size() != 5) return;
  run.machine = published_machine(parts[0]);
  run.hosts = published_integer(parts[1]).value_or(0);
  name = parts[2];
  batch = published_integer(parts[3]);
  run.stamp = parts[4];
  const auto tag = [text](std::string_view mark) {
    return published_integer(text_between(text, mark, "]")).value_or(0);
  };
  run.tagged_hosts = tag("[NHOST:");
  run.micro_batch = tag("[MB:");
  run.accumulation = tag("[GAS:");
  run.tagged_batch = tag("[GB:");
}

}  // namespace

std::string_view text_between(std::string_view text, std::string_view before,
                              std::string_view after) {
  const size_t begin = text.find(before);
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = text.substr(begin + before.size());
  const size_t end = rest.find(after);
  return end == std::string_view::npos ? std::string_view() : trimmed(rest.substr(0, end));
}

std::optional<int64_t> published_integer(std::string_view text) {
  const std::string_view digits = trimmed(text);
  int64_t value = 0;
  const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (code != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::optional<PublishedNumber> published_number(std::string_view text, int64_t line) {
  std::string digits(trimmed(text));
  std::erase(digits, ',');
  PublishedNumber number{std::string(trimmed(text)), 0, line};
  const char* const end = digits.data() + digits.size();
  const auto [stop, code] = std::from_chars(digits.data(), end, number.value);
  if (code != std::errc() || stop != end || !std::isfinite(number.value)) return std::nullopt;
  return number;
}

std::string published_family(std::string_view name) {
  name = trimmed(name);
  const size_t layers = std::min(name.rfind("-nLayers"), name.size());
  return plain_name(is_number_of_layers(name.substr(layers)) ? name.substr(0, layers) : name);
}

std::string published_machine(std::string_view name) {
  return plain_name(without_cores(trimmed(name)));
}

std::vector<std::string> published_cells(std::string_view line) {
  line = trimmed(line);
  if (!line.starts_with('|')) return {};
  line.remove_prefix(1);
  std::vector<std::string> cells;
  std::string cell;
  for (size_t at = 0; at < line.size(); ++at) {
    const bool is_escape =
        line[at] == '\\' && at + 1 < line.size() &&
        std::string_view("\\|`*_[]").find(line[at + 1]) != std::string_view::npos;
    if (is_escape) {
      cell += line[++at];
    } else if (line[at] == '|') {
      cells.emplace_back(trimmed(cell));
      cell.clear();
    } else {
      cell += line[at];
    }
  }
  if (!trimmed(cell).empty()) cells.emplace_back(trimmed(cell));
  return cells;
}

PublishedConfiguration published_configuration(const std::string& cell) {
  PublishedConfiguration configuration;
  configuration.text = cell;
  std::string last;  // the variable whose value a part without one goes on with
  for (std::string_view rest = cell; !rest.empty();) {
    const size_t comma = rest.find(", ");
    const std::string_view part = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 2);
    const size_t equals = part.find('=');
    const std::string name(part.substr(0, equals));
    if (equals != std::string_view::npos && is_feature(name)) {
      configuration.values[name] = part.substr(equals + 1);
      last = name;
      continue;
    }
    std::string& text = last.empty() ? configuration.machine : configuration.values[last];
    if (!text.empty()) text += ", ";
    text += part;
  }
  return configuration;
}

PublishedRange published_range(std::string_view cell, int64_t line) {
  constexpr std::string_view kTo = " to ";
  const size_t to = cell.find(kTo);
  if (to == std::string_view::npos) {
    return {number_or_none(cell, line), PublishedNumber{std::string(cell), kNaN, line}};
  }
  return {number_or_none(cell.substr(0, to), line),
          number_or_none(cell.substr(to + kTo.size()), line)};
}

std::optional<PublishedRun> published_run(std::string_view text, int64_t line) {
  PublishedRun run;
  std::string_view name;
  std::optional<int64_t> batch;
  take_named_run(text, name, batch, run);
  if (name.empty()) take_tagged_run(text, name, batch, run);
  const size_t layers_at = name.rfind("nLayers");
  if (layers_at == std::string_view::npos || !batch) return std::nullopt;
  const auto layers = published_integer(name.substr(layers_at + 7));
  const size_t value_at = text.find_last_of(" \t");
  if (!layers || value_at == std::string_view::npos) return std::nullopt;
  const std::string_view value = text.substr(value_at + 1);
  run.value = number_or_none(value, line);
  // What was not measured stands there as nan; anything else makes the line text.
  if (!run.value.is_known() && value != "nan" && value != "-nan") return std::nullopt;
  run.family = published_family(name);
  run.layers = *layers;
  run.global_batch = *batch;
  if (const auto last = published_number(text_between(text, "[TFLOPS-lm:", "]"), line)) {
    run.last_step = *last;
  }
  return run;
}

std::optional<PublishedDivision> published_division(std::string_view text, int64_t line) {
  const size_t slash = text.find(" / "), equals = text.find(" = ");
  if (slash == std::string_view::npos || equals == std::string_view::npos || equals < slash) {
    return std::nullopt;
  }
  const auto dividend = published_number(text.substr(0, slash), line);
  const auto divisor = published_number(text.substr(slash + 3, equals - slash - 3), line);
  const auto quotient = published_number(text.substr(equals + 3), line);
  if (!dividend || !divisor || !quotient || divisor->value == 0) return std::nullopt;
  return PublishedDivision{*dividend, *divisor, *quotient};
}

}  // namespace borealis
