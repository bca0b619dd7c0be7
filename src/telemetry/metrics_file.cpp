#include "telemetry/metrics_file.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/json_excerpt.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

double number_or_nan(const Json& object, const char* name) {
  const Json& value = object.at(name);
  return value.is_null() ? kNaN : value.get<double>();
}

Json step_to_json(const StepRecord& record) {
  Json json;
  json["iteration"] = record.iteration;
  json["consumed_samples"] = record.consumed_samples;
  json["consumed_tokens"] = record.consumed_tokens;
  json["elapsed_ms"] = finite_or_null(record.elapsed_ms);
  json["learning_rate"] = finite_or_null(record.learning_rate);
  json["global_batch_size"] = record.global_batch_size;
  json["lm_loss"] = finite_or_null(record.lm_loss);
  json["grad_norm"] = finite_or_null(record.grad_norm.value_or(kNaN));
  json["skipped_iterations"] = record.skipped_iterations;
  json["samples_per_second"] = finite_or_null(record.samples_per_second);
  json["tokens_per_gpu_per_second"] = finite_or_null(record.tokens_per_gpu_per_second);
  json["tflops"] = finite_or_null(record.tflops);
  json["gemm_share"] = finite_or_null(record.gemm_share);
  json["forward_ms"] = finite_or_null(record.forward_ms);
  json["backward_ms"] = finite_or_null(record.backward_ms);
  json["optimizer_ms"] = finite_or_null(record.optimizer_ms);
  json["communication_ms"] = finite_or_null(record.communication_ms);
  json["data_ms"] = finite_or_null(record.data_ms);
  if (const auto& ranks = record.of_ranks) {
    json["computing_ms_of_ranks"] = {{"min", finite_or_null(ranks->computing.min_ms)},
                                     {"median", finite_or_null(ranks->computing.median_ms)},
                                     {"max", finite_or_null(ranks->computing.max_ms)},
                                     {"slowest_rank", ranks->slowest}};
  }
  return json;
}

StepRecord step_from_json(const Json& json) {
  StepRecord record;
  record.iteration = json.at("iteration").get<int64_t>();
  record.consumed_samples = json.at("consumed_samples").get<int64_t>();
  record.consumed_tokens = json.at("consumed_tokens").get<int64_t>();
  record.elapsed_ms = number_or_nan(json, "elapsed_ms");
  record.learning_rate = number_or_nan(json, "learning_rate");
  record.global_batch_size = json.at("global_batch_size").get<int64_t>();
  record.lm_loss = number_or_nan(json, "lm_loss");
  if (!json.at("grad_norm").is_null()) record.grad_norm = json.at("grad_norm").get<double>();
  record.skipped_iterations = json.at("skipped_iterations").get<int64_t>();
  record.samples_per_second = number_or_nan(json, "samples_per_second");
  record.tokens_per_gpu_per_second = number_or_nan(json, "tokens_per_gpu_per_second");
  record.tflops = number_or_nan(json, "tflops");
  record.gemm_share = number_or_nan(json, "gemm_share");
  record.forward_ms = number_or_nan(json, "forward_ms");
  record.backward_ms = number_or_nan(json, "backward_ms");
  record.optimizer_ms = number_or_nan(json, "optimizer_ms");
  record.communication_ms = number_or_nan(json, "communication_ms");
  record.data_ms = number_or_nan(json, "data_ms");
  return record;
}

struct ValidationKeys {
  const char* loss;
  const char* perplexity;
};

ValidationKeys keys_of(EvaluatedSet set) {
  if (set == EvaluatedSet::kTest) return {"test_loss", "test_perplexity"};
  return {"validation_loss", "validation_perplexity"};
}

ValidationRecord validation_from_json(const Json& json, EvaluatedSet set) {
  const ValidationKeys keys = keys_of(set);
  ValidationRecord record;
  record.iteration = json.at("iteration").get<int64_t>();
  record.lm_loss = number_or_nan(json, keys.loss);
  record.perplexity = number_or_nan(json, keys.perplexity);
  record.at_end = json.contains("at_end");
  record.set = set;
  return record;
}

// What `convert` makes of the line's object; none: it is not what it takes.
template <typename Convert>
auto parse_record(std::string_view line, Convert convert)
    -> std::optional<decltype(convert(Json()))> {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  try {
    return convert(json);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

// Calls `take` with the object of each line.
void read_lines(const std::filesystem::path& path, const std::function<void(const Json&)>& take) {
  const MappedFile file(path);
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const bool cut_off = end == std::string_view::npos;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(cut_off ? text.size() : end + 1);
    try {
      take(Json::parse(line));
    } catch (const Json::exception& fault) {
      if (cut_off) return;
      throw Error(ErrorKind::kData,
                  fmt::format("{} line {} is not a record of a run ({})", path.string(), number,
                              fault_text(fault)),
                  "restore the file, or remove the broken line");
    }
  }
}

// Whether a line is of the history: a record of an iteration after `done` and up to `last`.
bool is_of_history(std::string_view line, bool is_step, int64_t done, int64_t last,
                   int64_t& iteration) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  try {
    iteration = is_step ? step_from_json(json).iteration
                        : validation_from_json(json, EvaluatedSet::kValidation).iteration;
  } catch (const Json::exception&) {
    return false;
  }
  return iteration > done && iteration <= last && !json.contains("at_end");
}

// Copies the lines of the history in their order and returns their number. The source may be the
// target.
int64_t copy_history(const RunHistory& history, const char* name,
                     const std::filesystem::path& target) {
  const std::filesystem::path source = history.run_dir / name;
  std::error_code unknown;
  AtomicFile out(target);
  int64_t lines = 0, done = 0;
  const bool is_step = std::string_view(name) == kMetricsFileName;
  if (std::filesystem::is_regular_file(source, unknown)) {
    const MappedFile file(source);
    std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    while (!text.empty()) {
      const size_t end = text.find('\n');
      if (end == std::string_view::npos) break;  // cut off by a kill
      const std::string_view line = text.substr(0, end + 1);
      text.remove_prefix(end + 1);
      int64_t iteration = 0;
      if (!is_of_history(line, is_step, done, history.iteration, iteration)) continue;
      done = iteration;
      out.write(line);
      ++lines;
    }
  }
  out.commit();
  return lines;
}

std::vector<ValidationRecord> read_records(const std::filesystem::path& path, EvaluatedSet set) {
  std::vector<ValidationRecord> records;
  if (!std::filesystem::exists(path)) return records;
  read_lines(path, [&](const Json& json) { records.push_back(validation_from_json(json, set)); });
  return records;
}

}  // namespace

std::string step_record_json(const StepRecord& record) { return json_text(step_to_json(record)); }

std::string validation_record_json(const ValidationRecord& record) {
  const ValidationKeys keys = keys_of(record.set);
  Json json;
  json["iteration"] = record.iteration;
  json[keys.loss] = finite_or_null(record.lm_loss);
  json[keys.perplexity] = finite_or_null(record.perplexity);
  if (record.at_end) json["at_end"] = true;
  return json_text(json);
}

MetricsWriter::MetricsWriter(const std::filesystem::path& run_dir, const RunHistory& history)
    : metrics_path_(run_dir / kMetricsFileName),
      validation_path_(run_dir / kValidationFileName),
      test_path_(run_dir / kTestFileName),
      checkpoints_path_(run_dir / kCheckpointsFileName) {
  std::error_code ignored;  // there is none, as a rule
  if (history.run_dir.empty()) {
    // Not as AtomicFiles are written: an empty file has nothing to lose, and the run would wait for
    // the disk before its first step.
    std::filesystem::remove(metrics_path_, ignored);
    append_text_file(metrics_path_, "");
    std::filesystem::remove(validation_path_, ignored);
  } else {
    steps_of_history_ = copy_history(history, kMetricsFileName, metrics_path_);
    if (copy_history(history, kValidationFileName, validation_path_) == 0) {
      std::filesystem::remove(validation_path_, ignored);
    }
  }
  std::filesystem::remove(test_path_, ignored);
  std::filesystem::remove(checkpoints_path_, ignored);
}

void MetricsWriter::write(const StepRecord& record) {
  append_text_file(metrics_path_, step_record_json(record) + '\n');
}

void MetricsWriter::write(const ValidationRecord& record) {
  append_text_file(record.set == EvaluatedSet::kTest ? test_path_ : validation_path_,
                   validation_record_json(record) + '\n');
}

void MetricsWriter::write_checkpoint(const std::string& folder) {
  append_text_file(checkpoints_path_, json_text(Json{{"checkpoint", folder}}) + '\n');
}

std::optional<StepRecord> parse_step_record(std::string_view line) {
  return parse_record(line, step_from_json);
}

std::optional<ValidationRecord> parse_validation_record(std::string_view line, EvaluatedSet set) {
  return parse_record(line, [set](const Json& json) { return validation_from_json(json, set); });
}

std::optional<std::string> parse_checkpoint_record(std::string_view line) {
  return parse_record(line,
                      [](const Json& json) { return json.at("checkpoint").get<std::string>(); });
}

StepSeries read_metrics(const std::filesystem::path& run_dir, size_t most_steps) {
  StepSeries series(most_steps);
  std::optional<StepRecord> pending;  // until the step behind it tells the next learning rate
  int64_t skipped_before = 0;
  read_lines(run_dir / kMetricsFileName, [&](const Json& json) {
    StepRecord step = step_from_json(json);
    step.skipped = step.skipped_iterations > skipped_before;
    skipped_before = step.skipped_iterations;
    step.next_learning_rate = step.learning_rate;
    if (pending) {
      pending->next_learning_rate = step.learning_rate;
      series.add(*pending);
    }
    pending = step;
  });
  if (pending) series.add(*pending);
  return series;
}

std::vector<ValidationRecord> read_validation(const std::filesystem::path& run_dir) {
  return read_records(run_dir / kValidationFileName, EvaluatedSet::kValidation);
}

std::optional<ValidationRecord> read_test(const std::filesystem::path& run_dir) {
  const std::vector<ValidationRecord> records =
      read_records(run_dir / kTestFileName, EvaluatedSet::kTest);
  if (records.empty()) return std::nullopt;
  return records.back();
}

}  // namespace borealis
