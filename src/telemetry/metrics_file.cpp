#include "telemetry/metrics_file.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>
#include <bitset>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/not_a_number.h"
#include "telemetry/finite_or_null.h"

namespace borealis {
namespace {

using Json = nlohmann::ordered_json;

// Behind so many bytes of a file that is walked through, its pages are given back: they would count
// as the process' memory.
constexpr size_t kForgetBytes = size_t{4} << 20;

double number_or_nan(const Json& object, const char* name) {
  const Json& value = object.at(name);
  return value.is_null() ? kNaN : value.get<double>();
}

// The keys of a step's line, in their order.
struct StepField {
  const char* name;
  std::variant<int64_t StepRecord::*, double StepRecord::*, std::optional<double> StepRecord::*>
      member;
};
constexpr std::array kStepFields = {
    StepField{"iteration", &StepRecord::iteration},
    StepField{"consumed_samples", &StepRecord::consumed_samples},
    StepField{"consumed_tokens", &StepRecord::consumed_tokens},
    StepField{"elapsed_ms", &StepRecord::elapsed_ms},
    StepField{"learning_rate", &StepRecord::learning_rate},
    StepField{"global_batch_size", &StepRecord::global_batch_size},
    StepField{"lm_loss", &StepRecord::lm_loss},
    StepField{"grad_norm", &StepRecord::grad_norm},
    StepField{"skipped_iterations", &StepRecord::skipped_iterations},
    StepField{"samples_per_second", &StepRecord::samples_per_second},
    StepField{"tokens_per_gpu_per_second", &StepRecord::tokens_per_gpu_per_second},
    StepField{"tflops", &StepRecord::tflops},
    StepField{"gemm_share", &StepRecord::gemm_share},
    StepField{"forward_ms", &StepRecord::forward_ms},
    StepField{"backward_ms", &StepRecord::backward_ms},
    StepField{"optimizer_ms", &StepRecord::optimizer_ms},
    StepField{"communication_ms", &StepRecord::communication_ms},
    StepField{"data_ms", &StepRecord::data_ms},
};

Json step_value(int64_t value) { return value; }
Json step_value(double value) { return finite_or_null(value); }
Json step_value(std::optional<double> value) { return finite_or_null(value); }

Json step_to_json(const StepRecord& record) {
  Json json;
  for (const StepField& field : kStepFields) {
    std::visit([&](auto member) { json[field.name] = step_value(record.*member); }, field.member);
  }
  if (const auto& ranks = record.of_ranks) {
    json["computing_ms_of_ranks"] = {{"min", finite_or_null(ranks->computing.min_ms)},
                                     {"median", finite_or_null(ranks->computing.median_ms)},
                                     {"max", finite_or_null(ranks->computing.max_ms)},
                                     {"slowest_rank", ranks->slowest}};
  }
  return json;
}

void take(const Json& value, int64_t& to) { to = value.get<int64_t>(); }
void take(const Json& value, double& to) { to = value.is_null() ? kNaN : value.get<double>(); }
void take(const Json& value, std::optional<double>& to) {
  if (!value.is_null()) to = value.get<double>();
}

StepRecord step_from_json(const Json& json) {
  StepRecord record;
  for (const StepField& field : kStepFields) {
    std::visit([&](auto member) { take(json.at(field.name), record.*member); }, field.member);
  }
  return record;
}

// False where it is no such value.
bool take(const simdjson::dom::element& value, int64_t& to) {
  return value.get(to) == simdjson::SUCCESS;
}
bool take(const simdjson::dom::element& value, double& to) {
  to = kNaN;
  return value.is_null() || value.get(to) == simdjson::SUCCESS;
}
bool take(const simdjson::dom::element& value, std::optional<double>& to) {
  double number = kNaN;
  const bool is_taken = take(value, number);
  if (std::isfinite(number)) to = number;
  return is_taken;
}

// The step of a line in which each key stands once, which is nearly all: a run of a million steps
// is read several times, and a document of nlohmann's takes ten times as long. None: it may be one.
std::optional<StepRecord> plain_step_of(std::string_view line) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS) return std::nullopt;
  StepRecord record;
  std::bitset<kStepFields.size()> found;
  size_t next = 0;
  for (const auto& [key, value] : object) {
    // They come in this order.
    for (size_t tried = 0; tried < kStepFields.size(); ++tried) {
      const size_t at = next++ % kStepFields.size();
      const StepField& field = kStepFields[at];
      if (key != field.name) continue;
      if (found[at]) return std::nullopt;
      const auto take_it = [&, &of = value](auto member) { return take(of, record.*member); };
      if (!std::visit(take_it, field.member)) return std::nullopt;
      found.set(at);
      break;
    }
  }
  return found.all() ? std::optional(record) : std::nullopt;
}

// Throws Json::exception where the line is none of a step.
StepRecord step_of_line(std::string_view line) {
  if (const auto step = plain_step_of(line)) return *step;
  return step_from_json(Json::parse(line));
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

// visit(line) for each line with its end, which one that was cut off by a kill has not.
template <typename Visit>
void for_each_line(const MappedFile& file, const Visit& visit) {
  const std::string_view all(reinterpret_cast<const char*>(file.bytes().data()),
                             file.bytes().size());
  size_t given_back = 0;
  for (size_t at = 0; at < all.size();) {
    const size_t end = all.find('\n', at);
    if (end == std::string_view::npos) return visit(all.substr(at));
    visit(all.substr(at, end + 1 - at));
    at = end + 1;
    if (at - given_back < kForgetBytes) continue;
    file.forget(given_back, at - given_back);
    given_back = at;
  }
  file.forget(0, all.size());
}

// take(line) throws Json::exception where it is none of the file's.
template <typename Take>
void read_lines(const std::filesystem::path& path, const Take& take) {
  const MappedFile file(path);
  int64_t number = 0;
  for_each_line(file, [&](std::string_view line) {
    ++number;
    const bool cut_off = !line.ends_with('\n');
    try {
      take(line);
    } catch (const Json::exception& fault) {
      if (cut_off) return;
      throw Error(ErrorKind::kData,
                  fmt::format("{} line {} is not a record of a run ({})", path.string(), number,
                              fault_text(fault)),
                  "restore the file, or remove the broken line");
    }
  });
}

// The iteration of a step's or a validation's line that may be of the history.
std::optional<int64_t> iteration_of(std::string_view line, bool is_step) {
  try {
    if (is_step) return step_of_line(line).iteration;
    const ValidationRecord record =
        validation_from_json(Json::parse(line), EvaluatedSet::kValidation);
    return record.at_end ? std::nullopt : std::optional(record.iteration);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
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
    for_each_line(MappedFile(source), [&](std::string_view line) {
      if (!line.ends_with('\n')) return;
      const std::optional<int64_t> iteration = iteration_of(line, is_step);
      if (!iteration || *iteration <= done || *iteration > history.iteration) return;
      done = *iteration;
      out.write(line);
      ++lines;
    });
  }
  out.commit();
  return lines;
}

std::vector<ValidationRecord> read_records(const std::filesystem::path& path, EvaluatedSet set) {
  std::vector<ValidationRecord> records;
  if (!std::filesystem::exists(path)) return records;
  read_lines(path, [&](std::string_view line) {
    records.push_back(validation_from_json(Json::parse(line), set));
  });
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
  try {
    return step_of_line(line);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::optional<ValidationRecord> parse_validation_record(std::string_view line, EvaluatedSet set) {
  return parse_record(line, [set](const Json& json) { return validation_from_json(json, set); });
}

std::optional<std::string> parse_checkpoint_record(std::string_view line) {
  return parse_record(line,
                      [](const Json& json) { return json.at("checkpoint").get<std::string>(); });
}

void for_each_step(const std::filesystem::path& run_dir,
                   const std::function<void(const StepRecord&)>& visit) {
  std::optional<StepRecord> pending;  // until the step behind it tells the next learning rate
  int64_t skipped_before = 0;
  read_lines(run_dir / kMetricsFileName, [&](std::string_view line) {
    StepRecord step = step_of_line(line);
    step.skipped = step.skipped_iterations > skipped_before;
    skipped_before = step.skipped_iterations;
    step.next_learning_rate = step.learning_rate;
    if (pending) {
      pending->next_learning_rate = step.learning_rate;
      visit(*pending);
    }
    pending = step;
  });
  if (pending) visit(*pending);
}

StepSeries read_metrics(const std::filesystem::path& run_dir, size_t most_steps) {
  StepSeries series(most_steps);
  for_each_step(run_dir, [&](const StepRecord& step) { series.add(step); });
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
