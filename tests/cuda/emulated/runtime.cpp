#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "cuda/emulated/cuda_runtime_api.h"
#include "cuda/emulated/stream.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kDevices = 4, kMultiprocessors = 3;
constexpr size_t kAlignment = 256;

size_t bytes_by(const char* variable, size_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}
// Of each device, and what others took of it behind everybody's back.
const size_t memory_bytes = bytes_by("EMULATED_GPU_BYTES", size_t{1} << 30);
const size_t taken_bytes = bytes_by("EMULATED_GPU_TAKEN", 0);

// Of all streams, events and allocations: tests need no more.
std::mutex mutex;
std::condition_variable changed;

struct Allocation {
  int device;
  size_t bytes;
};
std::map<void*, Allocation> allocations;
std::array<size_t, kDevices> used_bytes;
std::set<void*> pinned;
std::set<cudaStream_t> streams;

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

cudaError_t refused(cudaError_t error) { return last_error = error; }

// What one cudaEventRecord stands for.
struct Recorded {
  bool done = false;
  Clock::time_point when;
};

template <typename Condition>
void wait_until(const Condition& condition) {
  std::unique_lock lock(mutex);
  changed.wait(lock, condition);
}

}  // namespace

struct EmulatedStream {
  int device = current_device;
  std::deque<std::function<void()>> work;  // the first is being done
  bool ended = false;
  std::condition_variable given;  // for its thread
  std::thread thread = std::thread([this] { run(); });

  void run() {
    for (;;) {
      const std::function<void()>* next = nullptr;
      {
        std::unique_lock lock(mutex);
        given.wait(lock, [this] { return ended || !work.empty(); });
        if (work.empty()) return;
        next = &work.front();
      }
      (*next)();
      const std::lock_guard lock(mutex);
      work.pop_front();
      if (work.empty()) changed.notify_all();
    }
  }
};

struct EmulatedEvent {
  std::shared_ptr<Recorded> recorded;  // null: never
};

namespace borealis::emulated {

void queue(cudaStream_t stream, std::function<void()> work) {
  if (stream == nullptr) {
    work();
    return;
  }
  const std::lock_guard lock(mutex);
  stream->work.push_back(std::move(work));
  stream->given.notify_one();
}

}  // namespace borealis::emulated

using borealis::emulated::queue;

namespace {

void wait_for_device(int device) {
  wait_until([device] {
    for (const cudaStream_t stream : streams) {
      if (stream->device == device && !stream->work.empty()) return false;
    }
    return true;
  });
}

}  // namespace

const char* cudaGetErrorString(cudaError_t) { return "of the emulated device"; }
const char* cudaGetErrorName(cudaError_t) { return "emulated"; }
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = kDevices;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= kDevices) return refused(cudaErrorInvalidDevice);
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  wait_for_device(current_device);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = kMultiprocessors;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {.name = "an emulated device",
                 .uuid = {.bytes = {static_cast<char>(device + 1)}},
                 .multiProcessorCount = kMultiprocessors};
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int) {
  std::strncpy(id, "emulated", static_cast<size_t>(length));
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = *greatest = 0;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::lock_guard lock(mutex);
  *total = memory_bytes;
  *free = memory_bytes - used_bytes[static_cast<size_t>(current_device)];
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** memory, size_t bytes) {
  const std::lock_guard lock(mutex);
  size_t& used = used_bytes[static_cast<size_t>(current_device)];
  if (used + taken_bytes + bytes > memory_bytes) return refused(cudaErrorMemoryAllocation);
  *memory = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  allocations[*memory] = {current_device, bytes};
  used += bytes;
  return cudaSuccess;
}
// As CUDA's, waits for the device.
cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  const int device = [&] {
    const std::lock_guard lock(mutex);
    return allocations.at(memory).device;
  }();
  wait_for_device(device);
  const std::lock_guard lock(mutex);
  used_bytes[static_cast<size_t>(device)] -= allocations.at(memory).bytes;
  allocations.erase(memory);
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  const std::lock_guard lock(mutex);
  *memory = std::malloc(bytes);
  pinned.insert(*memory);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  const std::lock_guard lock(mutex);
  pinned.erase(memory);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMemset(void* memory, int value, size_t bytes) {
  return cudaMemsetAsync(memory, value, bytes, nullptr);
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  queue(stream, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}
// Of the host's memory, where it is not pinned, the caller may change what it gave away: of more
// than a little, once the stream has read it.
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const bool is_pinned = [&] {
    const std::lock_guard lock(mutex);
    return pinned.contains(const_cast<void*>(from));
  }();
  if (stream == nullptr || kind != cudaMemcpyHostToDevice || is_pinned) {
    queue(stream, [=] { std::memcpy(to, from, bytes); });
    return cudaSuccess;
  }
  constexpr size_t kLittle = size_t{64} << 10;
  if (bytes > kLittle) {
    const auto read = std::make_shared<Recorded>();
    queue(stream, [=] {
      std::memcpy(to, from, bytes);
      const std::lock_guard lock(mutex);
      read->done = true;
      changed.notify_all();
    });
    wait_until([&] { return read->done; });
    return cudaSuccess;
  }
  const auto* first = static_cast<const std::byte*>(from);
  queue(stream, [to, copy = std::vector<std::byte>(first, first + bytes)] {
    std::memcpy(to, copy.data(), copy.size());
  });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream;
  const std::lock_guard lock(mutex);
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  {
    const std::lock_guard lock(mutex);
    stream->ended = true;
    stream->given.notify_one();
  }
  stream->thread.join();
  const std::lock_guard lock(mutex);
  streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream != nullptr) wait_until([stream] { return stream->work.empty(); });
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const std::lock_guard lock(mutex);
  return stream == nullptr || stream->work.empty() ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  queue(stream, [recorded = event->recorded] {
    if (recorded) wait_until([&] { return recorded->done; });
  });
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->recorded = std::make_shared<Recorded>();
  queue(stream, [recorded = event->recorded] {
    const std::lock_guard lock(mutex);
    *recorded = {true, Clock::now()};
    changed.notify_all();
  });
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->recorded) wait_until([event] { return event->recorded->done; });
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard lock(mutex);
  return !event->recorded || event->recorded->done ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {
  const std::lock_guard lock(mutex);
  if (!from->recorded || !to->recorded) return refused(cudaErrorInvalidValue);
  if (!from->recorded->done || !to->recorded->done) return refused(cudaErrorNotReady);
  *ms = std::chrono::duration<float, std::milli>(to->recorded->when - from->recorded->when).count();
  return cudaSuccess;
}
