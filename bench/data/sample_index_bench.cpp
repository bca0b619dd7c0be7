// Building and reading the sample index of one file, kept in files as a run keeps it.
// Counters: samples/s, the size of the result, and by how much the memory of the process grew while
// it was built (VmHWM, file pages aside).
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/memory.h"
#include "data/index_cache.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "borealis-bench-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~ScratchFolder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// A data set of `documents` documents of 1 to 2 * mean - 1 tokens, whose .bin is one hole.
int64_t write_dataset(const fs::path& prefix, int64_t documents, int64_t mean) {
  std::mt19937 random(1);
  std::vector<int32_t> lengths(static_cast<size_t>(documents));
  std::vector<int64_t> offsets;
  std::vector<int64_t> index = {0};
  int64_t tokens = 0;
  for (int32_t& length : lengths) {
    length = static_cast<int32_t>(1 + random() % static_cast<uint64_t>(2 * mean - 1));
    offsets.push_back(2 * tokens);
    tokens += length;
    index.push_back(index.back() + 1);
  }
  std::ofstream out(prefix.string() + ".idx", std::ios::binary);
  const auto put = [&](const auto& value) {
    out.write(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const auto put_all = [&](const auto& values) {
    out.write(reinterpret_cast<const char*>(values.data()),
              static_cast<std::streamsize>(values.size() * sizeof values[0]));
  };
  out.write("MMIDIDX\0\0", 9);
  put(uint64_t{1});
  put(uint8_t{8});  // u16
  put(static_cast<uint64_t>(documents));
  put(static_cast<uint64_t>(documents + 1));
  put_all(lengths);
  put_all(offsets);
  put_all(index);
  std::ofstream(prefix.string() + ".bin").close();
  fs::resize_file(prefix.string() + ".bin", static_cast<uintmax_t>(2 * tokens));
  return tokens;
}

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

struct Case {
  ScratchFolder folder;
  std::vector<FileIndexRequest> requests;
  std::unique_ptr<IndexedDataset> data;
  IndexSettings settings;

  Case(int64_t samples, int64_t documents, int64_t mean, int64_t seq_length) {
    const fs::path prefix = folder.path() / "x";
    const int64_t tokens = write_dataset(prefix, documents, mean);
    data = std::make_unique<IndexedDataset>(prefix);
    requests.push_back({.data = data.get(),
                        .listed_prefix = "x",
                        .range = {.first = 0, .last = documents, .tokens = tokens},
                        .requested = samples});
    settings = {.folder = folder.path() / "index-cache",
                .split = Split::kTrain,
                .seq_length = seq_length,
                .seed = 1234,
                .split_text = "1,0,0"};
  }
};

void build(benchmark::State& state, int64_t documents, int64_t mean, int64_t seq_length) {
  log_open(LogStream::kStderr, "WARNING");
  Case work(state.range(0), documents, mean, seq_length);
  const auto shape = sample_index_shape(work.requests[0].range, seq_length, state.range(0));
  int64_t grown = 0;
  for (auto _ : state) {
    state.PauseTiming();
    fs::remove_all(work.settings.folder);
    reset_peak_memory();
    const int64_t before = resident_bytes();
    state.ResumeTiming();
    const auto indices = cached_sample_indices(work.requests, work.settings);
    state.PauseTiming();
    grown = peak_resident_bytes() - before;
    if (indices[0].sample_count() != shape.samples) state.SkipWithError("wrong number of samples");
    state.ResumeTiming();
  }
  constexpr double kMB = 1e6;
  state.counters["epochs"] = static_cast<double>(shape.epochs);
  state.counters["result_MB"] = static_cast<double>(shape.bytes(documents)) / kMB;
  state.counters["memory_MB"] = static_cast<double>(grown) / kMB;
  state.SetItemsProcessed(state.iterations() * shape.samples);
}

void build_one_epoch(benchmark::State& state) {  // documents of 500 tokens, windows of 128
  build(state, state.range(0) * 129 / 500, 500, 128);
}
void build_many_epochs(benchmark::State& state) {  // a small corpus again and again
  build(state, 100'000, 1000, 2048);
}

void read_cached(benchmark::State& state) {
  log_open(LogStream::kStderr, "WARNING");
  Case work(state.range(0), 100'000, 1000, 2048);
  cached_sample_indices(work.requests, work.settings);
  for (auto _ : state)
    benchmark::DoNotOptimize(cached_sample_indices(work.requests, work.settings));
}

BENCHMARK(build_one_epoch)->Name("build_one_epoch/smoke")->Arg(10'000)->UseRealTime();
BENCHMARK(build_many_epochs)->Name("build_many_epochs/smoke")->Arg(10'000)->UseRealTime();
BENCHMARK(read_cached)->Name("read_cached/smoke")->Arg(10'000)->UseRealTime();
BENCHMARK(build_one_epoch)
    ->Arg(100'000'000)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);
BENCHMARK(build_many_epochs)
    ->Arg(100'000'000)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);
BENCHMARK(read_cached)->Arg(100'000'000)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace borealis
