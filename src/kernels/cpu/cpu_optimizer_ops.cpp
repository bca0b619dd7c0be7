#include "kernels/grad_norm.h"
#include "kernels/optimizer_ops.h"

namespace borealis {
namespace {

class CpuOptimizerOps : public OptimizerOps {
 public:
  void sum_of_squares(const float* x, int64_t count, double* sum) override {
    *sum = borealis::sum_of_squares(x, count);
  }
  void sum_of_squares_of_rows(const float* matrix, std::span<const int32_t> rows, int64_t row_size,
                              double* sum) override {
    *sum = borealis::sum_of_squares_of_rows(matrix, rows, row_size);
  }
  void wait() override {}
  void adamw(const AdamWSpan<bf16>& a, const AdamWStep& step) override {
    if (a.to.m == nullptr) {
      adamw_update(a.weight, a.remainder, a.m, a.v, a.gradient, a.count, step);
    } else {
      adamw_move(a.weight, {a.remainder, a.m, a.v}, a.to, a.gradient, a.count, step);
    }
  }
  void adamw(const AdamWSpan<float>& a, const AdamWStep& step) override {
    if (a.to.m == nullptr) {
      adamw_update(a.weight, a.m, a.v, a.gradient, a.count, step);
    } else {
      adamw_move(a.weight, {nullptr, a.m, a.v}, a.to, a.gradient, a.count, step);
    }
  }
  void adamw_rows(const AdamWRows<bf16>& rows, const RowGradients& gradient,
                  const AdamWStep& step) override {
    adamw_update_rows(rows, gradient, step);
  }
  void adamw_rows(const AdamWRows<float>& rows, const RowGradients& gradient,
                  const AdamWStep& step) override {
    adamw_update_rows(rows, gradient, step);
  }
};

}  // namespace

std::unique_ptr<OptimizerOps> make_cpu_optimizer_ops() {
  return std::make_unique<CpuOptimizerOps>();
}

}  // namespace borealis
