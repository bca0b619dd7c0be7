// Devices of several ranks that reach each other's memory without their hosts, by NCCL: what they
// exchange is queued beside what each computes, and so are the sums of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "base/dtype.h"

namespace borealis {

// sum[i] = rank 0's value + rank 1's + ..., from left to right from +0 in f32, so that it has the
// bits of parallel/gradient_sum.h; of bf16 it is rounded once. Or that is added to sum[i].
template <typename T>
struct SumOfRanks {
  int64_t ranks = 0;
  int64_t own_rank = 0;
  const T* received = nullptr;  // [ranks][stride]; the own rank's place is not read
  int64_t stride = 0;
  const T* own = nullptr;  // [count]; may be where a sum goes
  float* sum = nullptr;    // [count]
  bool adds = false;
  T* rounded = nullptr;  // [count] the ranks' sum in what travels, or null; may be where own is
  int64_t count = 0;
};

// How a rank waits for the others of a group.
struct GroupWaits {
  double seconds = 600;  // in one call
  // Called now and then by the thread that waits: throws where it knows that a rank is lost. May be
  // empty.
  std::function<void()> look_after = {};
};

// All memory is the device's unless it says otherwise. Calls are queued and return, in one order on
// all ranks; they run at the same time as what the device queues otherwise.
class DeviceGroup {
 public:
  virtual ~DeviceGroup() = default;

  // What is queued here from now on begins when all that the device has queued so far is done.
  virtual void follow_device() = 0;
  // Return when everything queued here is done, or all before that mark. What the device has queued
  // goes on meanwhile. Throw what GroupWaits does, and Error(kRanks) where a rank is lost, or does
  // not come within the time limit: which only these can tell, so that a device never follows what
  // is queued here by itself. All that is queued ends then.
  virtual void wait() = 0;
  virtual void wait_for(int64_t mark) = 0;

  // Sends to[r] to rank r and receives from[r] of it, by rank, in sizes that both know; nothing of
  // a rank to itself.
  virtual void exchange(std::span<const std::span<const std::byte>> to,
                        std::span<const std::span<std::byte>> from) = 0;
  virtual void add_up(const SumOfRanks<float>& a) = 0;
  virtual void add_up(const SumOfRanks<bf16>& a) = 0;
  virtual void round(const float* from, bf16* to, int64_t count) = 0;
  virtual void widen(const bf16* from, float* to, int64_t count) = 0;
  // packed [places.size()][width] from or to rows of a table, of which `places` (the host's) says
  // which. places_there: room for them.
  virtual void pack_rows(const float* table, std::span<const int32_t> places, int32_t* places_there,
                         int64_t width, float* packed) = 0;
  virtual void unpack_rows(const float* packed, std::span<const int32_t> places,
                           int32_t* places_there, int64_t width, float* table) = 0;
  virtual void clear(float* values, int64_t count) = 0;
  virtual void copy(const std::byte* from, std::byte* to, size_t bytes) = 0;

  // As Device's, of what is queued here.
  virtual int64_t mark() = 0;
  virtual double ms_between(int64_t from, int64_t to) = 0;
  virtual void forget_marks() = 0;
};

}  // namespace borealis
