#include "telemetry/wandb_run.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/text.h"
#include "config/run_config_json.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

double unix_seconds(WandbTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

std::string json_of(const TrackedMetric& metric) {
  return std::visit([](auto value) { return json_text(Json(value)); }, metric.value);
}

std::string random_id() {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device source;
  std::uniform_int_distribution<size_t> letter(0, kLetters.size() - 1);
  std::string id;
  for (int i = 0; i < 8; ++i) id += kLetters[letter(source)];
  return id;
}

// Of the run that goes on, if it had one; else null.
Json previous_run(const RunHistory& history) {
  const fs::path path = history.run_dir / kWandbRunFileName;
  std::error_code unknown;
  if (history.run_dir.empty() || !fs::is_regular_file(path, unknown)) return nullptr;
  Json run = Json::parse(read_text_file(path), nullptr, /*allow_exceptions=*/false);
  const auto has_text = [&run](const char* name) {
    return run.is_object() && run.contains(name) && run[name].is_string();
  };
  if (!has_text("run_id") || !has_text("display_name")) return nullptr;
  const auto id = run["run_id"].get<std::string>();  // a part of names of files
  return !id.empty() && id.find('/') == std::string::npos ? run : Json(nullptr);
}

// A number where the text is one, so that runs can be sorted by it.
Json typed(const std::string& text) {
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return value.is_number() ? value : Json(text);
}

Json object_of(const std::vector<NamedValue>& values) {
  Json object = Json::object();
  for (const NamedValue& one : values) object[one.name] = typed(one.value);
  return object;
}

WandbItems config_items(const RunConfig& config, const RunSummary& begun,
                        const RunHistory& history) {
  Json items;
  items["env"] = object_of(begun.configuration);
  items["architecture"] = object_of(begun.architecture);
  items["args"] = Json::parse(json_text(to_json(config)));
  items["model_name"] = begun.model_name;
  items["num_params"] = begun.parameters;
  items["flops_per_token"] = begun.flops_per_token;
  items["planned_memory_bytes"] = begun.planned_memory_bytes;
  items["world_size"] = begun.world_size;
  items["hostname"] = begun.machine.hostname;
  items["machine"] = begun.machine.cpu_model;
  items["cores"] = begun.machine.cores;
  items["isa"] = begun.isa;
  items["created_at"] = begun.started_at;
  items["borealis_version"] = begun.version;
  items["run_dir"] = config.output.run_dir;
  if (!history.run_dir.empty()) {
    items["resumed_from"] = begun.resumed_from;
    items["resumed_at_iteration"] = history.iteration;
  }
  WandbItems list;
  for (const auto& [key, value] : items.items()) list.push_back({key, json_text(value)});
  return list;
}

std::string folder_name(WandbTime time, const std::string& id) {
  const std::tm local = fmt::localtime(std::chrono::system_clock::to_time_t(time));
  return fmt::format("offline-run-{:%Y%m%d_%H%M%S}-{}", local, id);
}

// Two fragments of a run that start within a second: the later one is called after the next.
fs::path make_folder(const fs::path& parent, WandbTime time, const std::string& id) {
  borealis::create_directories(parent);
  fs::path folder = parent / folder_name(time, id);
  while (!create_new_directory(folder)) {
    time += std::chrono::seconds(1);
    folder = parent / folder_name(time, id);
  }
  borealis::create_directories(folder / "files");
  return folder;
}

void keep_id(const RunConfig& config, const WandbRunDescription& run, const fs::path& folder) {
  std::error_code unknown;
  const Json json = {{"run_id", run.id},
                     {"display_name", run.display_name},
                     {"project", run.project},
                     {"folder", fs::absolute(folder, unknown).string()}};
  write_file_atomically(fs::path(config.output.run_dir) / kWandbRunFileName,
                        json_text(json, 2) + "\n");
}

// Of "dir/" and "." too.
std::string folder_name(const std::string& folder) {
  std::error_code unknown;
  const fs::path whole = fs::absolute(folder, unknown).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

}  // namespace

WandbRunDescription describe_wandb_run(const RunConfig& config, const RunSummary& begun,
                                       const RunHistory& history, WandbTime now) {
  const TrackingConfig& tracking = config.tracking;
  const Json previous = previous_run(history);
  const auto first = [](std::string given, const Json& before, const std::string& otherwise) {
    if (!given.empty()) return given;
    return before.is_string() ? before.get<std::string>() : otherwise;
  };
  const auto kept = [&previous](const char* name) {
    return previous.is_null() ? Json(nullptr) : previous[name];
  };
  WandbRunDescription run;
  run.id = first(tracking.wandb_run_id, kept("run_id"), random_id());
  run.entity = tracking.wandb_entity;
  run.project = tracking.wandb_project;
  run.group = tracking.wandb_group;
  run.display_name =
      first(tracking.wandb_name, kept("display_name"),
            fmt::format("{}_{}", begun.model_name, folder_name(config.output.run_dir)));
  run.notes = tracking.wandb_notes;
  run.tags = tracking.wandb_tags;
  run.host = begun.machine.hostname;
  run.config = config_items(config, begun, history);
  run.start_time = now;
  run.starting_step = history.iteration;
  run.resumed = !history.run_dir.empty() && (!previous.is_null() || !tracking.wandb_run_id.empty());
  return run;
}

WandbRun::WandbRun(const RunConfig& config, const RunSummary& begun, const RunHistory& history)
    : WandbRun(config, describe_wandb_run(config, begun, history, std::chrono::system_clock::now()),
               begun) {}

WandbRun::WandbRun(const RunConfig& config, WandbRunDescription run, const RunSummary& begun)
    : start_time_(run.start_time),
      console_(config.output.json ? WandbStream::kStderr : WandbStream::kStdout),
      context_(metric_context(config, begun.parameters, begun.flops_per_token)),
      last_step_(run.starting_step) {
  const std::string& root =
      config.tracking.wandb_dir.empty() ? config.output.run_dir : config.tracking.wandb_dir;
  folder_ = make_folder(fs::path(root) / "wandb", start_time_, run.id);
  log_ = std::make_unique<WandbLog>(folder_ / fmt::format("run-{}.wandb", run.id));
  put(wandb_header("borealis " + begun.version));
  put(wandb_run(run));
  put(wandb_environment(begun.machine, start_time_));
  for (const std::string set : {"val", "test"}) {
    put(wandb_metric(set + "/iteration", ""));
    put(wandb_metric(set + "/lm loss", set + "/iteration"));
    put(wandb_metric(set + "/ppl_lm loss", set + "/iteration"));
  }
  keep_id(config, run, folder_);
}

void WandbRun::put(const WandbRecord& record) { log_->put(numbered_record(++records_, record)); }

double WandbRun::runtime_s() const {
  return std::chrono::duration<double>(std::chrono::system_clock::now() - start_time_).count();
}

void WandbRun::put_row(int64_t step, std::vector<TrackedMetric> metrics) {
  metrics.insert(metrics.end(), of_validation_.begin(), of_validation_.end());
  of_validation_.clear();
  WandbItems items;
  for (const TrackedMetric& metric : metrics) {
    items.push_back({std::string(metric.name), json_of(metric)});
  }
  items.push_back({"_step", json_text(Json(step))});
  items.push_back({"_timestamp", json_text(Json(unix_seconds(std::chrono::system_clock::now())))});
  items.push_back({"_runtime", json_text(Json(runtime_s()))});
  for (const WandbItem& item : items) summary_[item.key] = item.json;
  put(wandb_history(step, items));
  last_step_ = step;
}

void WandbRun::write(const StepRecord& step) {
  put_row(step.iteration, step_metrics(step, context_));
}

void WandbRun::write(const ValidationRecord& record) {
  for (const TrackedMetric& metric : validation_metrics(record)) {
    of_validation_.push_back(metric);
    summary_[std::string(metric.name)] = json_of(metric);
  }
}

void WandbRun::write_console(WandbTime time, std::string_view line) {
  put(wandb_console(console_, time, line));
}

void WandbRun::put_summary() {
  summary_["_wandb"] = fmt::format(R"({{"runtime":{}}})", static_cast<int64_t>(runtime_s()));
  WandbItems items;
  for (const auto& [key, json] : summary_) items.push_back({key, json});
  put(wandb_summary(items));
}

void WandbRun::write_stats() {
  WandbItems items;
  for (const auto& [key, value] : stats_.sample()) items.push_back({key, json_text(Json(value))});
  put(wandb_stats(std::chrono::system_clock::now(), items));
  put_summary();
}

void WandbRun::end(const RunSummary& summary, int exit_code) {
  if (!of_validation_.empty()) put_row(last_step_ + 1, {});
  const auto set = [this](const char* name, const auto& value) {
    summary_[name] = json_text(Json(value));
  };
  const auto set_if_known = [&set](const char* name, double value) {
    if (std::isfinite(value)) set(name, value);
  };
  if (summary.steps > 0) {  // else it was not completed
    set("steps", summary.steps);
    set("peak_memory_bytes", summary.peak_memory_bytes);
    set("checkpoint", summary.checkpoint);
    set_if_known("tokens_per_gpu_per_second", summary.tokens_per_gpu_per_second);
    set_if_known("tflops", summary.tflops);
    set_if_known("gemm_tflops", summary.gemm_tflops);
    set_if_known("gemm_share", summary.gemm_share);
    set_if_known("final_loss", summary.final_loss);
    set_if_known("time_to_first_step_s", summary.time_to_first_step_s);
  }
  set("stopped_by", summary.stopped_by);
  if (!summary.failure.empty()) set("failure", summary.failure);
  write_stats();
  put(wandb_exit(exit_code, static_cast<int64_t>(runtime_s())));
  put(wandb_final());
  put(wandb_footer());
  log_->sync();
}

}  // namespace borealis
