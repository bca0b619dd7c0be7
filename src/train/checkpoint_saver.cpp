#include "train/checkpoint_saver.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "comm/collectives.h"
#include "device/read_device.h"
#include "kernels/elementwise.h"
#include "telemetry/metrics_file.h"

namespace borealis {
namespace {

// Of the threads that save in the background: the step's threads go first, or the one that shares
// its core with a saving thread would keep all others waiting.
constexpr int kBackgroundNiceness = 14;

// And they rest, so that what they cost is spread evenly: without rests 1.9 GB took two steps of
// 2 s, 7 to 9 % longer by the median and 12 at most; with five seconds of rest for one of work it
// took five, 2 to 5 % longer. It is spread over two thirds of the time that the save before had
// until this one, so that the next, which will probably come as late, need not wait for what rests
// have put off; but where saves are rare it is done sooner.
constexpr double kMostRestPerWork = 20;
Pace::Clock::duration resting_time(Pace::Clock::duration interval) { return interval * 2 / 3; }
// So many steps apart, one of them can pass before the writing begins.
constexpr int64_t kStepsToSpare = 4;
// About as many blocks as a save will have.
int64_t blocks_of(int64_t bytes) { return bytes / static_cast<int64_t>(DirectBlocks::kBlockBytes); }

constexpr const char* kSaving = "saving a checkpoint";

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
                                 bool in_background, CheckpointWriters writers, Device& device,
                                 ModelCompanions companions)
    : config_(config),
      layout_(layout),
      arenas_(arenas),
      device_(device),
      buffers_(buffers),
      writers_(writers),
      companions_(std::move(companions)),
      first_place_(buffers.optimizer),
      pace_(kMostRestPerWork) {
  CHECK(writers.ranks.size() == layout.partition.shards());
  CHECK(!in_background || !layout.shards_weights());
  CHECK(in_background || device.is_host() || layout.shards_weights());
  // What cannot be written shall be known before hours of training, not after.
  agree([&] {
    if (!is_first()) return;
    borealis::create_directories(config.output.checkpoint_dir);
    const auto latest = std::filesystem::path(config.output.checkpoint_dir) / "latest";
    std::error_code unknown;
    if (std::filesystem::is_directory(latest, unknown)) {
      throw Error(ErrorKind::kFile,
                  fmt::format("{} is a folder, where the newest checkpoint's name belongs",
                              latest.string()),
                  "move it away");
    }
    const AtomicFile not_committed(latest);
    remove_stale_partials(config.output.checkpoint_dir);
  });
  if (!in_background) return;
  blocks_.set_writers_pace(&pace_);
  snapshot_.emplace(snapshot_bytes(arenas), "the second place of the state");
  const std::span<const std::byte> weights = arenas.weights.memory();
  const std::span<const std::byte> state = arenas.optimizer.memory();
  auto* state_copy = snapshot_->take<std::byte>(arenas.optimizer.used_bytes());
  auto* weights_copy = snapshot_->take<std::byte>(arenas.weights.used_bytes());
  copy_.weights =
      moved(static_cast<const std::byte*>(buffers.parameters.weights), weights, weights_copy);
  copy_.optimizer.first_moment = moved(first_place_.first_moment, state, state_copy);
  copy_.optimizer.second_moment = moved(first_place_.second_moment, state, state_copy);
  copy_.optimizer.master_remainder = moved(first_place_.master_remainder, state, state_copy);
}

CheckpointSaver::~CheckpointSaver() {
  try {
    begin_writing();
    pace_.hurry();
    writing_.settle();  // of several writers nobody completes it: the others may be gone
  } catch (...) {       // whoever wants to know has called wait()
  }
}

// What can be written while training goes on.
StateBuffers CheckpointSaver::hold_buffers() {
  std::byte* const state_copy = snapshot_->memory().data();
  const auto state_bytes = static_cast<size_t>(arenas_.optimizer.used_bytes());
  std::byte* const weights_copy = state_copy + state_bytes;
  const auto weights_bytes = static_cast<size_t>(arenas_.weights.used_bytes());
  if (!device_.is_host()) {
    device_.download(weights_copy, arenas_.weights.memory().data(), weights_bytes);
    device_.download(state_copy, arenas_.optimizer.memory().data(), state_bytes);
    return copy_;
  }
  copy_uncached(arenas_.weights.memory().data(), weights_copy, weights_bytes);
  held_ = buffers_.optimizer.first_moment;
  return {copy_.weights, buffers_.optimizer};
}

const OptimizerState* CheckpointSaver::state_to_move_to() const {
  const float* present = buffers_.optimizer.first_moment;
  if (held_ != present || !is_busy()) return nullptr;
  return present == first_place_.first_moment ? &copy_.optimizer : &first_place_;
}

void CheckpointSaver::save(RunState state) {
  wait();
  agree([&] { begin_folder(state.iteration); });
  if (!is_alone()) {
    partial_path_ = text_of_first(writers_.ranks, partial_path_.string(), kSaving);
    unfinished_ = true;
  }
  if (!snapshot_) {
    agree([&] { write({{buffers_.parameters.weights, buffers_.optimizer}, std::move(state)}); });
    if (!is_alone()) complete_together();
    return;
  }
  unwritten_ = Part{hold_buffers(), std::move(state)};
  const Pace::Clock::time_point now = Pace::Clock::now();
  interval_ = now - std::exchange(last_save_, now);
  if (std::exchange(steps_since_save_, 0) < kStepsToSpare) begin_writing();
}

void CheckpointSaver::step_done() {
  ++steps_since_save_;
  begin_writing();
}

void CheckpointSaver::begin_writing() {
  if (!unwritten_) return;
  const Pace::Clock::duration passed = Pace::Clock::now() - last_save_;
  pace_.begin(resting_time(interval_) - passed, blocks_of(snapshot_bytes(arenas_)));
  writing_.start([this, part = *std::exchange(unwritten_, std::nullopt)] {
    give_way_to_others();
    write(part);
  });
}

Retention CheckpointSaver::retention() const {
  return {config_.checkpoint.keep_last, config_.checkpoint.keep_every};
}

void CheckpointSaver::complete(int64_t iteration) {
  if (is_first()) complete_checkpoint(config_.output.checkpoint_dir, iteration, retention());
}

// What goes wrong on one writer ends it for all. One writer alone has nobody to agree with, though
// the run may have other ranks.
void CheckpointSaver::agree(const std::function<void()>& work) {
  if (is_alone()) {
    work();
  } else {
    together(writers_.ranks, kSaving, work);
  }
}

void CheckpointSaver::begin_folder(int64_t iteration) {
  if (!is_first()) return;
  folder_.reset();  // of a save that failed: removes what there is of it
  folder_.emplace(config_.output.checkpoint_dir, iteration, blocks_);
  partial_path_ = folder_->partial_path();
}

void CheckpointSaver::write(const Part& part) {
  if (is_first()) {
    write_first(part);
    if (is_alone()) commit();
    return;
  }
  if (layout_.shards_weights()) gather_model_for_first();
  checksum_ =
      write_state_shard(partial_path_, shard(), layout_.partition.shards(),
                        state_sources(layout_, part.buffers, shard(), where_it_is()), blocks_);
}

// Of what is written.
Device& CheckpointSaver::where_it_is() const { return snapshot_ ? host_device() : device_; }

void CheckpointSaver::write_first(const Part& part) {
  CheckpointContent content;
  content.model = config_.model;
  content.options.companions = &companions_;
  content.state = part.state;
  content.pieces = state_sources(layout_, part.buffers, shard(), where_it_is());
  if (layout_.shards_weights()) {
    write_gathered_model(content);
  } else {
    content.tensors = model_tensors(layout_, part.buffers);
    folder_->write(content);
  }
  flush_metrics(config_.output.run_dir);
}

// Units in the order of their tensors, each while it is held by all ranks, who hold them in the
// same order: also where writing fails, or the others would wait for ever.
void CheckpointSaver::write_gathered_model(CheckpointContent& content) {
  const size_t units = layout_.table.units().size();
  size_t next = 0;
  std::optional<HeldUnit> held;
  const auto hold_next = [&] {
    if (held) held->release();
    held.reset();
    if (next < units) held.emplace(writers_.weights, next++, Hold::kWeights);
  };
  writers_.weights->begin();
  content.tensors = model_tensors(buffers_.parameters);
  content.options.read = [&](const NamedTensor& tensor, const ByteSink& sink) {
    const Parameter& parameter = layout_.table.at(tensor.name);
    const size_t unit = layout_.table.unit_at(parameter.offset);
    while (next <= unit) hold_next();
    read_device(device_, tensor.data,
                static_cast<size_t>(parameter.size()) * dtype_bytes(tensor.dtype), sink);
  };
  std::exception_ptr failure;
  try {
    folder_->write(content);
  } catch (...) {
    failure = std::current_exception();
  }
  while (next < units) hold_next();
  hold_next();
  if (failure) std::rethrow_exception(failure);
}

void CheckpointSaver::gather_model_for_first() const {
  writers_.weights->begin();
  for (size_t unit = 0; unit < layout_.table.units().size(); ++unit) {
    HeldUnit(writers_.weights, unit, Hold::kWeights).release();
  }
}

void CheckpointSaver::commit() {
  const std::filesystem::path folder = folder_->commit(retention());
  folder_.reset();
  const std::lock_guard lock(mutex_);
  completed_ = folder;
}

// All have written: the checkpoint gets its name, or every rank throws what one of them ended with.
void CheckpointSaver::complete_together() {
  unfinished_ = false;
  agree([&] { writing_.settle(); });
  const std::vector<std::string> checksums = all_texts(writers_.ranks, checksum_, kSaving);
  agree([&] {
    if (!is_first()) return;
    const int64_t shards = writers_.ranks.size();
    for (int64_t shard = 1; shard < shards; ++shard) {
      folder_->add_shard(shard, shards, checksums[static_cast<size_t>(shard)]);
    }
    commit();
  });
}

std::optional<std::filesystem::path> CheckpointSaver::take_completed() {
  if (unfinished_) {
    const auto busy = all_values(writers_.ranks, int32_t{is_busy()}, kSaving);
    if (std::ranges::count(busy, 1) == 0) complete_together();
  } else if (is_alone() && !is_busy()) {
    writing_.settle();  // throws what it ended with
  }
  const std::lock_guard lock(mutex_);
  return std::exchange(completed_, std::nullopt);
}

void CheckpointSaver::wait() {
  begin_writing();
  pace_.hurry();
  if (unfinished_) {
    complete_together();
  } else {
    writing_.settle();
  }
}

}  // namespace borealis
