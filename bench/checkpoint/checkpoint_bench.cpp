// Saving and loading a run's state beside what the disk itself does (O_DIRECT, blocks of 16 MiB,
// with the flush at the end), in turn on the same folder, so that ratios mean something on a shared
// machine.
//   bench_checkpoint [FOLDER [LAYERS [ROUNDS]]]     FOLDER on the disk that is meant; some GiB
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/memory.h"
#include "base/units.h"
#include "kernels/elementwise.h"
#include "model/parameter_layout.h"
#include "train/checkpoint_saver.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = size_t{16} << 20;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// As dd does it.
void write_raw(const fs::path& path, const PageBuffer& block, int64_t bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0644);
  CHECK(file >= 0, "the folder's file system has no O_DIRECT");
  for (int64_t at = 0; at < bytes; at += static_cast<int64_t>(kBlock)) {
    CHECK(::pwrite(file, block.data(), kBlock, at) == static_cast<ssize_t>(kBlock));
  }
  CHECK(::fsync(file) == 0);
  ::close(file);
}

void read_raw(const fs::path& path, const PageBuffer& block, int64_t bytes) {
  const int file = ::open(path.c_str(), O_RDONLY | O_DIRECT);
  CHECK(file >= 0);
  for (int64_t at = 0; at < bytes; at += static_cast<int64_t>(kBlock)) {
    CHECK(::pread(file, block.data(), kBlock, at) == static_cast<ssize_t>(kBlock));
  }
  ::close(file);
}

RunConfig bench_config(const fs::path& folder, int64_t layers) {
  RunConfig config;
  ModelConfig& model = config.model;
  model.name = "bench";
  model.hf_model_type = "llama";
  model.num_hidden_layers = layers;
  model.hidden_size = 1024;
  model.num_attention_heads = 8;
  model.num_key_value_heads = 8;
  model.head_dim = 128;
  model.intermediate_size = 4096;
  model.vocab_size = 32000;
  model.max_position_embeddings = 2048;
  model.rope_theta = 10000;
  model.rope_on_layer.assign(static_cast<size_t>(layers), true);
  model.init_method_std = 0.02;
  config.batch.seq_length = 128;
  config.output.checkpoint_dir = (folder / "checkpoints").string();
  config.output.run_dir = folder.string();
  return config;
}

int64_t bytes_in(const fs::path& folder) {
  int64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  }
  return bytes;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void measure(const fs::path& folder, int64_t layers, int rounds) {
  const RunConfig config = bench_config(folder, layers);
  const RunLayout layout = make_run_layout(config, 2);
  TrainingArenas arenas = allocate_training_arenas(layout);
  const TrainingBuffers buffers(layout, arenas);
  initialize_parameters(buffers.parameters, 1);
  const auto writer = make_lone_communicator();
  CheckpointSaver saver(config, layout, arenas, buffers, /*in_background=*/false, {*writer});
  const PageBuffer block(kBlock, "a block");
  DirectBlocks blocks;
  RunState state;
  state.configuration = nlohmann::json::object();

  std::vector<double> raw_write, save, raw_read, load;
  fmt::print("{:>5} {:>12} {:>12} {:>8} {:>12} {:>12} {:>8}\n", "round", "write GB/s", "save GB/s",
             "share", "read GB/s", "load GB/s", "share");
  for (int round = 1; round <= rounds; ++round) {
    state.iteration = round;
    const double saved_s = seconds_of([&] { saver.save(state); });
    const fs::path step = saver.take_completed().value();
    const int64_t bytes = bytes_in(step);
    const auto rate = [bytes](double seconds) {
      return static_cast<double>(bytes) * 1e-9 / seconds;
    };
    save.push_back(rate(saved_s));
    const fs::path raw = folder / "raw";
    raw_write.push_back(rate(seconds_of([&] { write_raw(raw, block, bytes); })));
    raw_read.push_back(rate(seconds_of([&] { read_raw(raw, block, bytes); })));
    load.push_back(rate(seconds_of([&] {
      load_checkpoint(open_checkpoint(step), state_targets(layout, buffers, 0, true), blocks);
    })));
    fs::remove(raw);
    fs::remove_all(step);
    fmt::print("{:>5} {:>12.2f} {:>12.2f} {:>8.2f} {:>12.2f} {:>12.2f} {:>8.2f}\n", round,
               raw_write.back(), save.back(), save.back() / raw_write.back(), raw_read.back(),
               load.back(), load.back() / raw_read.back());
  }
  fmt::print(
      "{} parameters, {} a checkpoint; median save {:.2f} of {:.2f} GB/s = {:.0f} %, "
      "load {:.2f} of {:.2f} GB/s = {:.0f} %\n",
      format_count(layout.table.parameter_count()),
      format_bytes(14 * layout.table.parameter_count()), median(save), median(raw_write),
      100 * median(save) / median(raw_write), median(load), median(raw_read),
      100 * median(load) / median(raw_read));
}

// How long a save in the background keeps its caller, beside the copy that it has to make.
void measure_background(const fs::path& folder, int64_t layers, int rounds) {
  const RunConfig config = bench_config(folder, layers);
  const RunLayout layout = make_run_layout(config, 2);
  TrainingArenas arenas = allocate_training_arenas(layout);
  const TrainingBuffers buffers(layout, arenas);
  initialize_parameters(buffers.parameters, 1);
  const auto writer = make_lone_communicator();
  CheckpointSaver saver(config, layout, arenas, buffers, /*in_background=*/true, {*writer});
  const auto bytes = static_cast<size_t>(arenas.optimizer.used_bytes());
  const PageBuffer from(bytes, "a copy"), to(bytes, "a copy");
  const double share =
      static_cast<double>(CheckpointSaver::snapshot_bytes(arenas)) / static_cast<double>(bytes);
  RunState state;
  state.configuration = nlohmann::json::object();
  std::vector<double> call, copy;
  for (int round = 1; round <= rounds; ++round) {
    state.iteration = round;
    copy.push_back(share * seconds_of([&] { copy_uncached(from.data(), to.data(), bytes); }));
    call.push_back(seconds_of([&] { saver.save(state); }));
    saver.wait();
    fs::remove_all(saver.take_completed().value());
  }
  fmt::print(
      "a save in the background keeps its caller for {:.1f} ms, a copy of {} takes {:.1f} ms\n",
      1e3 * median(call), format_bytes(CheckpointSaver::snapshot_bytes(arenas)),
      1e3 * median(copy));
}

}  // namespace
}  // namespace borealis

int main(int count, char** arguments) {
  const std::filesystem::path parent = count > 1 ? arguments[1] : ".";
  const int64_t layers = count > 2 ? std::atoll(arguments[2]) : 12;
  const int rounds = count > 3 ? std::atoi(arguments[3]) : 3;
  const std::filesystem::path folder = parent / fmt::format("bench-checkpoint-{}", ::getpid());
  std::filesystem::create_directories(folder);
  borealis::measure(folder, layers, rounds);
  borealis::measure_background(folder, layers, rounds);
  std::filesystem::remove_all(folder);
}
