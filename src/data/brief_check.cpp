#include "data/brief_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "base/log.h"
#include "data/split_plan.h"

namespace borealis {
namespace {

constexpr int64_t kTokensOfAPlace = 4096;
// Of all files of a run together, as far as each gets kFewestPlaces: a file system that many nodes
// share answers each in milliseconds.
constexpr int64_t kPlacesOfARun = 2048;
constexpr int64_t kFewestPlaces = 2;
constexpr int64_t kPlacesToForget = 16;  // whose pages, with those around them, may add up

void check_some_tokens(const IndexedDataset& data, int64_t vocab_size, int64_t most_places,
                       std::vector<DatasetProblem>& problems) {
  std::vector<int32_t> tokens(kTokensOfAPlace);
  const int64_t places = std::min(most_places, data.sequence_count());
  for (int64_t i = 0; i < places; ++i) {
    // The first and the last sequence are among them.
    const int64_t sequence = places == 1 ? 0 : i * (data.sequence_count() - 1) / (places - 1);
    const int64_t count = std::min<int64_t>(data.lengths()[sequence], kTokensOfAPlace);
    try {
      data.read(sequence, 0, count, vocab_size, tokens.data());
    } catch (const DatasetError& error) {
      problems.push_back({error.fault(), error.problem()});
    }
    if (i % kPlacesToForget == kPlacesToForget - 1) data.forget_pages();
  }
  data.forget_pages();
}

}  // namespace

std::vector<DatasetProblem> brief_check(const IndexedDataset& data,
                                        const std::optional<DataRecord>& record,
                                        std::optional<int64_t> vocab_size, int64_t places) {
  std::vector<DatasetProblem> problems = check_arithmetic(data, record);
  std::erase_if(problems, [](const DatasetProblem& problem) {
    return problem.fault == DatasetFault::kTrailingTokenBytes;
  });
  int64_t known = vocab_size.value_or(std::numeric_limits<int32_t>::max());
  if (record) known = std::min(known, record->tokenizer.vocab_size);
  check_some_tokens(data, known, places, problems);
  return problems;
}

void warn_of_damage(const IndexedDataset& data, const std::vector<DatasetProblem>& problems,
                    std::optional<int64_t> vocab_size) {
  std::map<DatasetFault, size_t> counts;
  for (const DatasetProblem& problem : problems) ++counts[problem.fault];
  for (const DatasetProblem& problem : problems) {
    const size_t count = std::exchange(counts[problem.fault], 0);
    if (count == 0) continue;  // told
    const bool may_be_foreign = problem.fault == DatasetFault::kForeignToken;
    log_warning(fmt::format(
        "{}: {}{}; the data is {}: `borealis data verify {}{}` tells all",
        dataset_fault_name(problem.fault), problem.text,
        count > 1 ? fmt::format(", and {} more like it", count - 1) : "",
        may_be_foreign ? "damaged, or was made with another tokenizer" : "damaged", data.prefix(),
        may_be_foreign && vocab_size ? fmt::format(" --vocab-size {}", *vocab_size) : ""));
  }
}

void warn_of_damaged_files(const RunConfig& config) {
  if (config.data.mock_data) return;
  const auto files = open_data_files(config);
  const int64_t places = std::clamp<int64_t>(
      kPlacesOfARun / std::max<int64_t>(1, std::ssize(*files)), kFewestPlaces, kBriefPlaces);
  for (const OpenedFile& file : *files) {
    const auto record = read_data_record(file.data.prefix());
    warn_of_damage(file.data, brief_check(file.data, record, config.model.vocab_size, places),
                   record ? std::nullopt : std::optional(config.model.vocab_size));
  }
}

}  // namespace borealis
