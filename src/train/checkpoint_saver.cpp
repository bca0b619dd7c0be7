#include "train/checkpoint_saver.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "base/file.h"
#include "kernels/elementwise.h"
#include "telemetry/metrics_file.h"

namespace borealis {
namespace {

// Of the threads that save in the background: the step's threads go first, or the one that shares
// its core with a saving thread would keep all others waiting.
constexpr int kBackgroundNiceness = 14;

// And they rest, so that what they cost is spread over more steps: without rests 1.9 GB took two
// steps of 2 s, 7 to 9 % longer by the median and 12 at most; so they take five, 2 to 5 % longer. A
// writer that waits for a slow disk rests while the disk is busy and is hardly later for it. They
// rest for half of the time that the save before had until this one, so that the next, which will
// probably come as late, need not wait for what rests have put off.
constexpr double kRestPerWork = 5;
constexpr int kIntervalPerRestingTime = 2;

void give_way_to_others() {
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  ::setpriority(PRIO_PROCESS, thread, kBackgroundNiceness);  // without it saving works, too
}

template <typename T>
T* moved(T* pointer, std::span<const std::byte> from, std::byte* to) {
  if (pointer == nullptr) return nullptr;
  const auto offset = reinterpret_cast<const std::byte*>(pointer) - from.data();
  return reinterpret_cast<T*>(to + offset);
}

// What a killed run would lose of the steps that the checkpoint has behind it.
void flush_metrics(const std::filesystem::path& run_dir) {
  for (const char* name : {kMetricsFileName, kValidationFileName}) {
    if (std::filesystem::exists(run_dir / name)) flush_file(run_dir / name);
  }
}

}  // namespace

int64_t CheckpointSaver::snapshot_bytes(const TrainingArenas& arenas) {
  return arenas.weights.used_bytes() + arenas.optimizer.used_bytes();
}

CheckpointSaver::CheckpointSaver(const RunConfig& config, const RunLayout& layout,
                                 const TrainingArenas& arenas, const TrainingBuffers& buffers,
                                 bool in_background)
    : config_(config),
      layout_(layout),
      arenas_(arenas),
      live_{buffers.parameters.weights, buffers.optimizer},
      pace_(kRestPerWork) {
  // What cannot be written shall be known before hours of training, not after.
  borealis::create_directories(config.output.checkpoint_dir);
  AtomicFile(std::filesystem::path(config.output.checkpoint_dir) / "latest");  // not committed
  remove_stale_partials(config.output.checkpoint_dir);
  if (!in_background) return;
  blocks_.set_writers_pace(&pace_);
  snapshot_.emplace(snapshot_bytes(arenas), "the copy that is saved");
  const std::span<const std::byte> weights = arenas.weights.memory();
  const std::span<const std::byte> state = arenas.optimizer.memory();
  auto* weights_copy = snapshot_->take<std::byte>(arenas.weights.used_bytes());
  auto* state_copy = snapshot_->take<std::byte>(arenas.optimizer.used_bytes());
  copy_.weights = moved(static_cast<const std::byte*>(live_.weights), weights, weights_copy);
  copy_.optimizer.first_moment = moved(live_.optimizer.first_moment, state, state_copy);
  copy_.optimizer.second_moment = moved(live_.optimizer.second_moment, state, state_copy);
  copy_.optimizer.master_remainder = moved(live_.optimizer.master_remainder, state, state_copy);
}

CheckpointSaver::~CheckpointSaver() {
  try {
    wait();
  } catch (...) {  // whoever wants to know has called wait()
  }
}

StateBuffers CheckpointSaver::copy_buffers() {
  std::byte* to = snapshot_->memory().data();
  const auto weights_bytes = static_cast<size_t>(arenas_.weights.used_bytes());
  copy_bytes(arenas_.weights.memory().data(), to, weights_bytes);
  copy_bytes(arenas_.optimizer.memory().data(), to + weights_bytes,
             static_cast<size_t>(arenas_.optimizer.used_bytes()));
  return copy_;
}

void CheckpointSaver::save(RunState state) {
  wait();
  if (!snapshot_) {
    write(live_, state);
    return;
  }
  const StateBuffers buffers = copy_buffers();
  const Pace::Clock::time_point now = Pace::Clock::now();
  pace_.begin((now - last_save_) / kIntervalPerRestingTime);
  last_save_ = now;
  writing_.start([this, buffers, state = std::move(state)] {
    give_way_to_others();
    write(buffers, state);
  });
}

Retention CheckpointSaver::retention() const {
  return {config_.checkpoint.keep_last, config_.checkpoint.keep_every};
}

void CheckpointSaver::complete(int64_t iteration) {
  complete_checkpoint(config_.output.checkpoint_dir, iteration, retention());
}

void CheckpointSaver::write(const StateBuffers& buffers, const RunState& state) {
  CheckpointContent content;
  content.model = config_.model;
  content.tensors = model_tensors(layout_, buffers);
  content.options.tokenizer = tokenizer_source(config_.data);
  content.state = state;
  content.pieces = state_sources(layout_, buffers, 0);
  const std::filesystem::path folder = save_checkpoint(
      config_.output.checkpoint_dir, content, retention(),
      [&] { flush_metrics(config_.output.run_dir); }, blocks_);
  const std::lock_guard lock(mutex_);
  completed_ = folder;
}

std::optional<std::filesystem::path> CheckpointSaver::take_completed() {
  if (!writing_.is_busy()) writing_.settle();  // throws what it ended with
  const std::lock_guard lock(mutex_);
  return std::exchange(completed_, std::nullopt);
}

void CheckpointSaver::wait() {
  pace_.hurry();
  writing_.settle();
}

}  // namespace borealis
