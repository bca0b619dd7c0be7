#include "report/report_audit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "base/median.h"
#include "model/accounting.h"
#include "model/flop_formulas.h"

namespace borealis {
namespace {

// Rates and TFLOPs of one run are averaged over different samplings.
constexpr double kSameValue = 0.005;
constexpr double kLastStepNearMean = 0.05;

enum class Shown { kExact, kRounded, kTruncated, kOther };

// How a printed number comes from the value it stands for.
Shown how_shown(const PublishedNumber& number, double value) {
  const double unit = std::pow(10.0, number.decimals());
  const auto is = [&](double scaled) {
    return std::abs(number.value * unit - scaled) < 1e-6 * unit;
  };
  const bool rounded = is(std::round(value * unit)), truncated = is(std::trunc(value * unit));
  if (rounded && truncated) return Shown::kExact;
  if (rounded) return Shown::kRounded;
  return truncated ? Shown::kTruncated : Shown::kOther;
}

double deviation(double a, double b) { return std::abs(a - b) / std::max(std::abs(b), 1e-300); }

struct Formula {
  const char* name;
  const FlopFormula& formula;
};
// Those that the reference logs.
const Formula kFormulas[] = {{"the LM formula", flop_formula("lm")},
                             {"the formula that counts no keys and values", flop_formula("ds")}};

class Audit {
 public:
  Audit(const PublishedReport& report, std::optional<int64_t> vocab_size)
      : report_(report), vocab_size_(vocab_size) {}

  std::vector<AuditFinding> run() {
    check_formulas();
    check_divisions();
    check_column("tpgps", &PublishedRow::tokens_per_gpu,
                 [this](const PublishedRow& row) { return rates_of(row); });
    check_column("TFLOPs", &PublishedRow::tflops, [this](const PublishedRow& row) {
      return two_formulas_.contains(row.family) ? std::vector<double>() : tflops_of(row);
    });
    check_sizes();
    check_last_steps();
    check_missing();
    check_two_ways();
    return std::move(findings_);
  }

 private:
  void find(const char* kind, std::string text, std::vector<int64_t> lines) {
    findings_.push_back({kind, std::move(text), std::move(lines)});
  }

  // The divisor of the corrections: a global rate over it is a rank's.
  std::optional<double> ranks() const {
    if (report_.divisions.empty()) return std::nullopt;
    return report_.divisions.front().divisor.value;
  }

  // The global batch that most runs have is the table's.
  int64_t table_batch() const {
    std::map<int64_t, int64_t> counts;
    for (const PublishedList& list : report_.lists) {
      for (const PublishedRun& run : list.runs) ++counts[run.global_batch];
    }
    const auto most = std::ranges::max_element(counts, {}, [](const auto& c) { return c.second; });
    return most == counts.end() ? 0 : most->first;
  }

  std::vector<const PublishedRun*> runs_of(PublishedQuantity quantity, const std::string& family,
                                           int64_t layers) const {
    std::vector<const PublishedRun*> runs;
    for (const PublishedList& list : report_.lists) {
      if (list.quantity != quantity) continue;
      for (const PublishedRun& run : list.runs) {
        if (run.family == family && run.layers == layers && run.global_batch == table_batch()) {
          runs.push_back(&run);
        }
      }
    }
    return runs;
  }

  std::vector<double> tflops_of(const PublishedRow& row) const {
    std::vector<double> values;
    for (const auto* run : runs_of(PublishedQuantity::kTflops, row.family, row.layers)) {
      values.push_back(run->value.value);
    }
    return values;
  }

  // Global rates where there are some: the corrections say that those are meant.
  std::vector<double> rates_of(const PublishedRow& row) const {
    std::vector<double> values;
    if (const auto count = ranks()) {
      for (const auto* run : runs_of(PublishedQuantity::kTokens, row.family, row.layers)) {
        values.push_back(run->value.value / *count);
      }
    }
    if (!values.empty()) return values;
    for (const auto* run : runs_of(PublishedQuantity::kTokensPerGpu, row.family, row.layers)) {
      values.push_back(run->value.value);
    }
    return values;
  }

  std::optional<double> tflops_by(const Formula& formula, const PublishedRow& row) const {
    const auto model = published_model(report_, row.family, row.layers, vocab_size_);
    const std::vector<double> rates = rates_of(row);
    if (!model || rates.empty()) return std::nullopt;
    return median(rates) * formula.formula.flops_per_token(*model, model->max_position_embeddings) *
           1e-12;
  }

  // The formula that is nearest to all of a family's values; none if one of them is far from each.
  const Formula* formula_of(const std::vector<const PublishedRow*>& rows,
                            const std::function<double(const PublishedRow&)>& value) const {
    const Formula* best = nullptr;
    double best_error = 2 * kSameValue;
    for (const Formula& formula : kFormulas) {
      double error = 0;
      for (const PublishedRow* row : rows) {
        const auto expected = tflops_by(formula, *row);
        if (!expected) return nullptr;
        error = std::max(error, deviation(value(*row), *expected));
      }
      if (error < best_error) {
        best = &formula;
        best_error = error;
      }
    }
    return best;
  }

  void check_formulas() {
    std::map<std::string, std::vector<const PublishedRow*>> families;
    for (const PublishedRow& row : report_.rows) families[row.family].push_back(&row);
    std::map<std::string, const Formula*> columns;
    for (const auto& [family, rows] : families) {
      const bool has_raw =
          std::ranges::all_of(rows, [&](const auto* row) { return !tflops_of(*row).empty(); });
      const bool can_compute = std::ranges::all_of(
          rows, [&](const auto* row) { return tflops_by(kFormulas[0], *row).has_value(); });
      if (!has_raw || !can_compute) continue;
      const Formula* shown = formula_of(rows, [](const auto& row) { return row.tflops.value; });
      const Formula* raw =
          formula_of(rows, [&](const auto& row) { return median(tflops_of(row)); });
      std::vector<int64_t> lines;
      for (const PublishedRow* row : rows) lines.push_back(row->tflops.line);
      if (shown == nullptr || raw == nullptr) {
        find("formula",
             fmt::format("{}: {} TFLOPs follow from tokens per GPU by no known formula", family,
                         shown == nullptr ? "the table's" : "the raw"),
             lines);
      } else if (shown != raw) {
        two_formulas_.insert(family);
        find("formula",
             fmt::format("{}: the table's TFLOPs follow {}, the raw data {} ({} layers: {} against "
                         "{:.2f})",
                         family, shown->name, raw->name, rows.front()->layers,
                         rows.front()->tflops.text, tflops_of(*rows.front()).front()),
             lines);
      }
      if (shown != nullptr) columns[family] = shown;
    }
    for (const auto& [family, formula] : columns) {
      const auto& [first, other] = *columns.begin();
      if (formula == other || two_formulas_.contains(family) || two_formulas_.contains(first)) {
        continue;
      }
      find("formula",
           fmt::format("the column TFLOPs follows {} for {} and {} for {}", other->name, first,
                       formula->name, family),
           {});
    }
  }

  void check_divisions() {
    for (const PublishedDivision& division : report_.divisions) {
      const double exact = division.dividend.value / division.divisor.value;
      if (how_shown(division.quotient, exact) != Shown::kOther) continue;
      wrong_quotients_.push_back(division.quotient.value);
      find("division",
           fmt::format("{} / {} is {:.2f}, not {}", division.dividend.text, division.divisor.text,
                       exact, division.quotient.text),
           {division.quotient.line});
    }
  }

  // A column of the table against its raw data.
  void check_column(const char* name, PublishedNumber PublishedRow::*column,
                    const std::function<std::vector<double>(const PublishedRow&)>& values_of) {
    std::vector<std::string> rounded, truncated;
    std::vector<int64_t> lines;
    for (const PublishedRow& row : report_.rows) {
      const PublishedNumber& number = row.*column;
      std::optional<Shown> best;
      double nearest = 0;
      std::vector<double> values = values_of(row);
      if (values.size() > 1) values.push_back(median(values));  // what a row of several runs shows
      for (const double value : values) {
        const Shown shown = how_shown(number, value);
        if (!best || shown < *best) best = shown, nearest = value;
      }
      if (!best || *best == Shown::kExact) continue;
      const std::string words =
          fmt::format("{} x {}: {} for {:.3f}", row.family, row.layers, number.text, nearest);
      const bool of_wrong_quotient = std::ranges::any_of(wrong_quotients_, [&](double quotient) {
        return how_shown(number, quotient) != Shown::kOther;
      });
      if (*best == Shown::kOther) {
        if (!of_wrong_quotient) {
          find("value", fmt::format("{} of the table is not that of the raw data: {}", name, words),
               {number.line});
        }
        continue;
      }
      (*best == Shown::kRounded ? rounded : truncated).push_back(words);
      lines.push_back(number.line);
    }
    if (rounded.empty() || truncated.empty()) return;
    find("division",
         fmt::format("{} is rounded in some rows ({}) and truncated in others ({})", name,
                     fmt::join(rounded, "; "), fmt::join(truncated, "; ")),
         lines);
  }

  void check_sizes() {
    const auto check = [&](const std::string& family, int64_t layers, const PublishedNumber& size) {
      const auto model = published_model(report_, family, layers, vocab_size_);
      if (!model) return;
      const double billions = static_cast<double>(parameter_count(*model)) * 1e-9;
      if (how_shown(size, billions) != Shown::kOther) return;
      find("size",
           fmt::format("{} x {} has {:.9f} billion parameters by its architecture, not {}", family,
                       layers, billions, size.text),
           {size.line});
    };
    for (const PublishedRow& row : report_.rows) check(row.family, row.layers, row.size_billions);
    for (const PublishedList& list : report_.lists) {
      if (list.quantity != PublishedQuantity::kSize) continue;
      for (const PublishedRun& run : list.runs) check(run.family, run.layers, run.value);
    }
  }

  void check_last_steps() {
    for (const PublishedList& list : report_.lists) {
      // A report that says what these are contradicts nobody, however steps vary.
      if (list.title.find("last step") != std::string::npos) continue;
      for (const PublishedRun& run : list.runs) {
        if (run.last_step.text.empty() ||
            deviation(run.last_step.value, run.value.value) <= kLastStepNearMean) {
          continue;
        }
        find("last_step",
             fmt::format("{}: the last step's {} stands for a run whose mean is {:.2f}", run.name(),
                         run.last_step.text, run.value.value),
             {run.value.line});
      }
    }
  }

  // Every run in every kind of list.
  void check_missing() {
    struct Kind {
      const char* name;
      std::set<PublishedQuantity> quantities;
    };
    const Kind kinds[] = {
        {"TFLOPs", {PublishedQuantity::kTflops}},
        {"tokens per second", {PublishedQuantity::kTokens, PublishedQuantity::kTokensPerGpu}},
        {"model sizes", {PublishedQuantity::kSize}}};
    std::vector<const PublishedRun*> all;
    for (const PublishedList& list : report_.lists) {
      for (const PublishedRun& run : list.runs) {
        const bool known = std::ranges::any_of(
            all, [&](const PublishedRun* other) { return other->is_same_run(run); });
        if (!known) all.push_back(&run);
      }
    }
    for (const PublishedRun* run : all) {
      for (const Kind& kind : kinds) {
        bool any = false, there = false;
        for (const PublishedList& list : report_.lists) {
          if (!kind.quantities.contains(list.quantity)) continue;
          any = true;
          there |= std::ranges::any_of(
              list.runs, [&](const PublishedRun& other) { return other.is_same_run(*run); });
        }
        if (!any || there) continue;
        find("missing_row", fmt::format("{} is not in the list of {}", run->name(), kind.name),
             {run->value.line});
      }
    }
  }

  // A rate per GPU and a global rate of the same run.
  void check_two_ways() {
    const auto count = ranks();
    if (!count) return;
    for (const PublishedList& list : report_.lists) {
      if (list.quantity != PublishedQuantity::kTokens) continue;
      for (const PublishedRun& run : list.runs) {
        for (const auto* other :
             runs_of(PublishedQuantity::kTokensPerGpu, run.family, run.layers)) {
          if (!other->is_same_run(run) ||
              deviation(other->value.value, run.value.value / *count) <= kSameValue) {
            continue;
          }
          find("value",
               fmt::format("{}: {} tokens per GPU, and {} in all over {} are {:.2f}", run.name(),
                           other->value.text, run.value.text, *count, run.value.value / *count),
               {other->value.line, run.value.line});
        }
      }
    }
  }

  const PublishedReport& report_;
  std::optional<int64_t> vocab_size_;
  std::set<std::string> two_formulas_;
  std::vector<double> wrong_quotients_;
  std::vector<AuditFinding> findings_;
};

}  // namespace

std::optional<ModelConfig> published_model(const PublishedReport& report, const std::string& family,
                                           int64_t layers, std::optional<int64_t> vocab_size) {
  const auto found = report.architectures.find(family);
  if (found == report.architectures.end()) return std::nullopt;
  const auto value = [&](const char* name, int64_t otherwise = 0) {
    const auto at = found->second.values.find(name);
    return at == found->second.values.end() ? otherwise : at->second;
  };
  constexpr int64_t kMost = int64_t{1} << 24;  // so that products stay in 63 bits
  ModelConfig model;
  model.num_hidden_layers = layers;
  model.hidden_size = value("HIDDEN");
  model.num_attention_heads = value("HEADS");
  model.num_key_value_heads = value("NUM_KV_HEAD");
  model.intermediate_size = value("FFN_HIDDEN_SIZE");
  model.vocab_size = value("VOCAB_SIZE", vocab_size.value_or(0));
  model.head_dim =
      value("HEAD_DIM",
            model.num_attention_heads > 0 ? model.hidden_size / model.num_attention_heads : 0);
  model.tie_word_embeddings = value("TIED_EMBEDDINGS") != 0;
  for (const int64_t size :
       {layers, model.hidden_size, model.num_attention_heads, model.num_key_value_heads,
        model.intermediate_size, model.vocab_size, model.head_dim, value("SEQ")}) {
    if (size < 1 || size > kMost) return std::nullopt;
  }
  model.max_position_embeddings = value("SEQ");
  model.rope_on_layer.assign(static_cast<size_t>(std::min<int64_t>(layers, kMost)), true);
  return model;
}

std::vector<AuditFinding> audit_report(const PublishedReport& report,
                                       std::optional<int64_t> vocab_size) {
  return Audit(report, vocab_size).run();
}

}  // namespace borealis
