#include "publish/trainer_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "model/accounting.h"
#include "publish/reference_arguments.h"

namespace borealis {
namespace {

constexpr std::string_view kIteration = "iteration=";

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  text = trimmed(text);
  Number value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The fields of an iteration's line, "name=value" between bars.
std::map<std::string, std::string_view> fields_of(std::string_view line) {
  std::map<std::string, std::string_view> fields;
  line.remove_prefix(line.find(kIteration));
  while (!line.empty()) {
    const size_t bar = std::min(line.find('|'), line.size());
    const std::string_view field = trimmed(line.substr(0, bar));
    if (const size_t equals = field.find('='); equals != std::string_view::npos) {
      fields[std::string(trimmed(field.substr(0, equals)))] = trimmed(field.substr(equals + 1));
    }
    line.remove_prefix(std::min(bar + 1, line.size()));
  }
  return fields;
}

class LogReader {
 public:
  LogReader(const std::string& name, int64_t warmup_steps)
      : name_(name), warmup_steps_(warmup_steps) {}

  void take(std::string_view line) {
    if (line.find(kIteration) != std::string_view::npos &&
        line.find("TFLOPs=") != std::string_view::npos) {
      take_iteration(fields_of(line));
    } else if (const size_t dots = line.find(" ..."); dots != std::string_view::npos) {
      take_argument(line, dots);
    } else {
      take_fact(line);
    }
  }

  MeasuredRun finish() {
    take_reference_arguments(arguments_, name_, run_);
    run_.state = "a log";
    run_.source = name_;
    run_.warmup_steps = warmup_steps_;
    if (run_.parameters == 0) run_.parameters = parameter_count(run_.model);
    for (const Interval& interval : intervals_) {
      const StepRecord& step = interval.mean;
      if (std::isfinite(step.lm_loss)) {
        run_.loss.push_back({static_cast<double>(step.consumed_tokens), step.lm_loss});
      }
      if (interval.first <= warmup_steps_) continue;
      run_.steps.push_back(step);
      // As the lines print them: milliseconds to 0.1, TFLOPs to 0.01, samples to 0.001.
      run_.rounding = std::max({run_.rounding, 0.06 / step.elapsed_ms, 0.006 / step.tflops,
                                0.0006 / step.samples_per_second});
    }
    if (run_.steps.empty()) refuse("has no iteration behind the first that do not count");
    run_.loss = thin_points(run_.loss, kLossBuckets);
    return std::move(run_);
  }

 private:
  struct Interval {
    int64_t first = 0;  // iteration
    StepRecord mean;
  };

  [[noreturn]] void refuse(const std::string& problem) const {
    throw Error(ErrorKind::kData, fmt::format("{} {}", name_, problem),
                "give the whole log of a run, with its list of arguments");
  }

  void take_argument(std::string_view line, size_t dots) {
    std::string_view name = trimmed(line.substr(0, dots));
    if (const size_t space = name.rfind(' '); space != std::string_view::npos) {
      name = name.substr(space + 1);  // behind the log's own prefix
    }
    const size_t value = line.find_first_not_of('.', dots + 1);
    if (value == std::string_view::npos || name.empty()) return;
    arguments_.emplace(name, trimmed(line.substr(value)));
  }

  void take_fact(std::string_view line) {
    constexpr std::string_view kCount = "Number of parameters in model: ", kStart = "datetime=";
    if (const size_t at = line.find(kCount); at != std::string_view::npos) {
      run_.parameters = number_of<int64_t>(line.substr(at + kCount.size())).value_or(0);
    }
    if (const size_t at = line.find(kStart);
        at != std::string_view::npos && run_.started_at.empty()) {
      std::string stamp;
      for (const char c : line.substr(at + kStart.size(), 19)) {
        if (c != ':') stamp += c == ' ' ? '-' : c;
      }
      run_.started_at = stamp;
    }
  }

  void take_iteration(const std::map<std::string, std::string_view>& fields) {
    const auto real = [&fields](const char* name) {
      const auto found = fields.find(name);
      return found == fields.end() ? std::nullopt : number_of<double>(found->second);
    };
    const auto whole = [&fields](const char* name) {
      const auto found = fields.find(name);
      return found == fields.end() ? std::nullopt : number_of<int64_t>(found->second);
    };
    const std::string_view counts = fields.at("iteration");  // "5/     100"
    const auto iteration = number_of<int64_t>(counts.substr(0, counts.find('/')));
    const auto elapsed = real("elapsed_time_per_iteration_ms"),
               samples = real("samples_per_second"), rate = real("tokens_per_gpu_per_second_tgs"),
               tflops = real("TFLOPs");
    if (!iteration || !elapsed || !samples || !rate || !tflops || *elapsed <= 0 || *samples <= 0 ||
        *tflops <= 0) {
      return;
    }
    while (!intervals_.empty() && intervals_.back().mean.iteration >= *iteration) {
      intervals_.pop_back();  // it came again
    }
    Interval interval;
    interval.first = intervals_.empty() ? 1 : intervals_.back().mean.iteration + 1;
    interval.mean.iteration = *iteration;
    interval.mean.consumed_tokens = whole("consumed_tokens").value_or(0);
    interval.mean.global_batch_size = whole("global_batch_size").value_or(0);
    interval.mean.elapsed_ms = *elapsed;
    interval.mean.samples_per_second = *samples;
    interval.mean.tokens_per_gpu_per_second = *rate;
    interval.mean.tflops = *tflops;
    interval.mean.lm_loss = real("lm loss").value_or(std::numeric_limits<double>::quiet_NaN());
    intervals_.push_back(std::move(interval));
  }

  const std::string& name_;
  int64_t warmup_steps_;
  MeasuredRun run_;
  std::map<std::string, std::string> arguments_;
  std::vector<Interval> intervals_;
};

}  // namespace

bool is_trainer_log(std::string_view text) {
  return text.find(kIteration) != std::string_view::npos &&
         text.find("TFLOPs=") != std::string_view::npos;
}

MeasuredRun parse_trainer_log(std::string_view text, const std::string& name,
                              int64_t warmup_steps) {
  LogReader reader(name, warmup_steps);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    reader.take(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return reader.finish();
}

}  // namespace borealis
