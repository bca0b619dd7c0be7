#include "watch/followed_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/process.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr size_t kOtherBytesAtOnce = size_t{64} << 20;  // all of it: these files are small

int64_t train_iters_of(const RunSummary& summary) {
  const auto found = std::ranges::find(summary.configuration, "TRAIN_ITERS", &NamedValue::name);
  int64_t iterations = 0;
  if (found == summary.configuration.end()) return 0;
  const std::string& text = found->value;
  std::from_chars(text.data(), text.data() + text.size(), iterations);
  return std::max<int64_t>(0, iterations);
}

std::optional<FileStamp> stamp_of(const fs::path& path) {
  try {
    return file_stamp(path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool is_same(const std::optional<FileStamp>& a, const std::optional<FileStamp>& b) {
  return a && b && a->bytes == b->bytes && a->modified_ns == b->modified_ns;
}

}  // namespace

FollowedRun::FollowedRun(const fs::path& folder, std::string name)
    : metrics_(folder / kMetricsFileName),
      validations_(folder / kValidationFileName),
      checkpoints_(folder / kCheckpointsFileName),
      system_(folder / kSystemFileName) {
  run_.folder = folder;
  run_.name = std::move(name);
}

bool FollowedRun::update(double now_s, size_t metrics_bytes) {
  std::error_code unknown;
  if (fs::status(run_.folder, unknown).type() == fs::file_type::not_found) {
    run_.life = RunLife();
    run_.life.state = RunCondition::kGone;  // its last figures stand
    run_.seconds_left.reset();
    return false;
  }
  run_.problem = problem_of_files();
  read_summary();
  std::optional<bool> alive = is_alive(run_.summary.process);
  if (alive && !*alive) {
    read_summary();  // its last words since then, or already those of the next process
    alive = is_alive(run_.summary.process);
  }
  const bool more = read_steps(metrics_bytes);
  if (!more && run_.problem.empty()) {
    run_.problem = missing_steps_text(run_.summary, run_.steps.count());
  }
  read_validations();
  read_checkpoints();
  read_system();
  const StepRecord* last = run_.last_step();
  run_.life =
      life_of(run_.summary, alive, last != nullptr,
              age_s({kSummaryFileName, kMetricsFileName, kSystemFileName, "output.log"}, now_s));
  run_.life.stalled_s = stalled_seconds(run_.life, last, age_s({kMetricsFileName}, now_s));
  const bool knows_end = run_.train_iters > 0 && run_.makes_steps();
  run_.seconds_left = knows_end ? time_left_.seconds() : std::nullopt;
  return more;
}

void FollowedRun::read_summary() {
  const auto stamp = stamp_of(run_.folder / kSummaryFileName);
  if (!stamp || is_same(stamp, summary_stamp_)) return;
  try {
    run_.summary = read_run_summary(run_.folder);
    summary_stamp_ = stamp;
    run_.train_iters = train_iters_of(run_.summary);
  } catch (const Error& fault) {  // what was known stands
    run_.problem = fault_text(fault);
  }
}

// A file that is not there yet is none.
std::string FollowedRun::problem_of_files() const {
  for (const char* name : {kSummaryFileName, kMetricsFileName}) {
    const fs::path path = run_.folder / name;
    if (::access(path.c_str(), F_OK) == 0 && ::access(path.c_str(), R_OK) != 0) {
      return fmt::format("{} may not be read by this user", path.string());
    }
  }
  return "";
}

bool FollowedRun::read_steps(size_t metrics_bytes) {
  if (metrics_.begins_again()) {
    run_.steps = StepSeries(WatchedRun::kMostSteps);
    run_.unreadable_lines = 0;
    skipped_before_ = 0;
  }
  if (run_.steps.count() == 0) time_left_ = TimeLeft(run_.train_iters);
  return metrics_.read([this](std::string_view line) { take_step(line); }, metrics_bytes);
}

void FollowedRun::take_step(std::string_view line) {
  std::optional<StepRecord> step = parse_step_record(line);
  if (!step || step->iteration < 1) {
    ++run_.unreadable_lines;
    return;
  }
  step->skipped =
      step->skipped_iterations > std::exchange(skipped_before_, step->skipped_iterations);
  run_.steps.add(*step);
  time_left_.add(*step);
}

void FollowedRun::read_validations() {
  if (validations_.begins_again()) run_.validation.reset();
  const auto take = [this](std::string_view line) {
    if (auto record = parse_validation_record(line)) run_.validation = record;
  };
  validations_.read(take, kOtherBytesAtOnce);
}

void FollowedRun::read_checkpoints() {
  if (checkpoints_.begins_again()) saved_checkpoint_.reset();
  const auto take = [this](std::string_view line) {
    if (auto folder = parse_checkpoint_record(line)) saved_checkpoint_ = std::move(folder);
  };
  checkpoints_.read(take, kOtherBytesAtOnce);
  const RunSummary& summary = run_.summary;
  run_.checkpoint = saved_checkpoint_.value_or(summary.checkpoint.empty() ? summary.resumed_from
                                                                          : summary.checkpoint);
}

void FollowedRun::read_system() {
  if (system_.begins_again()) run_.system.reset();
  const auto take = [this](std::string_view line) {
    if (auto sample = parse_system_sample(line)) run_.system = sample;
  };
  system_.read(take, kOtherBytesAtOnce);
}

double FollowedRun::age_s(std::initializer_list<const char*> files, double now_s) const {
  int64_t newest_ns = 0;
  for (const char* name : files) {
    if (const auto stamp = stamp_of(run_.folder / name)) {
      newest_ns = std::max(newest_ns, stamp->modified_ns);
    }
  }
  // Another host's clock may be ahead of ours.
  return newest_ns == 0 ? 0 : std::max(0.0, now_s - static_cast<double>(newest_ns) * 1e-9);
}

}  // namespace borealis
