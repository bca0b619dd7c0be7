#include "report/published_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "report/published_fields.h"

namespace borealis {
namespace {

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
  std::map<std::string, std::vector<PublishedArchitecture>> architectures;
  for (auto& [family, several] : report.architectures) {
    auto& matched = architectures[match(family)];
    std::ranges::move(several, std::back_inserter(matched));
  }
  report.architectures = std::move(architectures);
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

// "1 975 544" in front of a text: groups of three, as sentences write counts.
std::optional<PublishedCount> count_before(std::string_view text, int64_t line) {
  std::string digits;
  for (size_t at = 0; at < text.size(); ++at) {
    const bool goes_on = text[at] == ' ' && at + 1 < text.size() &&
                         std::isdigit(static_cast<unsigned char>(text[at + 1])) != 0;
    if (goes_on) continue;
    if (std::isdigit(static_cast<unsigned char>(text[at])) == 0) break;
    digits += text[at];
  }
  const auto value = published_integer(digits);
  return value ? std::optional(PublishedCount{*value, line}) : std::nullopt;
}

// Which column of a table is which, by its header.
class Columns {
 public:
  Columns() = default;
  explicit Columns(std::vector<std::string> header) : header_(std::move(header)) {}

  // None: the table has no such column, or the row none there.
  std::optional<std::string> cell(const std::vector<std::string>& row,
                                  std::string_view name) const {
    const auto at = static_cast<size_t>(std::ranges::find(header_, name) - header_.begin());
    return at < header_.size() && at < row.size() ? std::optional(row[at]) : std::nullopt;
  }
  const std::vector<std::string>& header() const { return header_; }

 private:
  std::vector<std::string> header_;
};

std::optional<PublishedRow> row_of(const std::vector<std::string>& cells, const Columns& columns,
                                   int64_t line) {
  if (cells.size() < 5) return std::nullopt;
  const auto layers = published_integer(cells[1]);
  const auto number = [&](const std::string& cell) {
    return published_number(cell, line)
        .value_or(PublishedNumber{cell, std::numeric_limits<double>::quiet_NaN(), line});
  };
  PublishedRow row;
  row.family = published_family(cells[0]);
  row.size_billions = number(cells[2]);
  row.tokens_per_gpu = number(cells[3]);
  row.tflops = number(cells[4]);
  const bool any =
      row.size_billions.is_known() || row.tokens_per_gpu.is_known() || row.tflops.is_known();
  if (!layers || !any) return std::nullopt;
  row.layers = *layers;
  if (const auto range = columns.cell(cells, "tpgps, min to max")) {
    row.tokens_per_gpu_range = published_range(*range, line);
  }
  if (const auto range = columns.cell(cells, "TFLOPs, min to max")) {
    row.tflops_range = published_range(*range, line);
  }
  if (const auto runs = columns.cell(cells, "runs")) row.runs = published_integer(*runs);
  if (const auto text = columns.cell(cells, "configuration")) {
    row.configuration = published_configuration(*text);
  }
  return row;
}

std::optional<PublishedFormulaRow> formula_row_of(const std::vector<std::string>& cells,
                                                  const Columns& columns, int64_t line) {
  const auto layers = cells.size() < 3 ? std::nullopt : published_integer(cells[1]);
  if (!layers) return std::nullopt;
  PublishedFormulaRow row{
      published_family(cells[0]), *layers, columns.cell(cells, "configuration").value_or(""), {}};
  const std::vector<std::string>& header = columns.header();
  for (size_t at = 2; at < std::min(cells.size(), header.size()); ++at) {
    const auto number = published_number(cells[at], line);
    if (number && header[at] != "configuration") row.tflops.emplace(header[at], *number);
  }
  return row;
}

// How a block of a published report began, "```bash".
struct Fence {
  size_t length = 0;  // of its backticks; 0: no block is open
  std::string_view name;
};

class Parser {
 public:
  PublishedReport report;

  void take(std::string_view text, int64_t line) {
    const std::string_view bare = trimmed(text);
    const size_t backticks = std::min(bare.find_first_not_of('`'), bare.size());
    const bool opens = fence_.length == 0 && backticks >= 3;
    const bool closes = fence_.length > 0 && backticks >= fence_.length && backticks == bare.size();
    if (opens || closes) {
      take_fence({opens ? backticks : 0, bare.substr(backticks)}, line);
    } else if (fence_.length == 0) {
      take_table_line(bare, line);
      take_sentence(bare, line);
      if (bare.starts_with("- ")) title_ = bare.substr(2);
    } else if (architecture_ != nullptr) {
      take_value(bare);
    } else if (title_.starts_with("Variables that all runs have in common")) {
      take_common_variable(bare, line);
    } else {
      take_block_line(bare, line);
    }
  }

 private:
  void take_fence(Fence fence, int64_t line) {
    fence_ = fence;
    architecture_ = nullptr;
    list_is_open_ = false;
    in_results_ = in_formulas_ = false;
    const size_t mark = fence.name.rfind("-architecture");
    if (fence.length == 0 || mark == std::string_view::npos) return;
    const std::vector<std::string> name =
        published_cells(fmt::format("|{}|", fence.name.substr(0, mark)));
    auto& several = report.architectures[published_family(name.empty() ? "" : name.front())];
    several.push_back({{}, line});
    architecture_ = &several.back();
  }

  // Tables of other columns are passed over.
  void take_table_line(std::string_view bare, int64_t line) {
    const std::vector<std::string> cells = published_cells(bare);
    if (cells.empty()) {
      in_results_ = in_formulas_ = false;
    } else if (cells.size() >= 5 && cells[3].find("tpgps") != std::string::npos) {
      in_results_ = true;
      columns_ = Columns(cells);
    } else if (cells.front() == "model-arch" && std::ranges::find(cells, "lm") != cells.end()) {
      in_formulas_ = true;
      columns_ = Columns(cells);
    } else if (auto row = in_results_ ? row_of(cells, columns_, line) : std::nullopt) {
      report.rows.push_back(std::move(*row));
    } else if (auto formula = in_formulas_ ? formula_row_of(cells, columns_, line) : std::nullopt) {
      report.formula_rows.push_back(std::move(*formula));
    }
  }

  // "3 configurations of 6 runs in bf16 on ..."; "behind its first 2 ... Together that is 24
  // steps."
  void take_sentence(std::string_view bare, int64_t line) {
    const std::string_view runs = bare.substr(std::min(bare.find(" of "), bare.size()));
    if (const auto count = count_before(bare, line);
        count && text_between(bare, " ", " of ").starts_with("configuration") &&
        runs.find(" run") != std::string_view::npos) {
      report.configurations = count;
      report.runs = count_before(runs.substr(4), line);
    }
    constexpr std::string_view kSteps = "Together that is ", kWarmup = "behind its first ";
    const size_t steps = bare.find(kSteps), warmup = bare.find(kWarmup);
    if (steps == std::string_view::npos || warmup == std::string_view::npos) return;
    report.steps = count_before(bare.substr(steps + kSteps.size()), line);
    // Of several, "1 or 3", the first is the least.
    if (const auto first = count_before(bare.substr(warmup + kWarmup.size()), line)) {
      report.warmup_steps = first->value;
    }
  }

  // "HEADS: 24".
  void take_value(std::string_view bare) {
    const size_t colon = bare.find(':');
    if (colon == std::string_view::npos) return;
    if (const auto value = published_integer(bare.substr(colon + 1))) {
      architecture_->values[std::string(trimmed(bare.substr(0, colon)))] = *value;
    }
  }
  void take_common_variable(std::string_view bare, int64_t line) {
    const size_t colon = bare.find(": ");
    if (colon == std::string_view::npos) return;
    if (const auto value = published_integer(bare.substr(colon + 2))) {
      report.common.emplace(bare.substr(0, colon), PublishedCount{*value, line});
    }
  }

  void take_block_line(std::string_view bare, int64_t line) {
    if (const auto tokenizer = variable_of(bare, "TOKENIZER_MODEL=")) {
      report.tokenizer_model = *tokenizer;
    }
    if (const auto size = variable_of(bare, "MICRO_BATCH=")) {
      report.micro_batch_size = published_integer(*size).value_or(report.micro_batch_size);
    }
    if (auto division = published_division(bare, line)) {
      report.divisions.push_back(std::move(*division));
    } else if (auto run = published_run(bare, line)) {
      add(std::move(*run), quantity_of(title_, bare));
    }
  }
  void add(PublishedRun run, PublishedQuantity quantity) {
    if (!list_is_open_) report.lists.push_back({quantity, std::string(title_), {}});
    list_is_open_ = true;
    report.lists.back().runs.push_back(std::move(run));
  }

  Fence fence_;
  Columns columns_;
  bool in_results_ = false;   // in the table of results
  bool in_formulas_ = false;  // in that of TFLOPs by formula
  bool list_is_open_ = false;
  std::string_view title_;
  PublishedArchitecture* architecture_ = nullptr;
};

}  // namespace

int PublishedNumber::decimals() const {
  const size_t point = text.find('.');
  return point == std::string::npos ? 0 : static_cast<int>(text.size() - point - 1);
}

bool PublishedNumber::is_known() const { return std::isfinite(value); }

double PublishedNumber::rounding() const { return 0.5 * std::pow(10.0, -decimals()); }

std::optional<int64_t> PublishedConfiguration::number(const std::string& variable) const {
  const auto found = values.find(variable);
  return found == values.end() ? std::nullopt : published_integer(found->second);
}

std::string PublishedRow::name() const {
  const std::string name = fmt::format("{} x {}", family, layers);
  return configuration.text.empty() ? name : fmt::format("{}, {}", name, configuration.text);
}

std::string PublishedRun::name() const {
  return fmt::format("{} x {}, global batch {}, {}", family, layers, global_batch, stamp);
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
