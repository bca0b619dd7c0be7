#include "kernels/cuda/cuda_optimizer_ops.h"

#include <vector>

#include "base/check.h"
#include "kernels/cuda/cuda_kernels.h"

namespace borealis::cuda {
namespace {

class CudaOptimizerOps : public OptimizerOps {
 public:
  CudaOptimizerOps(const GpuOptimizerShape& shape, std::span<std::byte> scratch, CudaDevice& device)
      : shape_(shape), device_(device), had_gradient_(static_cast<size_t>(shape.table_rows)) {
    std::byte* at = scratch.data();
    const auto take = [&](int64_t bytes) {
      std::byte* place = at;
      at += gpu_aligned(bytes);
      return place;
    };
    partials_ = reinterpret_cast<double*>(take(shape.partial_sums() * 8));
    sums_ = reinterpret_cast<double*>(take(kGpuMostSums * 8));
    places_ = reinterpret_cast<int32_t*>(take(shape.table_rows * 4));
    had_gradient_on_device_ = reinterpret_cast<uint8_t*>(take(shape.table_rows));
    CHECK(at - scratch.data() == static_cast<int64_t>(scratch.size()));
  }

  void sum_of_squares(const float* x, int64_t count, double* sum) override {
    CHECK(count <= shape_.largest_sum);
    cuda::sum_of_squares(x, count, partials_, place_of(sum), device_.stream());
  }
  void sum_of_squares_of_rows(const float* matrix, std::span<const int32_t> rows, int64_t row_size,
                              double* sum) override {
    CHECK(std::ssize(rows) <= shape_.most_rows);
    device_.upload(places_, rows.data(), rows.size_bytes());
    cuda::sum_of_squares_of_rows(matrix, places_, std::ssize(rows), row_size, partials_,
                                 place_of(sum), device_.stream());
  }
  void wait() override {
    std::vector<double> sums(wanted_.size());
    device_.download(sums.data(), sums_, sums.size() * sizeof(double));
    for (size_t i = 0; i < sums.size(); ++i) *wanted_[i] = sums[i];
    wanted_.clear();
  }

  void adamw(const AdamWSpan<bf16>& a, const AdamWStep& step) override {
    CHECK(a.to.m == nullptr);
    cuda::adamw(a, step, device_.stream());
  }
  void adamw(const AdamWSpan<float>& a, const AdamWStep& step) override {
    CHECK(a.to.m == nullptr);
    cuda::adamw(a, step, device_.stream());
  }
  void adamw_rows(const AdamWRows<bf16>& a, const RowGradients& gradient,
                  const AdamWStep& step) override {
    update_rows(a, gradient, step);
  }
  void adamw_rows(const AdamWRows<float>& a, const RowGradients& gradient,
                  const AdamWStep& step) override {
    update_rows(a, gradient, step);
  }

 private:
  // On the device, of the next sum.
  double* place_of(double* sum) {
    if (wanted_.size() == kGpuMostSums) wait();
    wanted_.push_back(sum);
    return sums_ + (wanted_.size() - 1);
  }
  // What the host knows of the rows goes to the device; the host marks those of the step itself.
  template <typename T>
  void update_rows(const AdamWRows<T>& a, const RowGradients& gradient, const AdamWStep& step) {
    CHECK(a.to.m == nullptr);
    const std::span<const int32_t> places = gradient.places();
    CHECK(static_cast<int64_t>(places.size()) == shape_.table_rows);
    for (size_t row = 0; row < had_gradient_.size(); ++row) {
      had_gradient_[row] = (a.had_gradient[row / 64] >> (row % 64)) & 1;
    }
    device_.upload(places_, places.data(), places.size_bytes());
    device_.upload(had_gradient_on_device_, had_gradient_.data(), had_gradient_.size());
    cuda::adamw_rows(AdamWRowsOnDevice<T>{.begin = a.begin,
                                          .end = a.end,
                                          .row_size = gradient.shape().row_size,
                                          .weight = a.weight,
                                          .remainder = a.remainder,
                                          .m = a.m,
                                          .v = a.v,
                                          .had_gradient = had_gradient_on_device_,
                                          .place = places_,
                                          .values = gradient.values()},
                     step, device_.stream());
    for (const int32_t row : gradient.ids()) {
      a.had_gradient[row / 64] |= uint64_t{1} << (row % 64);
    }
  }

  GpuOptimizerShape shape_;
  CudaDevice& device_;
  double *partials_ = nullptr, *sums_ = nullptr;
  int32_t* places_ = nullptr;
  uint8_t* had_gradient_on_device_ = nullptr;
  std::vector<uint8_t> had_gradient_;
  std::vector<double*> wanted_;
};

}  // namespace

std::unique_ptr<OptimizerOps> make_cuda_optimizer_ops(const GpuOptimizerShape& shape,
                                                      std::span<std::byte> scratch,
                                                      CudaDevice& device) {
  return std::make_unique<CudaOptimizerOps>(shape, scratch, device);
}

}  // namespace borealis::cuda
