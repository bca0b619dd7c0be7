#include "report/published_match.h"

#include <algorithm>
#include <array>

#include "report/published_fields.h"

namespace borealis {
namespace {

// A variable of a row's configuration, and what architectures call it.
struct Feature {
  const char* variable;
  const char* value;
};
constexpr std::array kFeatures = {
    Feature{"SEQ", "SEQ"},
    Feature{"ZERO_STAGE", "ZERO"},
    Feature{"USE_ACTIVATION_CHECKPOINTING", "USE_ACTIVATION_CHECKPOINTING"},
    Feature{"HIDDEN", "HIDDEN"},
    Feature{"HEADS", "HEADS"},
    Feature{"NUM_KV_HEAD", "NUM_KV_HEAD"},
    Feature{"head dimension", "HEAD_DIM"},
    Feature{"FFN_HIDDEN_SIZE", "FFN_HIDDEN_SIZE"},
    Feature{"vocabulary", "VOCAB_SIZE"}};

bool contradicts(const PublishedConfiguration& configuration,
                 const PublishedArchitecture& architecture) {
  const auto differs = [&](std::optional<int64_t> wanted, const char* name) {
    const auto found = architecture.values.find(name);
    return wanted && found != architecture.values.end() && found->second != *wanted;
  };
  if (const auto head = configuration.values.find("head"); head != configuration.values.end()) {
    if (differs(head->second == "tied" ? 1 : 0, "TIED_EMBEDDINGS")) return true;
  }
  return std::ranges::any_of(kFeatures, [&](const Feature& one) {
    return differs(configuration.number(one.variable), one.value);
  });
}

// What parameters and FLOPs depend on.
bool same_shape(const PublishedArchitecture& a, const PublishedArchitecture& b) {
  const auto shape = [](const PublishedArchitecture& one) {
    std::map<std::string, int64_t> values = one.values;
    values.erase("ZERO");
    values.erase("USE_ACTIVATION_CHECKPOINTING");
    return values;
  };
  return shape(a) == shape(b);
}

// The first, if all are one.
const PublishedArchitecture* one_of(const std::vector<const PublishedArchitecture*>& several) {
  const bool one = !several.empty() && std::ranges::all_of(several, [&](const auto* other) {
    return same_shape(*other, *several.front());
  });
  return one ? several.front() : nullptr;
}

// The global batch that most runs have is that of a table which names none.
int64_t most_frequent_batch(const PublishedReport& report) {
  std::map<int64_t, int64_t> counts;
  for (const PublishedList& list : report.lists) {
    for (const PublishedRun& run : list.runs) ++counts[run.global_batch];
  }
  const auto most = std::ranges::max_element(counts, {}, [](const auto& c) { return c.second; });
  return most == counts.end() ? 0 : most->first;
}

}  // namespace

PublishedRunKey run_key(const PublishedRun& run) {
  return {run.family, run.layers, run.global_batch, run.stamp};
}

const PublishedArchitecture* only_architecture(const PublishedReport& report,
                                               const std::string& family) {
  const auto found = report.architectures.find(family);
  if (found == report.architectures.end()) return nullptr;
  std::vector<const PublishedArchitecture*> all;
  for (const PublishedArchitecture& one : found->second) all.push_back(&one);
  return one_of(all);
}

PublishedMatch::PublishedMatch(const PublishedReport& report)
    : report_(report),
      table_batch_(most_frequent_batch(report)),
      architectures_(report.rows.size(), nullptr) {
  for (size_t row = 0; row < report.rows.size(); ++row) {
    const PublishedConfiguration& configuration = report.rows[row].configuration;
    row_tags_.push_back({published_machine(configuration.machine),
                         configuration.number("MICRO_BATCH"),
                         configuration.number("GRAD_ACC_STEPS")});
    find_architecture(row);
  }
  for (const PublishedList& list : report.lists) {
    for (const PublishedRun& run : list.runs) {
      if (run.micro_batch > 0 && run.accumulation > 0) tagged_.emplace(run_key(run), &run);
    }
  }
  std::vector<Group> groups = groups_of(report);
  std::erase_if(groups, [this](const Group& group) { return match_in_order(group); });
  for (const Group& group : groups) match_by_tags(group);
}

void PublishedMatch::find_architecture(size_t row) {
  const auto family = report_.architectures.find(report_.rows[row].family);
  if (family == report_.architectures.end()) return;
  std::vector<const PublishedArchitecture*> possible;
  for (const PublishedArchitecture& one : family->second) {
    if (!contradicts(report_.rows[row].configuration, one)) possible.push_back(&one);
  }
  architectures_[row] = one_of(possible);
}

bool PublishedMatch::contradicts_architectures(size_t row) const {
  const auto family = report_.architectures.find(report_.rows[row].family);
  return family != report_.architectures.end() &&
         std::ranges::all_of(family->second, [&](const PublishedArchitecture& one) {
           return contradicts(report_.rows[row].configuration, one);
         });
}

std::vector<PublishedMatch::Group> PublishedMatch::groups_of(const PublishedReport& report) const {
  using Name = std::pair<std::string, int64_t>;
  std::map<Name, std::vector<size_t>> rows;
  for (size_t row = 0; row < report.rows.size(); ++row) {
    rows[{report.rows[row].family, report.rows[row].layers}].push_back(row);
  }
  std::vector<Group> groups;
  for (const PublishedList& list : report.lists) {
    std::map<Name, std::vector<const PublishedRun*>> runs;
    for (const PublishedRun& run : list.runs) runs[{run.family, run.layers}].push_back(&run);
    for (auto& [name, of_name] : runs) {
      const auto found = rows.find(name);
      if (found != rows.end()) groups.push_back({list.quantity, found->second, std::move(of_name)});
    }
  }
  return groups;
}

void PublishedMatch::assign(const Group& group, const PublishedRun* run, size_t row) {
  rows_[run] = row;
  rows_by_key_.emplace(run_key(*run), row);
  const bool is_shown = report_.rows[row].runs || run->global_batch == table_batch_;
  if (is_shown) runs_[{group.quantity, row}].push_back(run);
}

bool PublishedMatch::match_in_order(const Group& group) {
  std::vector<size_t> in_order;
  if (group.rows.size() == 1) {
    in_order.assign(group.runs.size(), group.rows.front());
  } else {
    for (const size_t row : group.rows) {
      const int64_t count = report_.rows[row].runs.value_or(0);
      if (count < 1 || count > static_cast<int64_t>(group.runs.size() - in_order.size())) {
        return false;
      }
      in_order.insert(in_order.end(), static_cast<size_t>(count), row);
    }
  }
  if (in_order.size() != group.runs.size()) return false;
  for (size_t i = 0; i < in_order.size(); ++i) assign(group, group.runs[i], in_order[i]);
  return true;
}

void PublishedMatch::match_by_tags(const Group& group) {
  for (const PublishedRun* run : group.runs) {
    if (const auto known = rows_by_key_.find(run_key(*run)); known != rows_by_key_.end()) {
      assign(group, run, known->second);
      continue;
    }
    std::vector<size_t> possible;
    for (const size_t row : group.rows) {
      if (fits(*run, row)) possible.push_back(row);
      if (possible.size() > 1) break;
    }
    if (possible.size() == 1) assign(group, run, possible.front());
  }
}

bool PublishedMatch::fits(const PublishedRun& run, size_t row) const {
  const RowTags& wanted = row_tags_[row];
  const PublishedRun* tags = tagged(run);
  const bool same_machine =
      wanted.machine.empty() || run.machine.empty() || wanted.machine == run.machine;
  return same_machine && (tags == nullptr ||
                          ((!wanted.micro_batch || *wanted.micro_batch == tags->micro_batch) &&
                           (!wanted.accumulation || *wanted.accumulation == tags->accumulation)));
}

const std::vector<const PublishedRun*>& PublishedMatch::runs_of(PublishedQuantity quantity,
                                                                size_t row) const {
  static const std::vector<const PublishedRun*> kNone;
  const auto found = runs_.find({quantity, row});
  return found == runs_.end() ? kNone : found->second;
}

std::vector<double> PublishedMatch::values_of(PublishedQuantity quantity, size_t row) const {
  std::vector<double> values;
  for (const PublishedRun* run : runs_of(quantity, row)) {
    if (run->value.is_known()) values.push_back(run->value.value);
  }
  return values;
}

std::optional<size_t> PublishedMatch::row_of(const PublishedRun& run) const {
  const auto found = rows_.find(&run);
  return found == rows_.end() ? std::nullopt : std::optional(found->second);
}

const PublishedRun* PublishedMatch::tagged(const PublishedRun& run) const {
  const auto found = tagged_.find(run_key(run));
  return found == tagged_.end() ? nullptr : found->second;
}

double PublishedMatch::model_parallel(const PublishedRun* run) const {
  const auto row = run == nullptr ? std::nullopt : row_of(*run);
  double ranks = 1;
  for (const char* variable : {"TP", "PP", "SP"}) {
    const auto common = report_.common.find(variable);
    int64_t degree = common == report_.common.end() ? 1 : common->second.value;
    if (row) degree = report_.rows[*row].configuration.number(variable).value_or(degree);
    if (degree > 1) ranks *= static_cast<double>(degree);
  }
  return ranks;
}

std::optional<double> PublishedMatch::ranks_of(const PublishedRun& run, bool of_tags) const {
  if (const PublishedRun* tags = tagged(run); of_tags && tags != nullptr) {
    const double batches = static_cast<double>(run.global_batch) /
                           static_cast<double>(tags->micro_batch) /
                           static_cast<double>(tags->accumulation);
    if (batches >= 1) return batches * model_parallel(&run);
  }
  if (const auto row = row_of(run)) {
    if (const auto ranks = report_.rows[*row].configuration.number("WORLD_SIZE")) {
      return static_cast<double>(*ranks);
    }
  }
  if (const auto found = report_.common.find("WORLD_SIZE"); found != report_.common.end()) {
    return static_cast<double>(found->second.value);
  }
  // The divisor of the corrections: a global rate over it is a rank's.
  if (report_.divisions.empty()) return std::nullopt;
  return report_.divisions.front().divisor.value;
}

}  // namespace borealis
