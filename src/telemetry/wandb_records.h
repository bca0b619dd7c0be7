// The records of a Weights & Biases transaction log (wandb_log.h): messages of the proto3 package
// wandb_internal (wandb/wandb, wandb/proto/wandb_internal.proto), as far as a training run needs
// them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/protobuf_writer.h"
#include "telemetry/machine.h"

namespace borealis {

using WandbTime = std::chrono::system_clock::time_point;

struct WandbItem {
  std::string key;   // "throughput/tflops": a '/' is a character like others
  std::string json;  // a JSON text; an object is shown as nested keys
};
using WandbItems = std::vector<WandbItem>;

struct WandbRunDescription {
  std::string id = {};
  std::string entity = {};  // empty: the default of whoever syncs
  std::string project = {};
  std::string group = {};
  std::string display_name = {};
  std::string notes = {};
  std::vector<std::string> tags = {};
  std::string host = {};
  WandbItems config = {};
  WandbTime start_time = {};
  int64_t starting_step = 0;
  bool resumed = false;
};

// The content of a record and its place in the oneof of `Record`.
struct WandbRecord {
  uint32_t field = 0;
  ProtobufWriter content;
  // The uploader answers a record that has one, and never gets past a run that has none.
  std::string mailbox_slot = {};
};
// Serialized; number: 1, 2, ... in a log.
std::string numbered_record(int64_t number, const WandbRecord& record);

WandbRecord wandb_header(std::string_view producer);
WandbRecord wandb_run(const WandbRunDescription& run);
WandbRecord wandb_environment(const MachineInfo& machine, WandbTime started_at);
// Charts of `name` have `step_metric` on their x axis; empty: defines a step metric.
WandbRecord wandb_metric(std::string_view name, std::string_view step_metric);
WandbRecord wandb_history(int64_t step, const WandbItems& items);
WandbRecord wandb_summary(const WandbItems& items);
WandbRecord wandb_stats(WandbTime time, const WandbItems& items);
enum class WandbStream { kStderr = 0, kStdout = 1 };
WandbRecord wandb_console(WandbStream stream, WandbTime time, std::string_view line);
// The last three of a run, in this order.
WandbRecord wandb_exit(int exit_code, int64_t runtime_s);
WandbRecord wandb_final();
WandbRecord wandb_footer();

}  // namespace borealis
