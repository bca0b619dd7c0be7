#include "kernels/cpu/cpu_ops.h"

#include <algorithm>
#include <utility>

#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"

namespace borealis {
namespace {

template <typename T>
class CpuOps : public Ops<T> {
 public:
  explicit CpuOps(CpuOpsSetup setup)
      : setup_(std::move(setup)),
        linear_(setup_.mode, setup_.scratch, setup_.threads, setup_.products) {}

  void embedding(const EmbeddingForward<T>& a) override {
    embedding_forward(a.tokens, a.weight, a.rows, a.columns, a.out);
  }
  void embedding_backward(const EmbeddingBackward<T>& a) override {
    borealis::embedding_backward(a.tokens, a.dout, a.rows, a.columns, a.dweight);
  }

  void rms_norm(const RmsNormForward<T>& a) override {
    rms_norm_forward(a.x, a.weight, a.eps, a.rows, a.columns, a.y, a.inv_rms);
  }
  void add_rms_norm(const AddRmsNormForward<T>& a) override {
    const RmsNormForward<T>& n = a.norm;
    add_rms_norm_forward(n.x, a.delta, n.weight, n.eps, n.rows, n.columns, a.sum, n.y, n.inv_rms);
  }
  void rms_norm_backward(const RmsNormBackward<T>& a) override {
    borealis::rms_norm_backward(a.dy, a.x, a.weight, a.inv_rms, a.rows, a.columns, a.dx, a.dweight,
                                setup_.norm_scratch, a.normed);
  }

  void linear(const LinearForward<T>& a) override { linear_.forward(a.x, a.weight, a.y, a.shape); }
  // Turned as they leave the product.
  void linear_with_rope(const LinearForward<T>& a, const RopeRows& turned) override {
    const ResultEpilogue rotate{
        turned.head_dim, [&](const ResultBlock& block) {
          const int64_t first = block.column / turned.head_dim;
          const int64_t end =
              std::min((block.column + block.columns) / turned.head_dim, turned.heads);
          if (first >= end) return;  // values
          rope_forward_block(a.y, turned.row_stride, {block.row, block.rows, first, end - first},
                             setup_.rope, turned.positions);
        }};
    linear_.forward(a.x, a.weight, a.y, a.shape, &rotate);
  }
  void linear_backward_weight(const LinearBackwardWeight<T>& a) override {
    linear_.backward_weight(a.dy, a.x, a.dweight, a.accumulate, a.shape);
  }
  void linear_backward_input(const LinearBackwardInput<T>& a) override {
    linear_.backward_data(a.dy, a.weight, a.dx, a.shape);
  }
  void rope_backward(const RopeBackward<T>& a) override {
    const RopeRows& turned = a.turned;
    borealis::rope_backward(a.dqk, a.rows, turned.row_stride, turned.heads, turned.head_dim,
                            setup_.rope, 0, turned.positions);
  }

  void attention(const AttentionForward<T>& a) override {
    attention_forward(a.shape, a.qkv, a.out, a.lse, setup_.scratch, setup_.threads,
                      a.document_starts);
  }
  void attention_backward(const AttentionBackward<T>& a) override {
    borealis::attention_backward(a.shape, a.qkv, a.out, a.dout, a.lse, a.dqkv, setup_.scratch,
                                 setup_.threads, a.document_starts);
  }
  void attention_prefix(const AttentionPrefix<T>& a) override {
    attention_forward_prefix(a.shape, a.first, a.qkv, a.sequence, a.cache, a.out, a.lse,
                             setup_.scratch, setup_.threads);
  }
  void cache_keys_values(const CacheKeysValues<T>& a) override {
    borealis::cache_keys_values(a.shape, a.qkv, a.rows, a.cache);
  }
  void attention_decode(const AttentionDecode<T>& a) override {
    borealis::attention_decode(a.shape, a.qkv, a.rows, a.cache, a.out, setup_.scratch);
  }

  void swiglu(const SwigluForward<T>& a) override {
    swiglu_forward(a.gate_up, a.rows, a.columns, a.out);
  }
  void swiglu_backward(const SwigluBackward<T>& a) override {
    borealis::swiglu_backward(a.gate_up, a.dout, a.rows, a.columns);
  }

  double head_loss(const HeadLossForward<T>& a) override {
    return head_loss_forward(linear_, a.shape, a.in, setup_.scratch);
  }
  double head_loss_backward(const HeadLossBackward<T>& a) override {
    return head_loss_forward_backward(linear_, a.shape, a.in, a.scale, a.dx, a.dweight,
                                      a.accumulate, setup_.scratch);
  }
  void head_logits(const HeadLogits<T>& a) override {
    borealis::head_logits(linear_, a.shape, a.x, a.weight, a.logits, setup_.scratch);
  }

  void add(const T* a, const T* b, T* out, int64_t count) override {
    borealis::add(a, b, out, count);
  }
  void copy(const T* from, T* to, int64_t count) override {
    copy_bytes(from, to, sizeof(T) * static_cast<size_t>(count));
  }
  void clear(T* values, int64_t count) override {
    fill_zero(values, sizeof(T) * static_cast<size_t>(count));
  }
  void clear_gradient(float* gradient, int64_t count) override {
    fill_zero(gradient, sizeof(float) * static_cast<size_t>(count));
  }

 private:
  CpuOpsSetup setup_;
  LinearEngine linear_;
};

}  // namespace

template <typename T>
std::unique_ptr<Ops<T>> make_cpu_ops(CpuOpsSetup setup) {
  return std::make_unique<CpuOps<T>>(std::move(setup));
}

template std::unique_ptr<Ops<float>> make_cpu_ops(CpuOpsSetup setup);
template std::unique_ptr<Ops<bf16>> make_cpu_ops(CpuOpsSetup setup);

}  // namespace borealis
