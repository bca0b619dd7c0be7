#include "report/published_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"

namespace borealis {
namespace {

// What stands between two marks; nothing if one is missing.
std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
  const size_t begin = text.find(before);
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = text.substr(begin + before.size());
  const size_t end = rest.find(after);
  return end == std::string_view::npos ? std::string_view() : trimmed(rest.substr(0, end));
}

// "8018", "66.75", "5,780.71"; not "nan", nor what only begins with a number.
std::optional<PublishedNumber> number_of(std::string_view text, int64_t line) {
  std::string digits(trimmed(text));
  std::erase(digits, ',');
  PublishedNumber number{std::string(trimmed(text)), 0, line};
  const char* const end = digits.data() + digits.size();
  const auto [stop, code] = std::from_chars(digits.data(), end, number.value);
  if (code != std::errc() || stop != end || !std::isfinite(number.value)) return std::nullopt;
  return number;
}

std::optional<int64_t> integer_of(std::string_view text) {
  const std::string_view digits = trimmed(text);
  int64_t value = 0;
  const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (code != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// "llama3-3b" of "llama3-3B-nLayers14".
std::string family_of(std::string_view name) {
  return lower_case(trimmed(name.substr(0, name.rfind("-nLayers"))));
}

// Runs and architectures whose family the table does not have are of the one with the name's first
// part: the table says "Llama3", the runs "llama3-3B".
void match_families(PublishedReport& report) {
  std::set<std::string> known;
  for (const PublishedRow& row : report.rows) known.insert(row.family);
  const auto match = [&known](const std::string& family) {
    return known.contains(family) ? family : family.substr(0, family.find('-'));
  };
  for (PublishedList& list : report.lists) {
    for (PublishedRun& run : list.runs) run.family = match(run.family);
  }
  std::map<std::string, PublishedArchitecture> architectures;
  for (auto& [family, one] : report.architectures) architectures[match(family)] = std::move(one);
  report.architectures = std::move(architectures);
}

std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  line = trimmed(line);
  if (!line.starts_with('|')) return cells;
  line.remove_prefix(1);
  while (!line.empty()) {
    const size_t end = line.find('|');
    cells.push_back(trimmed(line.substr(0, end)));
    if (end == std::string_view::npos) break;
    line.remove_prefix(end + 1);
  }
  return cells;
}

std::optional<PublishedRow> row_of(std::string_view text, int64_t line) {
  const std::vector<std::string_view> cells = cells_of(text);
  if (cells.size() < 5) return std::nullopt;
  const auto layers = integer_of(cells[1]);
  const auto size = number_of(cells[2], line), rate = number_of(cells[3], line),
             tflops = number_of(cells[4], line);
  if (!layers || !size || !rate || !tflops) return std::nullopt;
  return PublishedRow{family_of(cells[0]), *layers, *size, *rate, *tflops};
}

// "<name>-nLayers<n>" of a run, and what else names it.
std::optional<PublishedRun> run_of(std::string_view text, int64_t line) {
  PublishedRun run;
  std::string_view name = between(text, "env.MODEL_ARCH:", ",");
  std::optional<int64_t> batch;
  if (!name.empty()) {
    batch = integer_of(between(text, "args.global_batch_size:", ","));
    run.hosts = integer_of(between(text, "env.NHOSTS:", ",")).value_or(0);
    const std::string_view rest =
        trimmed(text.substr(std::min(text.size(), text.find("created_at:") + 11)));
    run.stamp = rest.substr(0, rest.find_first_of(" \t"));
  } else {
    const std::string_view id = between(text, "[id:", "]");  // machine, hosts, name, batch, stamp
    std::vector<std::string_view> parts;
    for (std::string_view rest = id; !rest.empty();) {
      const size_t comma = rest.find(',');
      parts.push_back(trimmed(rest.substr(0, comma)));
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
    if (parts.size() != 5) return std::nullopt;
    run.hosts = integer_of(parts[1]).value_or(0);
    name = parts[2];
    batch = integer_of(parts[3]);
    run.stamp = parts[4];
  }
  const size_t layers_at = name.rfind("nLayers");
  if (layers_at == std::string_view::npos || !batch) return std::nullopt;
  const auto layers = integer_of(name.substr(layers_at + 7));
  const size_t value_at = text.find_last_of(" \t");
  const auto value = value_at == std::string_view::npos
                         ? std::nullopt
                         : number_of(text.substr(value_at + 1), line);
  if (!layers || !value) return std::nullopt;
  run.family = family_of(name);
  run.layers = *layers;
  run.global_batch = *batch;
  run.value = *value;
  if (const auto last = number_of(between(text, "[TFLOPS-lm:", "]"), line)) run.last_step = *last;
  return run;
}

std::optional<PublishedDivision> division_of(std::string_view text, int64_t line) {
  const size_t slash = text.find(" / "), equals = text.find(" = ");
  if (slash == std::string_view::npos || equals == std::string_view::npos || equals < slash) {
    return std::nullopt;
  }
  const auto dividend = number_of(text.substr(0, slash), line);
  const auto divisor = number_of(text.substr(slash + 3, equals - slash - 3), line);
  const auto quotient = number_of(text.substr(equals + 3), line);
  if (!dividend || !divisor || !quotient || divisor->value == 0) return std::nullopt;
  return PublishedDivision{*dividend, *divisor, *quotient};
}

bool contains_word(std::string_view title, std::string_view word) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  return !std::ranges::search(title, word, same).empty();
}

PublishedQuantity quantity_of(std::string_view title, std::string_view line) {
  if (line.find("[TFLOPS-lm:") != std::string_view::npos) return PublishedQuantity::kTflops;
  if (line.find("[nlayers:") != std::string_view::npos) return PublishedQuantity::kSize;
  if (contains_word(title, "global")) return PublishedQuantity::kTokens;
  if (contains_word(title, "tokens")) return PublishedQuantity::kTokensPerGpu;
  return contains_word(title, "size") ? PublishedQuantity::kSize : PublishedQuantity::kTflops;
}

// The value of "VARIABLE=value" in a line of a command.
std::optional<std::string_view> variable_of(std::string_view line, std::string_view assignment) {
  const size_t at = line.find(assignment);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view value = line.substr(at + assignment.size());
  return value.substr(0, value.find_first_of(" \t\\"));
}

class Parser {
 public:
  PublishedReport report;

  void take(std::string_view text, int64_t line) {
    const std::string_view bare = trimmed(text);
    if (bare.starts_with("```")) {
      fence(bare.substr(3), line);
      return;
    }
    if (!in_block_) {
      take_table_line(bare, line);
      if (bare.starts_with("- ")) title_ = bare.substr(2);
      return;
    }
    if (const auto tokenizer = variable_of(bare, "TOKENIZER_MODEL=")) {
      report.tokenizer_model = *tokenizer;
    }
    if (const auto size = variable_of(bare, "MICRO_BATCH=")) {
      report.micro_batch_size = integer_of(*size).value_or(report.micro_batch_size);
    }
    if (architecture_ != nullptr) {
      const size_t colon = bare.find(':');
      if (colon == std::string_view::npos) return;
      if (const auto value = integer_of(bare.substr(colon + 1))) {
        architecture_->values[std::string(trimmed(bare.substr(0, colon)))] = *value;
      }
      return;
    }
    if (auto division = division_of(bare, line)) {
      report.divisions.push_back(std::move(*division));
    } else if (auto run = run_of(bare, line)) {
      add(std::move(*run), quantity_of(title_, bare));
    }
  }

 private:
  // Tables of other columns are passed over.
  void take_table_line(std::string_view bare, int64_t line) {
    const std::vector<std::string_view> cells = cells_of(bare);
    if (cells.empty()) {
      in_results_ = false;
    } else if (cells.size() >= 5 && cells[3].find("tpgps") != std::string_view::npos) {
      in_results_ = true;
    } else if (auto row = in_results_ ? row_of(bare, line) : std::nullopt) {
      report.rows.push_back(std::move(*row));
    }
  }
  void fence(std::string_view name, int64_t line) {
    in_block_ = !in_block_;
    architecture_ = nullptr;
    list_is_open_ = false;
    const size_t mark = name.find("-architecture");
    if (!in_block_ || mark == std::string_view::npos) return;
    architecture_ = &report.architectures[family_of(name.substr(0, mark))];
    architecture_->line = line;
  }
  void add(PublishedRun run, PublishedQuantity quantity) {
    if (!list_is_open_) report.lists.push_back({quantity, std::string(title_), {}});
    list_is_open_ = true;
    report.lists.back().runs.push_back(std::move(run));
  }

  bool in_block_ = false;
  bool in_results_ = false;  // in the table of results
  bool list_is_open_ = false;
  std::string_view title_;
  PublishedArchitecture* architecture_ = nullptr;
};

}  // namespace

int PublishedNumber::decimals() const {
  const size_t point = text.find('.');
  return point == std::string::npos ? 0 : static_cast<int>(text.size() - point - 1);
}

std::string PublishedRun::name() const {
  return fmt::format("{} x {}, global batch {}, {}", family, layers, global_batch, stamp);
}

bool PublishedRun::is_same_run(const PublishedRun& other) const {
  return family == other.family && layers == other.layers && global_batch == other.global_batch &&
         stamp == other.stamp;
}

PublishedReport parse_published_report(std::string_view text, const std::string& path) {
  Parser parser;
  for (int64_t line = 1; !text.empty(); ++line) {
    const size_t end = text.find('\n');
    parser.take(text.substr(0, end), line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (parser.report.rows.empty()) {
    throw Error(ErrorKind::kData, fmt::format("{} has no table of results", path),
                "its rows read | model-arch | nlayers | model size (B) | tpgps | TFLOPs |");
  }
  match_families(parser.report);
  return std::move(parser.report);
}

}  // namespace borealis
