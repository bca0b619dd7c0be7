#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>

#include "base/median.h"
#include "model/flop_formulas.h"
#include "report/audit_parts.h"

namespace borealis {
namespace {

constexpr double kFollows = 2 * kSameValue;

struct Formula {
  const char* name;
  const FlopFormula& formula;
};
// Those that the reference logs.
const std::array kFormulas = {
    Formula{"the LM formula", flop_formula("lm")},
    Formula{"the formula that counts no keys and values", flop_formula("ds")}};

// How far a family's values are from each formula; its formula is the nearest of those that are
// near enough.
struct Errors {
  std::array<double, kFormulas.size()> of = {};

  size_t nearest() const { return static_cast<size_t>(std::ranges::min_element(of) - of.begin()); }
  bool follows(size_t formula) const { return of[formula] < kFollows; }
  bool follows_any() const { return follows(nearest()); }
};

class FormulaAudit {
 public:
  FormulaAudit(const AuditInput& input, std::vector<AuditFinding>& findings)
      : input_(input), findings_(findings) {}

  std::set<std::string> run() {
    std::map<std::string, std::vector<size_t>> families;
    for (size_t row = 0; row < input_.report.rows.size(); ++row) {
      const bool has_raw = !raw_tflops(row).empty() && !published_rates(input_, row).empty();
      if (has_raw && input_.report.rows[row].tflops.is_known() &&
          published_row_model(input_, row)) {
        families[input_.report.rows[row].family].push_back(row);
      }
    }
    for (const auto& [family, rows] : families) check_family(family, rows);
    check_column();
    return std::move(two_formulas_);
  }

 private:
  std::vector<double> raw_tflops(size_t row) const {
    return input_.match.values_of(PublishedQuantity::kTflops, row);
  }

  Errors errors_of(const std::vector<size_t>& rows,
                   const std::function<double(size_t)>& value) const {
    Errors errors;
    for (const size_t row : rows) {
      const auto model = published_row_model(input_, row);
      const double rate = median(published_rates(input_, row));
      for (size_t i = 0; i < kFormulas.size(); ++i) {
        const double expected =
            rate * kFormulas[i].formula.flops_per_token(*model, model->max_position_embeddings) *
            1e-12;
        errors.of[i] = std::max(errors.of[i], published_deviation(value(row), expected));
      }
    }
    return errors;
  }

  void check_family(const std::string& family, const std::vector<size_t>& rows) {
    const auto& all = input_.report.rows;
    const Errors shown = errors_of(rows, [&](size_t row) { return all[row].tflops.value; });
    const Errors raw = errors_of(rows, [&](size_t row) { return median(raw_tflops(row)); });
    std::vector<int64_t> lines;
    for (const size_t row : rows) lines.push_back(all[row].tflops.line);
    if (!shown.follows_any() || !raw.follows_any()) {
      findings_.push_back(
          {"formula",
           fmt::format("{}: {} TFLOPs follow from tokens per GPU by no known formula", family,
                       shown.follows_any() ? "the raw" : "the table's"),
           lines});
    } else if (shown.nearest() != raw.nearest() && !shown.follows(raw.nearest())) {
      two_formulas_.insert(family);
      findings_.push_back(
          {"formula",
           fmt::format(
               "{}: the table's TFLOPs follow {}, the raw data {} ({} layers: {} against {:.2f})",
               family, kFormulas[shown.nearest()].name, kFormulas[raw.nearest()].name,
               all[rows.front()].layers, all[rows.front()].tflops.text,
               raw_tflops(rows.front()).front()),
           lines});
    }
    if (shown.follows_any()) columns_[family] = shown;
  }

  // Of families that one formula does not suffice for.
  void check_column() {
    for (const auto& [family, errors] : columns_) {
      const auto& [first, other] = *columns_.begin();
      const bool share = errors.follows(other.nearest()) || other.follows(errors.nearest());
      if (share || two_formulas_.contains(family) || two_formulas_.contains(first)) continue;
      findings_.push_back({"formula",
                           fmt::format("the column TFLOPs follows {} for {} and {} for {}",
                                       kFormulas[other.nearest()].name, first,
                                       kFormulas[errors.nearest()].name, family),
                           {}});
    }
  }

  const AuditInput& input_;
  std::vector<AuditFinding>& findings_;
  std::map<std::string, Errors> columns_;
  std::set<std::string> two_formulas_;
};

// More than rounding and different samplings account for.
bool differ(const PublishedNumber& number, double value, double rounding) {
  return std::abs(number.value - value) >
         number.rounding() + rounding + kSameValue * std::abs(value);
}

}  // namespace

std::set<std::string> audit_formulas(const AuditInput& input, std::vector<AuditFinding>& findings) {
  return FormulaAudit(input, findings).run();
}

void audit_formula_table(const AuditInput& input, std::vector<AuditFinding>& findings) {
  using Name = std::tuple<std::string, int64_t, std::string>;
  std::map<Name, std::vector<size_t>> by_name;
  for (size_t row = 0; row < input.report.rows.size(); ++row) {
    const PublishedRow& one = input.report.rows[row];
    by_name[{one.family, one.layers, one.configuration.text}].push_back(row);
  }
  for (const PublishedFormulaRow& shown : input.report.formula_rows) {
    const auto found = by_name.find({shown.family, shown.layers, shown.configuration});
    if (found == by_name.end() || found->second.size() != 1) continue;
    const size_t row = found->second.front();
    const PublishedRow& result = input.report.rows[row];
    const auto lm = shown.tflops.find("lm");
    if (lm != shown.tflops.end() && result.tflops.is_known() &&
        differ(lm->second, result.tflops.value, result.tflops.rounding())) {
      findings.push_back({"formula",
                          fmt::format("{}: TFLOPs are {} in the table of results, and {} by lm in "
                                      "that of formulas",
                                      result.name(), result.tflops.text, lm->second.text),
                          {result.tflops.line, lm->second.line}});
    }
    const auto model = published_row_model(input, row);
    const std::vector<double> rates = published_rates(input, row);
    if (!model || rates.empty()) continue;
    for (const FlopFormula& formula : flop_formulas()) {
      const auto cell = shown.tflops.find(formula.key);
      if (cell == shown.tflops.end() || cell == lm) continue;
      const double value =
          median(rates) * formula.flops_per_token(*model, model->max_position_embeddings) * 1e-12;
      if (!differ(cell->second, value, 0)) continue;
      findings.push_back({"formula",
                          fmt::format("{}: TFLOPs by {} are {:.4g} from tokens per GPU, not {}",
                                      result.name(), formula.key, value, cell->second.text),
                          {cell->second.line}});
    }
  }
}

}  // namespace borealis
