// Which runs of the raw data, and which architecture, a row of a published table stands for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "report/published_report.h"

namespace borealis {

// Family, layers, global batch and stamp: what names a run in every list.
using PublishedRunKey = std::tuple<std::string, int64_t, int64_t, std::string>;
PublishedRunKey run_key(const PublishedRun& run);

// Rows of one family and depth are told apart by their configurations. Raw data names machine,
// micro batch and accumulation only; what else rows differ in follows from the order, which is the
// table's as long as there are as many runs as the table says. What cannot be told apart belongs to
// no row.
class PublishedMatch {
 public:
  // Keeps a reference to the report.
  explicit PublishedMatch(const PublishedReport& report);

  // The runs whose values the row shows.
  const std::vector<const PublishedRun*>& runs_of(PublishedQuantity quantity, size_t row) const;
  // Their values, without those that were not measured.
  std::vector<double> values_of(PublishedQuantity quantity, size_t row) const;
  // Index of the row that a run of a list belongs to; none: no row, or one of several.
  std::optional<size_t> row_of(const PublishedRun& run) const;
  // The line with the run's tags; nullptr: no list has one.
  const PublishedRun* tagged(const PublishedRun& run) const;
  // nullptr: the report has none for the row, or several that are not told apart.
  const PublishedArchitecture* architecture_of(size_t row) const { return architectures_[row]; }
  // The report has architectures of the row's family, and its configuration contradicts each.
  bool contradicts_architectures(size_t row) const;
  // Ranks of a run; none: the report does not say. `of_tags`: batch over micro batch and
  // accumulation comes before what the report says of ranks.
  std::optional<double> ranks_of(const PublishedRun& run, bool of_tags) const;
  // Ranks that train on one batch: TP x PP x SP, of the run, or what all runs have in common.
  double model_parallel(const PublishedRun* run = nullptr) const;

 private:
  // What the raw data's tags say too.
  struct RowTags {
    std::string machine;
    std::optional<int64_t> micro_batch, accumulation;
  };
  // Runs of one list, family and depth.
  struct Group {
    PublishedQuantity quantity;
    std::vector<size_t> rows;
    std::vector<const PublishedRun*> runs;
  };

  std::vector<Group> groups_of(const PublishedReport& report) const;
  // In the order of the rows; false: there are more runs or fewer than the rows say.
  bool match_in_order(const Group& group);
  void match_by_tags(const Group& group);
  void assign(const Group& group, const PublishedRun* run, size_t row);
  bool fits(const PublishedRun& run, size_t row) const;
  void find_architecture(size_t row);

  const PublishedReport& report_;
  int64_t table_batch_ = 0;
  std::vector<RowTags> row_tags_;
  std::map<const PublishedRun*, size_t> rows_;
  std::map<PublishedRunKey, size_t> rows_by_key_;
  std::map<PublishedRunKey, const PublishedRun*> tagged_;
  std::map<std::pair<PublishedQuantity, size_t>, std::vector<const PublishedRun*>> runs_;
  std::vector<const PublishedArchitecture*> architectures_;
};

// A family's architecture, where the report has one alone; nullptr else.
const PublishedArchitecture* only_architecture(const PublishedReport& report,
                                               const std::string& family);

}  // namespace borealis
