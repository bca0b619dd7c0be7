// Marks in a stream, for Device's and DeviceGroup's calls of that name.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

namespace borealis::cuda {

class Marks {
 public:
  Marks() = default;
  ~Marks();
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;

  int64_t mark(cudaStream_t stream);
  // cudaSuccess once all before it is done, cudaErrorNotReady until then.
  cudaError_t state(int64_t mark) const;
  double ms_between(int64_t from, int64_t to) const;
  void forget() { marks_ = 0; }

 private:
  std::vector<cudaEvent_t> events_;  // used again once they are forgotten
  size_t marks_ = 0;
};

}  // namespace borealis::cuda
