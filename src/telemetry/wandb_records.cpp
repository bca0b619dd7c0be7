#include "telemetry/wandb_records.h"

namespace borealis {
namespace {

// Field numbers of the messages.
namespace record {
constexpr uint32_t kNumber = 1, kHistory = 2, kSummary = 3, kStats = 7, kMetric = 12,
                   kOutputRaw = 13, kControl = 16, kRun = 17, kExit = 18, kFinal = 20, kHeader = 21,
                   kFooter = 22, kEnvironment = 26;
}
namespace control {
constexpr uint32_t kMailboxSlot = 4;
}
namespace header {
constexpr uint32_t kVersionInfo = 1, kProducer = 1;
}
namespace run_record {
constexpr uint32_t kRunId = 1, kEntity = 2, kProject = 3, kConfig = 4, kGroup = 6, kDisplayName = 8,
                   kNotes = 9, kTags = 10, kHost = 13, kStartingStep = 14, kStartTime = 17,
                   kResumed = 18;
}
namespace timestamp {
constexpr uint32_t kSeconds = 1, kNanos = 2;
}
namespace item {  // of config, history, summary and statistics alike
constexpr uint32_t kKey = 1, kValueJson = 16;
}
namespace item_list {
constexpr uint32_t kHistoryItem = 1, kHistoryStep = 2, kStepNumber = 1, kUpdate = 1;
}
namespace stats {
constexpr uint32_t kTimestamp = 2, kItem = 3;
}
namespace output_raw {
constexpr uint32_t kType = 1, kTimestamp = 2, kLine = 3;
}
namespace metric {
constexpr uint32_t kName = 1, kStepMetric = 4, kOptions = 6, kDefined = 3;
}
namespace run_exit {
constexpr uint32_t kExitCode = 1, kRuntime = 2;
}
namespace environment {
constexpr uint32_t kOs = 1, kStartedAt = 3, kProgram = 6, kHost = 12, kCpuCount = 16,
                   kCpuCountLogical = 17, kMemory = 21, kMemoryTotal = 1;
}

ProtobufWriter timestamp_message(WandbTime time) {
  const auto since = std::chrono::floor<std::chrono::nanoseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  return ProtobufWriter()
      .integer(timestamp::kSeconds, seconds.count())
      .integer(timestamp::kNanos, (since - seconds).count());
}

void add_items(uint32_t field, const WandbItems& items, ProtobufWriter& message) {
  for (const WandbItem& one : items) {
    message.message(field,
                    ProtobufWriter().text(item::kKey, one.key).text(item::kValueJson, one.json));
  }
}

}  // namespace

std::string numbered_record(int64_t number, const WandbRecord& record) {
  ProtobufWriter message;
  message.integer(record::kNumber, number).message(record.field, record.content);
  if (!record.mailbox_slot.empty()) {
    message.message(record::kControl,
                    ProtobufWriter().text(control::kMailboxSlot, record.mailbox_slot));
  }
  return message.encoded();
}

WandbRecord wandb_header(std::string_view producer) {
  return {record::kHeader,
          ProtobufWriter().message(header::kVersionInfo,
                                   ProtobufWriter().text(header::kProducer, producer))};
}

WandbRecord wandb_run(const WandbRunDescription& run) {
  ProtobufWriter config;
  add_items(item_list::kUpdate, run.config, config);
  ProtobufWriter message;
  message.text(run_record::kRunId, run.id)
      .text_if_any(run_record::kEntity, run.entity)
      .text_if_any(run_record::kProject, run.project)
      .message(run_record::kConfig, config)
      .text_if_any(run_record::kGroup, run.group)
      .text_if_any(run_record::kDisplayName, run.display_name)
      .text_if_any(run_record::kNotes, run.notes);
  for (const std::string& tag : run.tags) message.text(run_record::kTags, tag);
  message.text_if_any(run_record::kHost, run.host)
      .integer(run_record::kStartingStep, run.starting_step)
      .message(run_record::kStartTime, timestamp_message(run.start_time))
      .integer(run_record::kResumed, run.resumed ? 1 : 0);
  return {.field = record::kRun, .content = message, .mailbox_slot = "run" + run.id};
}

WandbRecord wandb_environment(const MachineInfo& machine, WandbTime started_at) {
  return {record::kEnvironment,
          ProtobufWriter()
              .text(environment::kOs, machine.operating_system)
              .message(environment::kStartedAt, timestamp_message(started_at))
              .text(environment::kProgram, "borealis")
              .text(environment::kHost, machine.hostname)
              .integer(environment::kCpuCount, machine.cores)
              .integer(environment::kCpuCountLogical, machine.cores)
              .message(environment::kMemory,
                       ProtobufWriter().integer(environment::kMemoryTotal, machine.memory_bytes))};
}

WandbRecord wandb_metric(std::string_view name, std::string_view step_metric) {
  return {record::kMetric,
          ProtobufWriter()
              .text(metric::kName, name)
              .text_if_any(metric::kStepMetric, step_metric)
              .message(metric::kOptions, ProtobufWriter().integer(metric::kDefined, 1))};
}

WandbRecord wandb_history(int64_t step, const WandbItems& items) {
  ProtobufWriter message;
  add_items(item_list::kHistoryItem, items, message);
  message.message(item_list::kHistoryStep, ProtobufWriter().integer(item_list::kStepNumber, step));
  return {record::kHistory, message};
}

WandbRecord wandb_summary(const WandbItems& items) {
  ProtobufWriter message;
  add_items(item_list::kUpdate, items, message);
  return {record::kSummary, message};
}

WandbRecord wandb_stats(WandbTime time, const WandbItems& items) {
  ProtobufWriter message;
  message.message(stats::kTimestamp, timestamp_message(time));
  add_items(stats::kItem, items, message);
  return {record::kStats, message};
}

WandbRecord wandb_console(WandbStream stream, WandbTime time, std::string_view line) {
  return {record::kOutputRaw, ProtobufWriter()
                                  .integer(output_raw::kType, static_cast<int>(stream))
                                  .message(output_raw::kTimestamp, timestamp_message(time))
                                  .text(output_raw::kLine, line)};
}

WandbRecord wandb_exit(int exit_code, int64_t runtime_s) {
  return {record::kExit, ProtobufWriter()
                             .integer(run_exit::kExitCode, exit_code)
                             .integer(run_exit::kRuntime, runtime_s)};
}

WandbRecord wandb_final() { return {record::kFinal, {}}; }

WandbRecord wandb_footer() { return {record::kFooter, {}}; }

}  // namespace borealis
