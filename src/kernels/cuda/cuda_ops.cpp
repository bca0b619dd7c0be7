#include "kernels/cuda/cuda_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/units.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/fused_attention.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/products.h"

namespace borealis::cuda {
namespace {

// Where each thing lies that the operations need besides their operands; gpu_ops_bytes is the sum.
template <typename T>
struct Scratch {
  std::byte* products = nullptr;         // kGpuProductWorkspaceBytes
  T* logits = nullptr;                   // [head_rows, V]
  float* losses = nullptr;               // [head_rows]
  double* loss = nullptr;                // [1]
  float *cos = nullptr, *sin = nullptr;  // [rope_positions, C/2]
  std::byte* attention = nullptr;        // attention_bytes
  int64_t attention_bytes = 0;           // 0: cuDNN has no part in it
  // Of a backward pass:
  float* norm_partials = nullptr;  // [partial rows, D]
  float* dots = nullptr;           // [rows, H]
  std::byte* embedding = nullptr;  // embedding_bytes
  int64_t embedding_bytes = 0;

  Scratch(const GpuOpsShape& s, const GpuProfile& gpu, std::byte* memory) {
    int64_t used = 0;
    const auto take = [&]<typename U>(U*& place, int64_t count) {
      place = reinterpret_cast<U*>(memory + used);
      used += gpu_aligned(count * static_cast<int64_t>(sizeof(U)));
    };
    attention_bytes = fused_attention_bytes(s, dtype_of<T>(), gpu);
    take(products, kGpuProductWorkspaceBytes);
    take(logits, s.head_rows * s.vocab_size);
    take(losses, s.head_rows);
    take(loss, 1);
    take(cos, s.rope_positions * s.head_dim / 2);
    take(sin, s.rope_positions * s.head_dim / 2);
    take(attention, attention_bytes);
    if (!s.forward_only) {
      embedding_bytes = gpu_embedding_workspace_bytes(s.rows());
      take(norm_partials, gpu_norm_partial_rows(gpu.multiprocessors) * s.hidden_size);
      take(dots, s.rows() * s.num_heads);
      take(embedding, embedding_bytes);
    }
    CHECK(used == gpu_ops_bytes(s, dtype_of<T>(), gpu));
  }
};

template <typename T>
class CudaOps : public Ops<T> {
 public:
  CudaOps(const GpuOpsShape& shape, const GpuProfile& gpu, const RopeTable& rope, std::byte* memory,
          cudaStream_t stream, std::unique_ptr<FusedAttention> attention)
      : shape_(shape),
        multiprocessors_(gpu.multiprocessors),
        scratch_(shape, gpu, memory),
        stream_(stream),
        products_({scratch_.products, size_t{kGpuProductWorkspaceBytes}}, stream),
        fused_(std::move(attention)) {
    CHECK(shape.forward_only || embedding_backward_workspace_bytes(shape.rows()) <=
                                    static_cast<size_t>(scratch_.embedding_bytes));
    make_fused_attention(gpu);
    CHECK(rope.seq_length <= shape.rope_positions && 2 * rope.half_dim <= shape.head_dim);
    const size_t bytes = rope.cos.size() * sizeof(float);
    upload(scratch_.cos, rope.cos.data(), bytes);
    upload(scratch_.sin, rope.sin.data(), bytes);
    rope_ = {scratch_.cos, scratch_.sin, rope.seq_length};
  }

  void embedding(const EmbeddingForward<T>& a) override { cuda::embedding(a, stream_); }
  void embedding_backward(const EmbeddingBackward<T>& a) override {
    CHECK(!shape_.forward_only && a.rows <= shape_.rows());
    cuda::embedding_backward(a, scratch_.embedding, static_cast<size_t>(scratch_.embedding_bytes),
                             stream_);
  }

  void rms_norm(const RmsNormForward<T>& a) override { cuda::rms_norm(a, stream_); }
  void add_rms_norm(const AddRmsNormForward<T>& a) override { cuda::add_rms_norm(a, stream_); }
  void rms_norm_backward(const RmsNormBackward<T>& a) override {
    CHECK(a.columns <= shape_.hidden_size);
    cuda::rms_norm_backward(a, scratch_.norm_partials, multiprocessors_, stream_);
  }

  void linear(const LinearForward<T>& a) override { products_.forward(a); }
  void linear_with_rope(const LinearForward<T>& a, const RopeRows& turned) override {
    products_.forward(a);
    rope(a.y, a.shape.rows, turned, rope_, 1, stream_);
  }
  void linear_backward_weight(const LinearBackwardWeight<T>& a) override {
    products_.backward_weight(a);
  }
  void linear_backward_input(const LinearBackwardInput<T>& a) override {
    products_.backward_input(a);
  }
  void rope_backward(const RopeBackward<T>& a) override {
    rope(a.dqk, a.rows, a.turned, rope_, -1, stream_);
  }

  void set_documents(std::span<const int32_t> lengths) override {
    documents_ = static_cast<int64_t>(lengths.size());
    if (fused_ && documents_ <= kMostFusedDocuments) fused_->set_documents(lengths);
  }
  void attention(const AttentionForward<T>& a) override {
    if constexpr (dtype_of<T>() == DType::kBF16) {
      if (is_fused(a.shape, a.document_starts)) return fused_->forward(a, scratch_.attention);
    }
    cuda::attention(a, stream_);
  }
  void attention_backward(const AttentionBackward<T>& a) override {
    if constexpr (dtype_of<T>() == DType::kBF16) {
      if (is_fused(a.shape, a.document_starts)) return fused_->backward(a, scratch_.attention);
    }
    CHECK(!shape_.forward_only && a.shape.batch_size * a.shape.seq_length <= shape_.rows());
    cuda::attention_backward(a, scratch_.dots, stream_);
  }
  void attention_prefix(const AttentionPrefix<T>& a) override {
    cuda::attention_prefix(a, stream_);
  }
  void cache_keys_values(const CacheKeysValues<T>& a) override {
    cuda::cache_keys_values(a, stream_);
  }
  void attention_decode(const AttentionDecode<T>& a) override {
    cuda::attention_decode(a, stream_);
  }

  void swiglu(const SwigluForward<T>& a) override { cuda::swiglu(a, stream_); }
  void swiglu_backward(const SwigluBackward<T>& a) override { cuda::swiglu_backward(a, stream_); }

  double head_loss(const HeadLossForward<T>& a) override {
    begin_loss();
    for_chunks(a.shape.rows, [&](int64_t first, int64_t rows) {
      make_logits(a.shape, a.in, first, rows);
      cross_entropy(scratch_.logits, a.in.targets + first, rows, a.shape.vocab_size,
                    scratch_.losses, stream_);
      add_up(scratch_.losses, rows, scratch_.loss, stream_);
    });
    return loss();
  }
  double head_loss_backward(const HeadLossBackward<T>& a) override {
    begin_loss();
    const int64_t D = a.shape.hidden_size, V = a.shape.vocab_size;
    for_chunks(a.shape.rows, [&](int64_t first, int64_t rows) {
      make_logits(a.shape, a.in, first, rows);
      cross_entropy_gradient(scratch_.logits, a.in.targets + first, rows, V, a.scale,
                             scratch_.losses, stream_);
      add_up(scratch_.losses, rows, scratch_.loss, stream_);
      const LinearShape shape{rows, V, D};
      products_.backward_weight(LinearBackwardWeight<T>{shape, scratch_.logits, a.in.x + first * D,
                                                        a.dweight, a.accumulate || first > 0});
      products_.backward_input(
          LinearBackwardInput<T>{shape, scratch_.logits, a.in.weight, a.dx + first * D});
    });
    return loss();
  }
  void head_logits(const HeadLogits<T>& a) override {
    products_.forward_f32({a.shape.rows, a.shape.vocab_size, a.shape.hidden_size}, a.x, a.weight,
                          a.logits);
  }

  void add(const T* a, const T* b, T* out, int64_t count) override {
    cuda::add(a, b, out, count, stream_);
  }
  void copy(const T* from, T* to, int64_t count) override {
    check(cudaMemcpyAsync(to, from, sizeof(T) * static_cast<size_t>(count),
                          cudaMemcpyDeviceToDevice, stream_),
          "copying");
  }
  void clear(T* values, int64_t count) override { clear_bytes(values, sizeof(T), count); }
  void clear_gradient(float* gradient, int64_t count) override {
    clear_bytes(gradient, sizeof(float), count);
  }

 private:
  void make_fused_attention(const GpuProfile& gpu) {
    const FusedAttentionNeeds needs = shape_.attention();
    if (scratch_.attention_bytes == 0 || !fused_attention_takes(needs.shape)) return;
    if (!fused_) {
      fused_ = std::make_unique<FusedAttention>(needs.shape, gpu.deterministic, needs.forward_only,
                                                needs.documents ? kMostFusedDocuments : 0, stream_);
    }
    if (static_cast<int64_t>(fused_->workspace_bytes()) > scratch_.attention_bytes) {
      throw Error(ErrorKind::kDevice,
                  fmt::format("cuDNN's attention needs {} of memory where {} were planned",
                              format_bytes(static_cast<int64_t>(fused_->workspace_bytes())),
                              format_bytes(scratch_.attention_bytes)));
    }
  }
  // cuDNN's plans are of one shape; what has another, or more documents, or some that it was not
  // told of, is ours.
  bool is_fused(const AttentionShape& shape, const int32_t* document_starts) const {
    const bool knows_documents = (document_starts != nullptr) == (documents_ > 0);
    return fused_ && knows_documents && shape.batch_size == shape_.micro_batch_size &&
           shape.seq_length == shape_.seq_length && documents_ <= kMostFusedDocuments;
  }
  void upload(void* to, const void* from, size_t bytes) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "uploading");
    check(cudaStreamSynchronize(stream_), "uploading");  // before the host's memory may change
  }
  void clear_bytes(void* values, size_t size, int64_t count) {
    check(cudaMemsetAsync(values, 0, size * static_cast<size_t>(count), stream_), "clearing");
  }

  template <typename Body>
  void for_chunks(int64_t rows, const Body& body) const {
    for (int64_t first = 0; first < rows; first += shape_.head_rows) {
      body(first, std::min(shape_.head_rows, rows - first));
    }
  }
  void make_logits(const HeadShape& shape, const HeadOperands<T>& in, int64_t first, int64_t rows) {
    CHECK(shape.vocab_size <= shape_.vocab_size);
    products_.forward(LinearForward<T>{{rows, shape.vocab_size, shape.hidden_size},
                                       in.x + first * shape.hidden_size,
                                       in.weight,
                                       scratch_.logits});
  }
  void begin_loss() { clear_bytes(scratch_.loss, sizeof(double), 1); }
  double loss() {
    double sum = 0;
    check(cudaMemcpyAsync(&sum, scratch_.loss, sizeof(sum), cudaMemcpyDeviceToHost, stream_),
          "reading the loss");
    check(cudaStreamSynchronize(stream_), "reading the loss");
    return sum;
  }

  GpuOpsShape shape_;
  int multiprocessors_;
  Scratch<T> scratch_;
  cudaStream_t stream_;
  CublasProducts products_;
  std::unique_ptr<FusedAttention> fused_;  // null: all attention is ours
  int64_t documents_ = 0;                  // of the batch under way; 0: every sequence is one
  RopeTableOnDevice rope_;
};

}  // namespace

template <typename T>
std::unique_ptr<Ops<T>> make_cuda_ops(const GpuOpsShape& shape, const GpuProfile& gpu,
                                      const RopeTable& rope, std::byte* memory, cudaStream_t stream,
                                      std::unique_ptr<FusedAttention> attention) {
  return std::make_unique<CudaOps<T>>(shape, gpu, rope, memory, stream, std::move(attention));
}

template std::unique_ptr<Ops<float>> make_cuda_ops(const GpuOpsShape&, const GpuProfile&,
                                                   const RopeTable&, std::byte*, cudaStream_t,
                                                   std::unique_ptr<FusedAttention>);
template std::unique_ptr<Ops<bf16>> make_cuda_ops(const GpuOpsShape&, const GpuProfile&,
                                                  const RopeTable&, std::byte*, cudaStream_t,
                                                  std::unique_ptr<FusedAttention>);

}  // namespace borealis::cuda
