// Fake GPUs that reach each other: what ranks that are threads exchange of them without their
// hosts. Nothing is done before it is waited for, as a queue may have it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "kernels/device_group.h"
#include "kernels/elementwise.h"
#include "support/fake_gpu.h"

namespace borealis::testing {

class FakeGroup : public DeviceGroup {
 public:
  FakeGroup(std::unique_ptr<Communicator> ranks, FakeGpu& device)
      : ranks_(std::move(ranks)), device_(device) {}

  void follow_device() override { ++followed_; }
  void wait() override { run_until(queue_.size()); }
  void wait_for(int64_t mark) override { run_until(marks_[static_cast<size_t>(mark)].at); }
  int times_followed() const { return followed_; }

  void exchange(std::span<const std::span<const std::byte>> to,
                std::span<const std::span<std::byte>> from) override {
    const std::vector<std::span<const std::byte>> sent(to.begin(), to.end());
    const std::vector<std::span<std::byte>> received(from.begin(), from.end());
    queue_.emplace_back([this, sent, received] { exchange_now(sent, received); });
  }
  void add_up(const SumOfRanks<float>& a) override { queue_sum(a); }
  void add_up(const SumOfRanks<bf16>& a) override { queue_sum(a); }
  void round(const float* from, bf16* to, int64_t count) override {
    queue_on_device([=] { convert(from, to, count); });
  }
  void widen(const bf16* from, float* to, int64_t count) override {
    queue_on_device([=] { convert(from, to, count); });
  }
  void pack_rows(const float* table, std::span<const int32_t> places, int32_t* places_there,
                 int64_t width, float* packed) override {
    queue_rows(places, places_there, [=](int32_t place, int64_t row) {
      std::copy_n(table + place * width, width, packed + row * width);
    });
  }
  void unpack_rows(const float* packed, std::span<const int32_t> places, int32_t* places_there,
                   int64_t width, float* table) override {
    queue_rows(places, places_there, [=](int32_t place, int64_t row) {
      std::copy_n(packed + row * width, width, table + place * width);
    });
  }
  void clear(float* values, int64_t count) override {
    queue_on_device([=] { std::fill_n(values, count, 0.0f); });
  }
  void copy(const std::byte* from, std::byte* to, size_t bytes) override {
    queue_on_device([=] { std::copy_n(from, bytes, to); });
  }

  int64_t mark() override {
    marks_.push_back({queue_.size(), Clock::now()});
    return std::ssize(marks_) - 1;
  }
  double ms_between(int64_t from, int64_t to) override {
    const auto when = [&](int64_t mark) { return marks_[static_cast<size_t>(mark)].when; };
    return std::chrono::duration<double, std::milli>(when(to) - when(from)).count();
  }
  void forget_marks() override {
    CHECK(done_ == queue_.size());
    marks_.clear();
    queue_.clear();
    done_ = 0;
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Mark {
    size_t at;  // so many of the queue are before it
    Clock::time_point when;
  };

  void run_until(size_t end) {
    while (done_ < end) queue_[done_++]();
  }
  void queue_on_device(std::function<void()> work) {
    queue_.emplace_back([this, work = std::move(work)] { device_.work(work); });
  }

  // Through memory of the host's: another rank's thread may not touch this one's device.
  void exchange_now(const std::vector<std::span<const std::byte>>& to,
                    const std::vector<std::span<std::byte>>& from) {
    const auto own = static_cast<size_t>(ranks_->rank());
    std::vector<std::vector<std::byte>> sent(to.size()), received(from.size());
    for (size_t r = 0; r < to.size(); ++r) {
      if (r == own) continue;
      sent[r].resize(to[r].size());
      if (!sent[r].empty()) device_.download(sent[r].data(), to[r].data(), sent[r].size());
      received[r].resize(from[r].size());
    }
    const std::vector<std::span<const std::byte>> out(sent.begin(), sent.end());
    const std::vector<std::span<std::byte>> in(received.begin(), received.end());
    ranks_->start_exchange_bytes(out, in, "exchanging").wait();
    for (size_t r = 0; r < from.size(); ++r) {
      if (received[r].empty()) continue;
      device_.upload(from[r].data(), received[r].data(), received[r].size());
    }
  }

  template <typename T>
  void queue_sum(const SumOfRanks<T>& a) {
    queue_on_device([a] {
      for (int64_t i = 0; i < a.count; ++i) {
        float sum = 0;
        for (int64_t rank = 0; rank < a.ranks; ++rank) {
          sum += float(rank == a.own_rank ? a.own[i] : a.received[rank * a.stride + i]);
        }
        const T travels(sum);
        a.sum[i] = a.adds ? float(travels) + a.sum[i] : float(travels);
        if (a.rounded != nullptr) a.rounded[i] = travels;
      }
    });
  }

  template <typename Move>
  void queue_rows(std::span<const int32_t> places, int32_t* places_there, const Move& move) {
    const std::vector<int32_t> sent(places.begin(), places.end());
    queue_on_device([=] {
      std::ranges::copy(sent, places_there);
      for (size_t row = 0; row < sent.size(); ++row) {
        move(places_there[row], static_cast<int64_t>(row));
      }
    });
  }

  std::unique_ptr<Communicator> ranks_;
  FakeGpu& device_;
  std::vector<std::function<void()>> queue_;
  size_t done_ = 0;
  std::vector<Mark> marks_;
  int followed_ = 0;
};

// Whose devices reach each other. Collective; `ranks` must outlive it.
class FakeGroupBackend : public FakeGpuBackend {
 public:
  explicit FakeGroupBackend(Communicator& ranks) : ranks_(ranks) { profile_.has_group = true; }

  std::unique_ptr<DeviceGroup> join_group(const GroupId&, int64_t rank, int64_t ranks,
                                          GroupWaits) override {
    CHECK(rank == ranks_.rank() && ranks == ranks_.size());
    return std::make_unique<FakeGroup>(ranks_.split(0), device_);
  }

 private:
  Communicator& ranks_;
};

}  // namespace borealis::testing
