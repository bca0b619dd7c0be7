#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/cuda_optimizer_ops.h"
#include "kernels/cuda/fused_attention.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/module/gpu_watch.h"
#include "kernels/cuda/nccl_group.h"
#include "kernels/cuda/nccl_library.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda_module.h"

namespace borealis::cuda {
namespace {

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options) : device_(options.number) {
    const Device::Memory memory = device_.memory();
    profile_.name = device_.name();
    profile_.multiprocessors = device_.multiprocessors();
    profile_.ranks = options.ranks;
    profile_.memory_bytes = memory.total_bytes / profile_.ranks;
    const int64_t used_bytes = memory.total_bytes - memory.free_bytes;
    // Other ranks come and go meanwhile.
    profile_.context_bytes = kLibraryBytes + (profile_.ranks == 1 ? used_bytes : kContextBytes);
    profile_.has_group = options.in_group && NcclLibrary::load() != nullptr;
    profile_.deterministic = options.deterministic;
    profile_.fused_attention_bytes = [this](const FusedAttentionNeeds& needs) {
      return fused_bytes(needs);
    };
  }

  Device& device() override { return device_; }
  const GpuProfile* gpu() const override { return &profile_; }

  std::unique_ptr<Ops<float>> make_f32_ops(OpsSetup setup) override { return make<float>(setup); }
  std::unique_ptr<Ops<bf16>> make_bf16_ops(OpsSetup setup) override { return make<bf16>(setup); }
  std::unique_ptr<OptimizerOps> make_optimizer_ops(const GpuOptimizerShape& shape,
                                                   std::span<std::byte> scratch) override {
    return make_cuda_optimizer_ops(shape, scratch, device_);
  }

  GemmRate measure_products(DType dtype, std::span<const LinearShape> shapes, double seconds,
                            std::span<std::byte> memory) override {
    return dtype == DType::kF32 ? measure<float>(shapes, seconds, memory)
                                : measure<bf16>(shapes, seconds, memory);
  }

  void watch() override {
    std::array<char, 64> bus{};
    check(cudaDeviceGetPCIBusId(bus.data(), bus.size(), device_.number()), "looking at the device");
    watch_.emplace(bus.data());
  }
  std::string watched() const override { return watch_ ? watch_->text() : ""; }

  GroupId make_group_id() override {
    return std::bit_cast<GroupId>(NcclGroup::make_id(*NcclLibrary::load()));
  }
  std::unique_ptr<DeviceGroup> join_group(const GroupId& id, int64_t rank, int64_t ranks,
                                          GroupWaits waits) override {
    return std::make_unique<NcclGroup>(*NcclLibrary::load(), std::bit_cast<NcclId>(id), rank, ranks,
                                       std::move(waits), device_);
  }

  double measure_bandwidth(std::span<std::byte> memory) override {
    const size_t half = std::min(memory.size() / 2, size_t{1} << 30) / 256 * 256;
    constexpr int kCopies = 5;
    double best = 0;
    for (int i = 0; i < kCopies; ++i) {
      const int64_t begin = device_.mark();
      check(cudaMemcpyAsync(memory.data(), memory.data() + half, half, cudaMemcpyDeviceToDevice,
                            device_.stream()),
            "copying");
      best = std::max(best, 2 * static_cast<double>(half) / (ms_since(begin) * 1e-3));
    }
    device_.forget_marks();
    return best;
  }

 private:
  // What cuBLASLt and cuDNN load of their kernels besides.
  static constexpr int64_t kLibraryBytes = int64_t{48} << 20;
  // Of a process on a device that others use, too, where it cannot be measured: an H100 had less.
  static constexpr int64_t kContextBytes = int64_t{640} << 20;

  double ms_since(int64_t begin) {
    const int64_t end = device_.mark();
    device_.wait();
    const double ms = device_.ms_between(begin, end);
    device_.forget_marks();
    return ms;
  }

  template <typename T>
  std::unique_ptr<Ops<T>> make(const OpsSetup& setup) {
    std::unique_ptr<FusedAttention> attention;
    if (dtype_of<T>() == DType::kBF16) attention = take_attention(setup.gpu.attention());
    return make_cuda_ops<T>(setup.gpu, profile_, setup.rope,
                            reinterpret_cast<std::byte*>(setup.scratch), device_.stream(),
                            std::move(attention));
  }

  std::unique_ptr<FusedAttention> make_attention(const FusedAttentionNeeds& needs) {
    return std::make_unique<FusedAttention>(needs.shape, profile_.deterministic, needs.forward_only,
                                            needs.documents ? kMostFusedDocuments : 0,
                                            device_.stream());
  }
  using AttentionKey = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, bool, bool>;
  static AttentionKey key_of(const FusedAttentionNeeds& needs) {
    const AttentionShape& s = needs.shape;
    return {s.batch_size, s.seq_length,       s.num_heads,    s.num_key_value_heads,
            s.head_dim,   needs.forward_only, needs.documents};
  }

  // Asked for while a run is planned, and again as it begins. cuDNN takes a second or more to make
  // the first plan of a process: where what it will need is known, that goes on beside the rest of
  // the start. Elsewhere the plan is made at once, and says what it needs.
  int64_t fused_bytes(const FusedAttentionNeeds& needs) {
    if (!fused_attention_takes(needs.shape)) return 0;
    const AttentionKey key = key_of(needs);
    if (is_measured(needs, fused_attention_library())) {
      if (!std::exchange(began_attention_, true)) {  // the first shape asked for is the run's
        attention_[key] = std::async(std::launch::async, [this, needs] {
          device_.use();
          return make_attention(needs);
        });
      }
      return gpu_aligned(measured_fused_attention_bytes(needs, profile_.deterministic));
    }
    const auto known = fused_bytes_.find(key);
    if (known != fused_bytes_.end()) return known->second;
    std::unique_ptr<FusedAttention> made = make_attention(needs);
    const auto bytes = static_cast<int64_t>(made->workspace_bytes());
    std::promise<std::unique_ptr<FusedAttention>> ready;
    ready.set_value(std::move(made));
    attention_[key] = ready.get_future();
    return fused_bytes_[key] = gpu_aligned(bytes + 1);
  }
  // The one that was made for this shape, if one was.
  std::unique_ptr<FusedAttention> take_attention(const FusedAttentionNeeds& needs) {
    const auto kept = attention_.find(key_of(needs));
    if (kept == attention_.end()) return nullptr;
    return attention_.extract(kept).mapped().get();
  }

  // Each shape's three products in turn, until the card is as hot as in a run, on random numbers: a
  // cool card, and zeros, flatter.
  template <typename T>
  GemmRate measure(std::span<const LinearShape> shapes, double seconds,
                   std::span<std::byte> memory) {
    std::vector<LinearShape> fitting(shapes.begin(), shapes.end());
    // All that a run's products have, if so much is idle.
    const int64_t workspace_bytes =
        std::min<int64_t>(kGpuProductWorkspaceBytes, std::ssize(memory) / 2 / 256 * 256);
    // Operands of one kind share a place, so that none is read as numbers of another type.
    struct Places {
      int64_t x = 0, w = 0, y = 0;  // elements
      int64_t bytes() const {
        const auto width = static_cast<int64_t>(sizeof(T));
        return 2 * gpu_aligned(x * width) + gpu_aligned(w * width) + gpu_aligned(w * 4) +
               gpu_aligned(y * width);
      }
    };
    const auto places_of = [&] {
      Places places;
      for (const LinearShape& s : fitting) {
        places.x = std::max(places.x, s.rows * s.in_features);
        places.w = std::max(places.w, s.out_features * s.in_features);
        places.y = std::max(places.y, s.rows * s.out_features);
      }
      return places;
    };
    while (workspace_bytes + places_of().bytes() > std::ssize(memory)) {
      LinearShape& widest = *std::ranges::max_element(fitting, {}, &LinearShape::out_features);
      if (widest.out_features < 16) return {0, "no memory for a product"};
      widest.out_features = widest.out_features / 16 * 8;
    }
    const Places places = places_of();
    std::byte* at = memory.data();
    const auto take = [&](int64_t bytes) {
      std::byte* place = at;
      at += gpu_aligned(bytes);
      return place;
    };
    const auto width = static_cast<int64_t>(sizeof(T));
    const std::span<std::byte> workspace(take(workspace_bytes),
                                         static_cast<size_t>(workspace_bytes));
    std::byte* const operands = at;
    auto* x = reinterpret_cast<T*>(take(places.x * width));
    auto* w = reinterpret_cast<T*>(take(places.w * width));
    auto* y = reinterpret_cast<T*>(take(places.y * width));
    auto* dx = reinterpret_cast<T*>(take(places.x * width));
    fill_random<T>({operands, at});
    auto* dw = reinterpret_cast<float*>(take(places.w * 4));
    check(cudaMemsetAsync(dw, 0, static_cast<size_t>(places.w) * 4, device_.stream()), "clearing");
    CublasProducts products(workspace, device_.stream());
    const auto run = [&](const LinearShape& s) {
      products.forward(LinearForward<T>{s, x, w, y});
      products.backward_weight(LinearBackwardWeight<T>{s, y, x, dw, true});
      products.backward_input(LinearBackwardInput<T>{s, y, w, dx});
      return 6.0 * static_cast<double>(s.rows) * static_cast<double>(s.in_features) *
             static_cast<double>(s.out_features);
    };
    // Rounds of all shapes; those of the last third count, when it is warm.
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    const auto passed = [&] {
      return std::chrono::duration<double>(Clock::now() - start).count() / seconds;
    };
    double flops = 0, ms = 0;
    do {
      const bool counts = passed() > 2.0 / 3;
      double of_round = 0;
      const int64_t begin = device_.mark();
      for (const LinearShape& s : fitting) of_round += run(s);
      const double took = ms_since(begin);
      if (!counts) continue;
      flops += of_round;
      ms += took;
    } while (passed() < 1 || flops == 0);
    device_.forget_marks();
    return {flops / (ms * 1e-3),
            fmt::format("cuBLASLt, {} products of the model in turn, {}, on a warm {}",
                        3 * fitting.size(), dtype_of<T>() == DType::kF32 ? "f32" : "bf16",
                        profile_.name)};
  }

  // Small numbers, a block of them over and over.
  template <typename T>
  void fill_random(std::span<std::byte> memory) {
    constexpr size_t kNumbers = size_t{1} << 20;
    if (random_.empty()) {
      std::mt19937 generator(1234);
      std::normal_distribution<float> normal(0, 1);
      random_.resize(kNumbers);
      for (float& x : random_) x = 0.02f * normal(generator);
    }
    std::vector<T> numbers;
    for (const float x : random_) numbers.push_back(T(x));
    const size_t block = std::min(numbers.size() * sizeof(T), memory.size());
    device_.upload(memory.data(), numbers.data(), block);
    for (size_t have = block; have < memory.size();) {
      const size_t more = std::min(have, memory.size() - have);
      check(cudaMemcpyAsync(memory.data() + have, memory.data(), more, cudaMemcpyDeviceToDevice,
                            device_.stream()),
            "filling");
      have += more;
    }
  }

  CudaDevice device_;
  GpuProfile profile_;
  std::map<AttentionKey, int64_t> fused_bytes_;
  // Those that nobody has taken yet.
  std::map<AttentionKey, std::future<std::unique_ptr<FusedAttention>>> attention_;
  bool began_attention_ = false;
  std::vector<float> random_;
  std::optional<GpuWatch> watch_;
};

}  // namespace
}  // namespace borealis::cuda

// The module's symbols. Errors leave it as exceptions.
extern "C" __attribute__((visibility("default"))) void borealis_visible_gpus(
    std::vector<borealis::GpuId>* gpus) {
  *gpus = borealis::cuda::visible_devices();
}
extern "C" __attribute__((visibility("default"))) borealis::Backend* borealis_open_cuda(
    const borealis::CudaOptions* options) {
  return new borealis::cuda::CudaBackend(*options);
}
