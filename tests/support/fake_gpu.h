// A device whose memory the host cannot touch but in the operations, which are the CPU's: what
// computes on it has the bits of a run on the host, and whoever forgets that memory is a device's
// dies of it.
#pragma once

#include <sys/mman.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "kernels/backend.h"
#include "kernels/cpu/cpu_ops.h"

namespace borealis::testing {

struct FakeGpuMemory {
  int64_t total_bytes = int64_t{1} << 40;
  int64_t context_bytes = 0;  // of them that are never free
  int64_t taken_bytes = 0;    // nor are these, which no plan knows
};

class FakeGpu : public Device {
 public:
  explicit FakeGpu(FakeGpuMemory memory = {}) : memory_(memory) {}

  template <typename Work>
  auto work(const Work& what) {
    const Opened opened(*this);
    return what();
  }

  bool is_host() const override { return false; }
  std::string name() const override { return "a fake GPU"; }
  Memory memory() const override {
    return {memory_.total_bytes,
            memory_.total_bytes - memory_.context_bytes - memory_.taken_bytes - used_bytes_};
  }
  std::byte* allocate(size_t bytes, const std::string& what) override {
    if (std::cmp_greater(bytes, this->memory().free_bytes)) {
      throw Error(ErrorKind::kMemory, "a fake GPU has no memory left for " + what);
    }
    used_bytes_ += static_cast<int64_t>(bytes);
    void* memory =
        ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    pieces_.push_back({static_cast<std::byte*>(memory), bytes});
    return pieces_.back().data();
  }
  void release(std::byte* memory) noexcept override {
    std::erase_if(pieces_, [this, memory](const std::span<std::byte> piece) {
      if (piece.data() != memory) return false;
      used_bytes_ -= std::ssize(piece);
      ::munmap(piece.data(), piece.size());
      return true;
    });
  }
  void upload(void* to, const void* from, size_t bytes) override {
    work([&] { host_device().upload(to, from, bytes); });
  }
  void download(void* to, const void* from, size_t bytes) override {
    work([&] { host_device().download(to, from, bytes); });
  }
  void clear(void* memory, size_t bytes) override {
    work([&] { host_device().clear(memory, bytes); });
  }
  void wait() override {}
  int64_t mark() override { return host_device().mark(); }
  double ms_between(int64_t from, int64_t to) override {
    return host_device().ms_between(from, to);
  }
  void forget_marks() override { host_device().forget_marks(); }

 private:
  class Opened {
   public:
    explicit Opened(FakeGpu& device) : device_(device) { device_.protect(PROT_READ | PROT_WRITE); }
    ~Opened() { device_.protect(PROT_NONE); }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

   private:
    FakeGpu& device_;
  };
  void protect(int how) {
    for (const std::span<std::byte> piece : pieces_) {
      CHECK(::mprotect(piece.data(), piece.size(), how) == 0);
    }
  }

  FakeGpuMemory memory_;
  int64_t used_bytes_ = 0;
  std::vector<std::span<std::byte>> pieces_;
};

template <typename T>
class FakeOps : public Ops<T> {
 public:
  FakeOps(FakeGpu& device, std::unique_ptr<Ops<T>> ops, std::vector<float> scratch)
      : device_(device), scratch_(std::move(scratch)), ops_(std::move(ops)) {}

  void embedding(const EmbeddingForward<T>& a) override { run(&Ops<T>::embedding, a); }
  void embedding_backward(const EmbeddingBackward<T>& a) override {
    run(&Ops<T>::embedding_backward, a);
  }
  void rms_norm(const RmsNormForward<T>& a) override { run(&Ops<T>::rms_norm, a); }
  void add_rms_norm(const AddRmsNormForward<T>& a) override { run(&Ops<T>::add_rms_norm, a); }
  void rms_norm_backward(const RmsNormBackward<T>& a) override {
    run(&Ops<T>::rms_norm_backward, a);
  }
  void linear(const LinearForward<T>& a) override { run(&Ops<T>::linear, a); }
  void linear_with_rope(const LinearForward<T>& a, const RopeRows& turned) override {
    device_.work([&] { ops_->linear_with_rope(a, turned); });
  }
  void linear_backward_weight(const LinearBackwardWeight<T>& a) override {
    run(&Ops<T>::linear_backward_weight, a);
  }
  void linear_backward_input(const LinearBackwardInput<T>& a) override {
    run(&Ops<T>::linear_backward_input, a);
  }
  void rope_backward(const RopeBackward<T>& a) override { run(&Ops<T>::rope_backward, a); }
  void attention(const AttentionForward<T>& a) override { run(&Ops<T>::attention, a); }
  void attention_backward(const AttentionBackward<T>& a) override {
    run(&Ops<T>::attention_backward, a);
  }
  void attention_prefix(const AttentionPrefix<T>& a) override { run(&Ops<T>::attention_prefix, a); }
  void cache_keys_values(const CacheKeysValues<T>& a) override {
    run(&Ops<T>::cache_keys_values, a);
  }
  void attention_decode(const AttentionDecode<T>& a) override { run(&Ops<T>::attention_decode, a); }
  void swiglu(const SwigluForward<T>& a) override { run(&Ops<T>::swiglu, a); }
  void swiglu_backward(const SwigluBackward<T>& a) override { run(&Ops<T>::swiglu_backward, a); }
  double head_loss(const HeadLossForward<T>& a) override { return run(&Ops<T>::head_loss, a); }
  double head_loss_backward(const HeadLossBackward<T>& a) override {
    return run(&Ops<T>::head_loss_backward, a);
  }
  void head_logits(const HeadLogits<T>& a) override { run(&Ops<T>::head_logits, a); }
  void add(const T* a, const T* b, T* out, int64_t count) override {
    device_.work([&] { ops_->add(a, b, out, count); });
  }
  void copy(const T* from, T* to, int64_t count) override {
    device_.work([&] { ops_->copy(from, to, count); });
  }
  void clear(T* values, int64_t count) override {
    device_.work([&] { ops_->clear(values, count); });
  }
  void clear_gradient(float* gradient, int64_t count) override {
    device_.work([&] { ops_->clear_gradient(gradient, count); });
  }

 private:
  template <typename Call, typename Arguments>
  auto run(Call call, const Arguments& a) {
    return device_.work([&] { return (ops_.get()->*call)(a); });
  }

  FakeGpu& device_;
  std::vector<float> scratch_;
  std::unique_ptr<Ops<T>> ops_;
};

// Adds up squares when it is waited for, as a queue would, and not before.
class FakeOptimizerOps : public OptimizerOps {
 public:
  explicit FakeOptimizerOps(FakeGpu& device) : device_(device) {}

  void sum_of_squares(const float* x, int64_t count, double* sum) override {
    queue_.push_back([=, this] { ops_->sum_of_squares(x, count, sum); });
  }
  void sum_of_squares_of_rows(const float* matrix, std::span<const int32_t> rows, int64_t row_size,
                              double* sum) override {
    queue_.push_back([=, this, uploaded = std::vector<int32_t>(rows.begin(), rows.end())] {
      ops_->sum_of_squares_of_rows(matrix, uploaded, row_size, sum);
    });
  }
  void wait() override {
    device_.work([&] {
      for (const auto& work : queue_) work();
    });
    queue_.clear();
  }
  void adamw(const AdamWSpan<bf16>& a, const AdamWStep& step) override {
    device_.work([&] { ops_->adamw(a, step); });
  }
  void adamw(const AdamWSpan<float>& a, const AdamWStep& step) override {
    device_.work([&] { ops_->adamw(a, step); });
  }
  void adamw_rows(const AdamWRows<bf16>& a, const RowGradients& gradient,
                  const AdamWStep& step) override {
    device_.work([&] { ops_->adamw_rows(a, gradient, step); });
  }
  void adamw_rows(const AdamWRows<float>& a, const RowGradients& gradient,
                  const AdamWStep& step) override {
    device_.work([&] { ops_->adamw_rows(a, gradient, step); });
  }

 private:
  FakeGpu& device_;
  std::unique_ptr<OptimizerOps> ops_ = make_cpu_optimizer_ops();
  std::vector<std::function<void()>> queue_;
};

class FakeGpuBackend : public Backend {
 public:
  explicit FakeGpuBackend(FakeGpuMemory memory = {}) : device_(memory) {
    profile_.name = device_.name();
    profile_.multiprocessors = 4;
    profile_.memory_bytes = memory.total_bytes;
    profile_.context_bytes = memory.context_bytes;
    profile_.has_fused_attention = false;
  }
  FakeGpu& device() override { return device_; }
  const GpuProfile* gpu() const override { return &profile_; }
  std::unique_ptr<Ops<float>> make_f32_ops(OpsSetup setup) override {
    return make<float>(std::move(setup));
  }
  std::unique_ptr<Ops<bf16>> make_bf16_ops(OpsSetup setup) override {
    return make<bf16>(std::move(setup));
  }
  std::unique_ptr<OptimizerOps> make_optimizer_ops(const GpuOptimizerShape& shape,
                                                   std::span<std::byte> scratch) override {
    CHECK(static_cast<int64_t>(scratch.size()) == gpu_optimizer_bytes(shape));
    return std::make_unique<FakeOptimizerOps>(device_);
  }
  GemmRate measure_products(DType, std::span<const LinearShape>, double,
                            std::span<std::byte>) override {
    return {1e11, "none"};
  }
  double measure_bandwidth(std::span<std::byte>) override { return 1e9; }

 private:
  // The CPU's operations have scratch of their own.
  template <typename T>
  std::unique_ptr<Ops<T>> make(OpsSetup setup) {
    constexpr size_t kScratchFloats = size_t{8} << 20, kNormFloats = size_t{1} << 16;
    std::vector<float> scratch(kScratchFloats + kNormFloats + 16);
    float* aligned =
        scratch.data() + (16 - reinterpret_cast<uintptr_t>(scratch.data()) / 4 % 16) % 16;
    auto ops = make_cpu_ops<T>({.mode = setup.mode,
                                .products = setup.products,
                                .threads = setup.threads,
                                .rope = std::move(setup.rope),
                                .scratch = aligned,
                                .norm_scratch = aligned + kScratchFloats});
    return std::make_unique<FakeOps<T>>(device_, std::move(ops), std::move(scratch));
  }

 protected:
  FakeGpu device_;
  GpuProfile profile_;
};

}  // namespace borealis::testing
