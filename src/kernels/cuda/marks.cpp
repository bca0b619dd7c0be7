#include "kernels/cuda/marks.h"

#include "kernels/cuda/launch.h"

namespace borealis::cuda {

Marks::~Marks() {
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
}

int64_t Marks::mark(cudaStream_t stream) {
  if (marks_ == events_.size()) check(cudaEventCreate(&events_.emplace_back()), "making an event");
  check(cudaEventRecord(events_[marks_], stream), "marking");
  return static_cast<int64_t>(marks_++);
}

cudaError_t Marks::state(int64_t mark) const {
  return cudaEventQuery(events_[static_cast<size_t>(mark)]);
}

double Marks::ms_between(int64_t from, int64_t to) const {
  float ms = 0;
  check(cudaEventElapsedTime(&ms, events_[static_cast<size_t>(from)],
                             events_[static_cast<size_t>(to)]),
        "measuring");
  return ms;
}

}  // namespace borealis::cuda
