// What the kernels of a step reach on a CUDA device, in one table: those that move memory as a
// share of what copying reaches, products as a share of the rate that products keep up on the hot
// card. Takes no arguments and about half a minute.
//   Operands are random (a card clocks higher on zeros) and rotated, or too large for the second
//   level of the cache. A figure is the median of kSamples runs, each of several launches.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/random.h"
#include "kernels/cuda/cross_entropy_cluster.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/fused_attention.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/products.h"
#include "kernels/rope.h"

namespace borealis {
namespace {

using cuda::check;

constexpr int64_t kRows = 8192, kVocabulary = 256000, kHeadDim = 128;
constexpr int kSamples = 7;
constexpr size_t kBeyondTheCache = size_t{256} << 20;
constexpr cudaStream_t kStream = nullptr;

struct Model {
  const char* name;
  int64_t hidden, heads, kv_heads, ffn;

  int64_t row_stride() const { return (heads + 2 * kv_heads) * kHeadDim; }
  AttentionShape attention() const { return {1, kRows, heads, kv_heads, kHeadDim}; }
};
constexpr Model kModels[] = {{"llama3", 3072, 24, 8, 8192}, {"smollm3", 2048, 16, 4, 11008}};

class DeviceMemory {
 public:
  explicit DeviceMemory(size_t bytes) { check(cudaMalloc(&data_, bytes), "allocating"); }
  ~DeviceMemory() { cudaFree(data_); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  std::byte* data() const { return static_cast<std::byte*>(data_); }

 private:
  void* data_ = nullptr;
};

// N(0, 1) in bf16. Two of them are an f32 of N(0, 1).
class RandomValues {
 public:
  RandomValues() : memory_(kCount * sizeof(bf16)) {
    const RandomStream stream(1, 0);
    std::vector<bf16> values(kCount);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < kCount; ++i) values[i] = bf16(static_cast<float>(stream.normal(i)));
    check(cudaMemcpy(memory_.data(), values.data(), kBytes, cudaMemcpyHostToDevice), "uploading");
  }
  void fill(std::byte* to, size_t bytes) const {
    for (size_t done = 0; done < bytes; done += kBytes) {
      check(cudaMemcpyAsync(to + done, memory_.data(), std::min(kBytes, bytes - done),
                            cudaMemcpyDeviceToDevice, kStream),
            "filling");
    }
  }

 private:
  static constexpr size_t kCount = size_t{1} << 23, kBytes = kCount * sizeof(bf16);
  DeviceMemory memory_;
};

// As many copies as do not fit into the cache; launch i takes one of them.
template <typename T>
class Operand {
 public:
  Operand(const RandomValues& values, int64_t count)
      : bytes_((static_cast<size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment),
        copies_((kBeyondTheCache + bytes_ - 1) / bytes_),
        memory_(bytes_ * copies_) {
    values.fill(memory_.data(), bytes_ * copies_);
  }
  T* of(int launch) const {
    return reinterpret_cast<T*>(memory_.data() + static_cast<size_t>(launch) % copies_ * bytes_);
  }

 private:
  static constexpr size_t kAlignment = 256;
  size_t bytes_, copies_;
  DeviceMemory memory_;
};

// One copy of what is given.
template <typename T>
class Uploaded {
 public:
  explicit Uploaded(const std::vector<T>& values) : memory_(values.size() * sizeof(T)) {
    check(cudaMemcpy(memory_.data(), values.data(), values.size() * sizeof(T),
                     cudaMemcpyHostToDevice),
          "uploading");
  }
  T* data() const { return reinterpret_cast<T*>(memory_.data()); }

 private:
  DeviceMemory memory_;
};

class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "making an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record() const { check(cudaEventRecord(event_, kStream), "recording an event"); }
  double ms_since(const Event& earlier) const {
    check(cudaEventSynchronize(event_), "waiting");
    float ms = 0;
    check(cudaEventElapsedTime(&ms, earlier.event_, event_), "measuring");
    return ms;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

// Of one launch. body(i) queues launch i.
template <typename Body>
double median_us(const Body& body) {
  constexpr double kSampleMs = 4;
  constexpr int kMostLaunches = 48;
  const Event begin, end;
  int launch = 0;
  const auto sample_ms = [&](int launches) {
    begin.record();
    for (int i = 0; i < launches; ++i) body(launch++);
    end.record();
    return end.ms_since(begin);
  };
  sample_ms(1);  // makes plans and loads code
  const int launches = std::clamp(static_cast<int>(kSampleMs / sample_ms(1)), 1, kMostLaunches);
  std::vector<double> us;
  for (int i = 0; i < kSamples; ++i) us.push_back(sample_ms(launches) * 1e3 / launches);
  std::nth_element(us.begin(), us.begin() + kSamples / 2, us.end());
  return us[kSamples / 2];
}

struct Card {
  double copy_bytes_per_s = 0, product_flops_per_s = 0;
};

void print_row(const std::string& what, double us, double rate, const char* unit,
               const std::string& share) {
  fmt::print("{:<44}{:>10.1f} us{:>9.1f} {:<8}{}\n", what, us, rate, unit, share);
  std::fflush(stdout);
}
void print_moved(const Card& card, const std::string& what, double us, int64_t bytes) {
  const double per_s = static_cast<double>(bytes) / us * 1e6;
  print_row(what, us, per_s / 1e9, "GB/s",
            fmt::format("{:>5.1f} % of copy", 100 * per_s / card.copy_bytes_per_s));
}
void print_product(const Card& card, const std::string& what, double us, double flops) {
  const double per_s = flops / us * 1e6;
  print_row(what, us, per_s / 1e12, "TFLOP/s",
            fmt::format("{:>5.1f} % of hot products", 100 * per_s / card.product_flops_per_s));
}
void print_attention(const std::string& what, double us, double flops) {
  print_row(what, us, flops / us / 1e6, "TFLOP/s", "");
}

double measure_copy(const RandomValues& values) {
  constexpr int64_t kBytes = int64_t{1} << 30;
  const Operand<std::byte> from(values, kBytes), to(values, kBytes);
  const double us = median_us([&](int i) {
    check(cudaMemcpyAsync(to.of(i), from.of(i), kBytes, cudaMemcpyDeviceToDevice, kStream),
          "copying");
  });
  return 2.0 * kBytes / us * 1e6;
}

// y = x W^T and the products of its backward pass.
class Layer {
 public:
  Layer(const RandomValues& values, cuda::CublasProducts& products, std::string name,
        const LinearShape& shape)
      : name_(std::move(name)),
        shape_(shape),
        products_(products),
        x_(values, shape.rows * shape.in_features),
        weight_(values, shape.out_features * shape.in_features),
        y_(values, shape.rows * shape.out_features),
        dweight_(values, shape.out_features * shape.in_features) {}

  // Results go where operands do not come from: x and y stay random.
  void forward(int i) {
    products_.forward(LinearForward<bf16>{shape_, x_.of(i), weight_.of(i), out_});
  }
  void backward_input(int i) {
    products_.backward_input(LinearBackwardInput<bf16>{shape_, y_.of(i), weight_.of(i), out_});
  }
  void backward_weight(int i) {
    products_.backward_weight(
        LinearBackwardWeight<bf16>{shape_, y_.of(i), x_.of(i), dweight_.of(i), true});
  }
  void share_results(bf16* out) { out_ = out; }

  double flops() const {
    return 2.0 * static_cast<double>(shape_.rows) * static_cast<double>(shape_.out_features) *
           static_cast<double>(shape_.in_features);
  }
  void print(const Card& card) {
    print_product(card, name_ + " forward", median_us([&](int i) { forward(i); }), flops());
    print_product(card, name_ + " dx", median_us([&](int i) { backward_input(i); }), flops());
    print_product(card, name_ + " dW", median_us([&](int i) { backward_weight(i); }), flops());
  }

 private:
  std::string name_;
  LinearShape shape_;
  cuda::CublasProducts& products_;
  Operand<bf16> x_, weight_, y_;
  Operand<float> dweight_;
  bf16* out_ = nullptr;
};

struct Layers {
  Layers(const RandomValues& values, cuda::CublasProducts& products, const Model& m)
      : results(values, kRows * std::max(2 * m.ffn, m.row_stride())) {
    const auto add = [&](const char* name, int64_t out, int64_t in) {
      all.push_back(std::make_unique<Layer>(values, products, fmt::format("{} {}", m.name, name),
                                            LinearShape{kRows, out, in}));
      all.back()->share_results(results.of(0));
    };
    add("qkv", m.row_stride(), m.hidden);
    add("o", m.hidden, m.heads * kHeadDim);
    add("gate_up", 2 * m.ffn, m.hidden);
    add("down", m.hidden, m.ffn);
  }
  Operand<bf16> results;
  std::vector<std::unique_ptr<Layer>> all;
};

// What all products of a layer in turn reach together after `seconds` of them.
double measure_hot_products(Layers& layers, double seconds) {
  const auto now = std::chrono::steady_clock::now;
  const Event begin, end;
  double flops = 0, ms = 0;
  int launch = 0;
  const auto start = now();
  do {
    constexpr int kRounds = 10;
    begin.record();
    flops = 0;
    for (int round = 0; round < kRounds; ++round, ++launch) {
      for (const auto& layer : layers.all) {
        layer->forward(launch);
        layer->backward_input(launch);
        layer->backward_weight(launch);
        flops += 3 * layer->flops();
      }
    }
    end.record();
    ms = end.ms_since(begin);
  } while (std::chrono::duration<double>(now() - start).count() < seconds);
  return flops / ms * 1e3;
}

void bench_norms(const Card& card, const RandomValues& values, const Model& m, int processors) {
  const int64_t D = m.hidden, bytes = kRows * D * int64_t{sizeof(bf16)};
  const Operand<bf16> x(values, kRows * D), y(values, kRows * D), delta(values, kRows * D),
      sum(values, kRows * D), weight(values, D);
  const Operand<float> inv_rms(values, kRows), dweight(values, D),
      partials(values, gpu_norm_partial_rows(processors) * D);
  const auto norm = [&](int i) {
    return RmsNormForward<bf16>{x.of(i), weight.of(0), 1e-5f, kRows, D, y.of(i), inv_rms.of(0)};
  };
  const std::string name = m.name;
  print_moved(card, name + " RMSNorm", median_us([&](int i) { cuda::rms_norm(norm(i), kStream); }),
              2 * bytes);
  print_moved(
      card, name + " add and RMSNorm", median_us([&](int i) {
        cuda::add_rms_norm(AddRmsNormForward<bf16>{norm(i), delta.of(i), sum.of(i)}, kStream);
      }),
      4 * bytes);
  // As all norms but a micro-batch's first: the normed rows come out as well.
  print_moved(card, name + " RMSNorm backward", median_us([&](int i) {
                cuda::rms_norm_backward(
                    RmsNormBackward<bf16>{delta.of(i), x.of(i), weight.of(0), inv_rms.of(0), kRows,
                                          D, sum.of(i), dweight.of(0), y.of(i)},
                    partials.of(0), processors, kStream);
              }),
              5 * bytes);
  print_moved(card, name + " residual", median_us([&](int i) {
                cuda::add(x.of(i), delta.of(i), y.of(i), kRows * D, kStream);
              }),
              3 * bytes);
}

void bench_rope(const Card& card, const RandomValues& values, const Model& m) {
  const RopeTable table = make_rope_table(500000, nullptr, kHeadDim, kRows, DType::kBF16);
  const Uploaded<float> cos(table.cos), sin(table.sin);
  const Operand<bf16> qkv(values, kRows * m.row_stride());
  const int64_t turned = m.heads + m.kv_heads;
  const double us = median_us([&](int i) {
    cuda::rope(qkv.of(i), kRows, {m.row_stride(), turned, kHeadDim, nullptr},
               {cos.data(), sin.data(), kRows}, 1, kStream);
  });
  print_moved(card, fmt::format("{} RoPE", m.name), us,
              kRows * kHeadDim * (turned * 2 * int64_t{sizeof(bf16)} + int64_t{sizeof(float)}));
}

void bench_swiglu(const Card& card, const RandomValues& values, const Model& m) {
  const Operand<bf16> gate_up(values, kRows * 2 * m.ffn), out(values, kRows * m.ffn);
  const int64_t bytes = kRows * m.ffn * int64_t{sizeof(bf16)};
  print_moved(card, fmt::format("{} SwiGLU", m.name), median_us([&](int i) {
                cuda::swiglu(SwigluForward<bf16>{gate_up.of(i), kRows, m.ffn, out.of(i)}, kStream);
              }),
              3 * bytes);
  print_moved(card, fmt::format("{} SwiGLU backward", m.name), median_us([&](int i) {
                cuda::swiglu_backward(SwigluBackward<bf16>{gate_up.of(i), out.of(i), kRows, m.ffn},
                                      kStream);
              }),
              6 * bytes);
}

void bench_attention(const RandomValues& values, const Model& m) {
  const AttentionShape shape = m.attention();
  if (!cuda::fused_attention_takes(shape)) {
    fmt::print("{} attention: built without cuDNN\n", m.name);
    return;
  }
  const Operand<bf16> qkv(values, kRows * m.row_stride()), dqkv(values, kRows * m.row_stride());
  const Operand<bf16> out(values, kRows * m.heads * kHeadDim),
      dout(values, kRows * m.heads * kHeadDim);
  const Operand<float> lse(values, kRows * m.heads);
  const double unit = static_cast<double>(m.heads * kHeadDim) * kRows * kRows;
  for (const bool deterministic : {false, true}) {
    cuda::FusedAttention attention(shape, deterministic, false, 0, kStream);
    const DeviceMemory workspace(attention.workspace_bytes());
    // The backward pass takes what the forward pass made, of one copy.
    const AttentionForward<bf16> forward{shape, qkv.of(0), nullptr, out.of(0), lse.of(0)};
    const AttentionBackward<bf16> backward{shape,   qkv.of(0),  out.of(0), lse.of(0),
                                           nullptr, dout.of(0), dqkv.of(0)};
    if (!deterministic) {
      print_attention(fmt::format("{} attention", m.name),
                      median_us([&](int) { attention.forward(forward, workspace.data()); }),
                      2 * unit);
    }
    attention.forward(forward, workspace.data());
    print_attention(
        fmt::format("{} attention backward{} ({} MiB)", m.name,
                    deterministic ? ", deterministic" : "", attention.workspace_bytes() >> 20),
        median_us([&](int) { attention.backward(backward, workspace.data()); }), 5 * unit);
  }
}

std::vector<int32_t> random_tokens() {
  const RandomStream stream(2, 0);
  std::vector<int32_t> tokens(kRows);
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(stream.below(i, kVocabulary));
  }
  return tokens;
}

void bench_embedding(const Card& card, const RandomValues& values, const Model& m) {
  const int64_t D = m.hidden, elements = kRows * D;
  const Uploaded<int32_t> tokens(random_tokens());
  const Operand<bf16> weight(values, kVocabulary * D), rows(values, elements);
  print_moved(card, fmt::format("{} embedding", m.name), median_us([&](int i) {
                cuda::embedding(
                    EmbeddingForward<bf16>{tokens.data(), weight.of(0), kRows, D, rows.of(i)},
                    kStream);
              }),
              2 * elements * int64_t{sizeof(bf16)});
  const Operand<float> dweight(values, kVocabulary * D);
  const size_t bytes = cuda::embedding_backward_workspace_bytes(kRows);
  const DeviceMemory workspace(bytes);
  print_moved(card, fmt::format("{} embedding backward", m.name), median_us([&](int i) {
                cuda::embedding_backward(
                    EmbeddingBackward<bf16>{tokens.data(), rows.of(i), kRows, D, dweight.of(0)},
                    workspace.data(), bytes, kStream);
              }),
              elements * int64_t{sizeof(bf16) + 2 * sizeof(float)});
}

void bench_head(const Card& card, const RandomValues& values, cuda::CublasProducts& products,
                const Model& m) {
  const Operand<bf16> results(values, kRows * kVocabulary);
  Layer head(values, products, fmt::format("{} head", m.name), {kRows, kVocabulary, m.hidden});
  head.share_results(results.of(0));
  head.print(card);
}

void bench_cross_entropy(const Card& card, const RandomValues& values) {
  const Uploaded<int32_t> targets(random_tokens());
  const Operand<bf16> logits(values, kRows * kVocabulary);
  const Operand<float> loss(values, kRows);
  const int64_t bytes = kRows * kVocabulary * int64_t{sizeof(bf16)};
  print_moved(card, "cross entropy", median_us([&](int) {
                cuda::cross_entropy<bf16>(logits.of(0), targets.data(), kRows, kVocabulary,
                                          loss.of(0), kStream);
              }),
              bytes);
  print_moved(card, "cross entropy and gradient", median_us([&](int) {
                cuda::cross_entropy_gradient(logits.of(0), targets.data(), kRows, kVocabulary, 1.0f,
                                             loss.of(0), kStream);
              }),
              2 * bytes);
  const auto by_clusters = [&] {
    return cuda::cluster_cross_entropy_gradient(logits.of(0), targets.data(), kRows, kVocabulary,
                                                1.0f, loss.of(0), kStream);
  };
  if (!by_clusters()) return;
  print_moved(card, "the same by clusters", median_us([&](int) { by_clusters(); }), 2 * bytes);
}

void bench_optimizer(const Card& card, const RandomValues& values) {
  constexpr int64_t kParameters = 200'000'000, kBytesEach = 28;
  const Operand<bf16> weight(values, kParameters);
  const Operand<uint16_t> remainder(values, kParameters);
  const Operand<float> m(values, kParameters), v(values, kParameters),
      gradient(values, kParameters);
  constexpr int kSmallAndPositive = 0x3c;  // 0.0115
  check(cudaMemset(v.of(0), kSmallAndPositive, kParameters * sizeof(float)), "filling");
  const AdamWStep step{.learning_rate = 1e-4, .weight_decay = 0.1};
  print_moved(card, "AdamW of 2e8 parameters", median_us([&](int) {
                cuda::adamw(AdamWSpan<bf16>{weight.of(0), remainder.of(0), m.of(0), v.of(0),
                                            gradient.of(0), kParameters},
                            step, kStream);
              }),
              kParameters * kBytesEach);
  const Operand<double> partials(values, cuda::sum_of_squares_partials(kParameters)),
      sum(values, 1);
  print_moved(card, "sum of squares of 2e8 values", median_us([&](int) {
                cuda::sum_of_squares(gradient.of(0), kParameters, partials.of(0), sum.of(0),
                                     kStream);
              }),
              kParameters * int64_t{sizeof(float)});
}

void bench_all() {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "looking at the device");
  fmt::print("{}, {} multiprocessors\n", properties.name, properties.multiProcessorCount);
  const RandomValues values;
  const DeviceMemory workspace(static_cast<size_t>(kGpuProductWorkspaceBytes));
  cuda::CublasProducts products({workspace.data(), size_t{kGpuProductWorkspaceBytes}}, kStream);

  Card card;
  card.copy_bytes_per_s = measure_copy(values);
  fmt::print("copy {:.0f} GB/s, read and written\n", card.copy_bytes_per_s / 1e9);
  for (const Model& m : kModels) {
    Layers layers(values, products, m);
    const double rate = measure_hot_products(layers, 1.0);
    if (card.product_flops_per_s == 0) {
      card.product_flops_per_s = rate;
      fmt::print("products of a {} layer in turn for a second {:.0f} TFLOP/s\n\n", m.name,
                 rate / 1e12);
    }
    for (const auto& layer : layers.all) layer->print(card);
  }
  for (const Model& m : kModels) bench_head(card, values, products, m);
  for (const Model& m : kModels) bench_attention(values, m);
  for (const Model& m : kModels) {
    bench_norms(card, values, m, properties.multiProcessorCount);
    bench_rope(card, values, m);
    bench_swiglu(card, values, m);
    bench_embedding(card, values, m);
  }
  bench_cross_entropy(card, values);
  bench_optimizer(card, values);
}

}  // namespace
}  // namespace borealis

int main() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
    std::fprintf(stderr, "bench_cuda: no CUDA device\n");
    return 1;
  }
  try {
    borealis::bench_all();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_cuda: %s\n", e.what());
    return 1;
  }
}
