#include "parallel/device_exchange.h"

#include <algorithm>
#include <span>
#include <vector>

#include "base/check.h"
#include "parallel/gradient_sum.h"

namespace borealis {
namespace {

// Elements of every rank's part of a unit that are in the host's memory at a time.
template <typename T>
class StagedParts {
 public:
  StagedParts(const UnitCut& cut, int64_t ranks, int64_t width, std::span<T> memory)
      : cut_(cut),
        ranks_(ranks),
        width_(width),
        most_(std::ssize(memory) / (ranks * width)),
        memory_(memory) {
    CHECK(most_ > 0);
  }

  // visit() for the next elements of each part, until all were there.
  template <typename Visit>
  void for_each(const Visit& visit) {
    for (at_ = 0; at_ < cut_.part; at_ += most_) visit();
  }
  // Where what is staged of a rank's part begins in the unit.
  int64_t begin(int64_t rank) const { return (cut_.begin(rank) + at_) * width_; }
  std::span<T> part(int64_t rank) const {
    const int64_t elements = std::clamp<int64_t>(cut_.size(rank) - at_, 0, most_);
    return memory_.subspan(static_cast<size_t>(rank * most_ * width_),
                           static_cast<size_t>(elements * width_));
  }
  std::vector<std::span<T>> parts() const {
    std::vector<std::span<T>> all;
    for (int64_t rank = 0; rank < ranks_; ++rank) all.push_back(part(rank));
    return all;
  }

 private:
  const UnitCut& cut_;
  int64_t ranks_, width_, most_;
  std::span<T> memory_;
  int64_t at_ = 0;
};

template <typename T>
void download(Device& device, const T* from, std::span<T> to) {
  if (!to.empty()) device.download(to.data(), from, to.size_bytes());
}
template <typename T>
void upload(Device& device, std::span<const T> from, T* to) {
  if (!from.empty()) device.upload(to, from.data(), from.size_bytes());
}

}  // namespace

int64_t sum_on_device(Communicator& ranks, Device& device, float* gradients, const UnitCut& cut,
                      int64_t shards, const SumBuffers& buffers) {
  int64_t received = 0;
  if (shards == 1) {
    const std::span<float> staged = buffers.staged<float>();
    for (int64_t at = 0; at < cut.elements; at += std::ssize(staged)) {
      const std::span<float> values = staged.first(
          static_cast<size_t>(std::min<int64_t>(std::ssize(staged), cut.elements - at)));
      download(device, gradients + at, values);
      received += sum_on_all(ranks, values, buffers);
      upload<float>(device, values, gradients + at);
    }
    return received;
  }
  StagedParts<float> staged(cut, shards, 1, buffers.staged<float>());
  const int64_t own = ranks.rank();
  staged.for_each([&] {
    const std::vector<std::span<float>> parts = staged.parts();
    for (int64_t rank = 0; rank < shards; ++rank) {
      download(device, gradients + staged.begin(rank), staged.part(rank));
    }
    const std::vector<std::span<const float>> given(parts.begin(), parts.end());
    received += sum_at_owners(ranks, given, staged.part(own), SumInto::kReplace, buffers);
    upload<float>(device, staged.part(own), gradients + staged.begin(own));
  });
  return received;
}

// A row that this rank did not have is written as a whole: its place need not be cleared.
int64_t sum_rows_on_device(Communicator& ranks, Device& device, RowGradients& rows,
                           const SumBuffers& buffers) {
  const auto values = [&rows, staged = buffers.staged<float>()] {
    return staged.first(static_cast<size_t>(rows.used_rows() * rows.shape().row_size));
  };
  download(device, rows.values(), values());
  const int64_t received = sum_row_gradients(ranks, rows, buffers.staged<float>().data(), buffers);
  upload<float>(device, values(), rows.values());
  return received;
}

int64_t gather_on_device(Communicator& ranks, Device& device, std::byte* weights,
                         const UnitCut& cut, int64_t width, const SumBuffers& buffers) {
  StagedParts<std::byte> staged(cut, ranks.size(), width, buffers.staged<std::byte>());
  const int64_t own = ranks.rank();
  staged.for_each([&] {
    download(device, weights + staged.begin(own), staged.part(own));
    const std::vector<std::span<const std::byte>> mine(static_cast<size_t>(ranks.size()),
                                                       staged.part(own));
    ranks.start_exchange_bytes(mine, staged.parts(), "gathering weights").wait();
    for (int64_t rank = 0; rank < ranks.size(); ++rank) {
      if (rank == own) continue;
      upload<std::byte>(device, staged.part(rank), weights + staged.begin(rank));
    }
  });
  return (cut.elements - cut.size(own)) * width;
}

}  // namespace borealis
