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
#include "report/audit_parts.h"

namespace borealis {
namespace {

constexpr double kLastStepNearMean = 0.05;

enum class Shown { kExact, kRounded, kTruncated, kOther };

// How a printed number comes from the value it stands for.
Shown how_shown(const PublishedNumber& number, double value) {
  const double unit = std::pow(10.0, number.decimals());
  const double slack = 1e-6 + 1e-12 * std::abs(value * unit);
  const double off = std::abs(number.value * unit - value * unit);
  const bool rounded = off <= 0.5 + slack;  // a tie may have gone either way
  const bool truncated = std::abs(number.value * unit - std::trunc(value * unit)) <= slack;
  if (rounded && truncated) return Shown::kExact;
  if (rounded) return Shown::kRounded;
  return truncated ? Shown::kTruncated : Shown::kOther;
}

class Audit {
 public:
  explicit Audit(const AuditInput& input) : input_(input), report_(input.report) {}

  std::vector<AuditFinding> run() {
    two_formulas_ = audit_formulas(input_, findings_);
    audit_formula_table(input_, findings_);
    check_divisions();
    check_column("tpgps", &PublishedRow::tokens_per_gpu,
                 [this](size_t row) { return published_rates(input_, row); });
    check_column("TFLOPs", &PublishedRow::tflops, [this](size_t row) {
      return two_formulas_.contains(report_.rows[row].family)
                 ? std::vector<double>()
                 : input_.match.values_of(PublishedQuantity::kTflops, row);
    });
    audit_ranges(input_, findings_);
    check_sizes();
    check_last_steps();
    check_missing();
    check_two_ways();
    audit_configuration(input_, findings_);
    audit_counts(input_, findings_);
    return std::move(findings_);
  }

 private:
  void find(const char* kind, std::string text, std::vector<int64_t> lines) {
    findings_.push_back({kind, std::move(text), std::move(lines)});
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
                    const std::function<std::vector<double>(size_t)>& values_of) {
    std::vector<std::string> rounded, truncated;
    std::vector<int64_t> lines;
    for (size_t row = 0; row < report_.rows.size(); ++row) {
      const PublishedNumber& number = report_.rows[row].*column;
      const std::vector<double> values = shown_values(row, values_of(row));
      if (values.empty()) continue;
      if (!number.is_known()) {
        find("value",
             fmt::format("{} of {} is {}, no number; the raw data has {:.3f}", name,
                         report_.rows[row].name(), number.text, values.back()),
             {number.line});
        continue;
      }
      const auto nearest = std::ranges::min_element(
          values, {}, [&](double value) { return how_shown(number, value); });
      const Shown shown = how_shown(number, *nearest);
      const std::string words =
          fmt::format("{}: {} for {:.3f}", report_.rows[row].name(), number.text, *nearest);
      if (shown == Shown::kOther) {
        if (!is_of_wrong_quotient(number)) {
          find("value", fmt::format("{} of the table is not that of the raw data: {}", name, words),
               {number.line});
        }
      } else if (shown != Shown::kExact) {
        (shown == Shown::kRounded ? rounded : truncated).push_back(words);
        lines.push_back(number.line);
      }
    }
    if (rounded.empty() || truncated.empty()) return;
    find("division",
         fmt::format("{} is rounded in some rows ({}) and truncated in others ({})", name,
                     fmt::join(rounded, "; "), fmt::join(truncated, "; ")),
         lines);
  }

  // Values that a row of these runs may show: where it says how many they are, their median.
  std::vector<double> shown_values(size_t row, std::vector<double> values) const {
    if (values.size() < 2) return values;
    const double middle = median(values);
    if (report_.rows[row].runs) return {middle};
    values.push_back(middle);
    return values;
  }

  bool is_of_wrong_quotient(const PublishedNumber& number) const {
    return std::ranges::any_of(wrong_quotients_, [&](double quotient) {
      return how_shown(number, quotient) != Shown::kOther;
    });
  }

  void check_sizes() {
    const auto check = [&](const std::string& name, const std::optional<ModelConfig>& model,
                           const PublishedNumber& size) {
      if (!model || !size.is_known()) return;
      const double billions = static_cast<double>(parameter_count(*model)) * 1e-9;
      if (how_shown(size, billions) != Shown::kOther) return;
      find("size",
           fmt::format("{} has {:.9f} billion parameters by its architecture, not {}", name,
                       billions, size.text),
           {size.line});
    };
    for (size_t row = 0; row < report_.rows.size(); ++row) {
      check(report_.rows[row].name(), published_row_model(input_, row),
            report_.rows[row].size_billions);
    }
    for (const PublishedList& list : report_.lists) {
      if (list.quantity != PublishedQuantity::kSize) continue;
      for (const PublishedRun& run : list.runs) {
        const auto row = input_.match.row_of(run);
        check(fmt::format("{} x {}", run.family, run.layers),
              row ? published_row_model(input_, *row)
                  : published_model(report_, run.family, run.layers, input_.vocab_size),
              run.value);
      }
    }
  }

  void check_last_steps() {
    for (const PublishedList& list : report_.lists) {
      // A report that says what these are contradicts nobody, however steps vary.
      if (list.title.find("last step") != std::string::npos) continue;
      for (const PublishedRun& run : list.runs) {
        if (run.last_step.text.empty() || !run.value.is_known() ||
            published_deviation(run.last_step.value, run.value.value) <= kLastStepNearMean) {
          continue;
        }
        find("last_step",
             fmt::format("{}: the last step's {} stands for a run whose mean is {:.2f}", run.name(),
                         run.last_step.text, run.value.value),
             {run.value.line});
      }
    }
  }

  // Every run in every kind of list, and with a row in the table.
  void check_missing() {
    struct Kind {
      const char* name;
      std::set<PublishedQuantity> quantities;
      std::set<PublishedRunKey> runs = {};
    };
    Kind kinds[] = {
        {"TFLOPs", {PublishedQuantity::kTflops}},
        {"tokens per second", {PublishedQuantity::kTokens, PublishedQuantity::kTokensPerGpu}},
        {"model sizes", {PublishedQuantity::kSize}}};
    std::set<std::pair<std::string, int64_t>> rows;
    for (const PublishedRow& row : report_.rows) rows.insert({row.family, row.layers});
    std::vector<const PublishedRun*> all;
    std::set<PublishedRunKey> known;
    for (const PublishedList& list : report_.lists) {
      for (const PublishedRun& run : list.runs) {
        const PublishedRunKey key = run_key(run);
        if (known.insert(key).second) all.push_back(&run);
        for (Kind& kind : kinds) {
          if (kind.quantities.contains(list.quantity)) kind.runs.insert(key);
        }
      }
    }
    for (const PublishedRun* run : all) {
      for (const Kind& kind : kinds) {
        if (kind.runs.empty() || kind.runs.contains(run_key(*run))) continue;
        find("missing_row", fmt::format("{} is not in the list of {}", run->name(), kind.name),
             {run->value.line});
      }
      if (rows.contains({run->family, run->layers})) continue;
      find("missing_row", fmt::format("{} has no row in the table", run->name()),
           {run->value.line});
    }
  }

  // A rate per GPU and a global rate of the same run.
  void check_two_ways() {
    std::map<PublishedRunKey, const PublishedRun*> per_gpu;
    for (const PublishedList& list : report_.lists) {
      if (list.quantity != PublishedQuantity::kTokensPerGpu) continue;
      for (const PublishedRun& run : list.runs) per_gpu.emplace(run_key(run), &run);
    }
    for (const PublishedList& list : report_.lists) {
      if (list.quantity != PublishedQuantity::kTokens) continue;
      for (const PublishedRun& run : list.runs) {
        const auto other = per_gpu.find(run_key(run));
        const auto ranks = input_.match.ranks_of(run, /*of_tags=*/true);
        if (other == per_gpu.end() || !ranks) continue;
        const PublishedNumber& rate = other->second->value;
        const double expected = run.value.value / *ranks;
        if (!(published_deviation(rate.value, expected) > kSameValue)) continue;
        find("value",
             fmt::format("{}: {} tokens per GPU, and {} in all over {} are {:.2f}", run.name(),
                         rate.text, run.value.text, *ranks, expected),
             {rate.line, run.value.line});
      }
    }
  }

  const AuditInput& input_;
  const PublishedReport& report_;
  std::set<std::string> two_formulas_;
  std::vector<double> wrong_quotients_;
  std::vector<AuditFinding> findings_;
};

}  // namespace

double published_deviation(double a, double b) {
  return std::abs(a - b) / std::max(std::abs(b), 1e-300);
}

std::optional<ModelConfig> published_row_model(const AuditInput& input, size_t row) {
  const PublishedArchitecture* architecture = input.match.architecture_of(row);
  if (architecture == nullptr) return std::nullopt;
  return published_model(*architecture, input.report.rows[row].layers, input.vocab_size);
}

// Global rates where the report divides them: the corrections say that those are meant.
std::vector<double> published_rates(const AuditInput& input, size_t row) {
  if (!input.report.divisions.empty()) {
    std::vector<double> values = input.match.values_of(PublishedQuantity::kTokens, row);
    for (double& value : values) value /= input.report.divisions.front().divisor.value;
    if (!values.empty()) return values;
  }
  return input.match.values_of(PublishedQuantity::kTokensPerGpu, row);
}

std::optional<ModelConfig> published_model(const PublishedArchitecture& architecture,
                                           int64_t layers, std::optional<int64_t> vocab_size) {
  const auto value = [&](const char* name, int64_t otherwise = 0) {
    const auto at = architecture.values.find(name);
    return at == architecture.values.end() ? otherwise : at->second;
  };
  constexpr int64_t kMost = int64_t{1} << 24;
  constexpr double kMostParameters = 1e18;  // so that their count stays in 63 bits
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
  const auto real = [](int64_t size) { return static_cast<double>(size); };
  const double widths = 4 * real(model.num_attention_heads) * real(model.head_dim) +
                        3 * real(model.intermediate_size) + 2;
  const bool is_model = model.num_key_value_heads <= model.num_attention_heads &&
                        real(layers) * real(model.hidden_size) * widths < kMostParameters;
  if (!is_model) return std::nullopt;
  model.max_position_embeddings = value("SEQ");
  model.rope_on_layer.assign(static_cast<size_t>(layers), true);
  return model;
}

std::optional<ModelConfig> published_model(const PublishedReport& report, const std::string& family,
                                           int64_t layers, std::optional<int64_t> vocab_size) {
  const PublishedArchitecture* architecture = only_architecture(report, family);
  if (architecture == nullptr) return std::nullopt;
  return published_model(*architecture, layers, vocab_size);
}

std::vector<AuditFinding> audit_report(const PublishedReport& report,
                                       std::optional<int64_t> vocab_size) {
  const PublishedMatch match(report);
  const AuditInput input{report, match, vocab_size};
  return Audit(input).run();
}

}  // namespace borealis
