#include "kernels/cuda/nccl_group.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/rank_sum.h"

namespace borealis::cuda {
namespace {

constexpr const char* kRemedy =
    "NCCL_DEBUG=INFO says more; look at the other ranks' output, or run with DEVICE=cpu";
constexpr size_t kStagedPlaces = size_t{1} << 18;

[[noreturn]] void fail(const NcclLibrary& library, int code, const char* what) {
  throw Error(ErrorKind::kRanks, fmt::format("NCCL, {}: {}", what, library.error_string(code)),
              kRemedy);
}
void require(const NcclLibrary& library, int code, const char* what) {
  if (code != NcclLibrary::kSuccess && code != NcclLibrary::kInProgress) fail(library, code, what);
}

bool is_done(cudaError_t state) {
  if (state != cudaErrorNotReady) check(state, "exchanging");
  return state == cudaSuccess;
}

using Sent = std::span<const std::span<const std::byte>>;
using Received = std::span<const std::span<std::byte>>;
void queue_exchange(const NcclLibrary& library, NcclComm* comm, int64_t rank, Sent to,
                    Received from, cudaStream_t stream) {
  constexpr const char* kWhat = "exchanging";
  require(library, library.group_start(), kWhat);
  for (size_t r = 0; r < to.size(); ++r) {
    const auto peer = static_cast<int>(r);
    if (peer == rank) continue;
    if (!to[r].empty()) {
      require(library,
              library.send(to[r].data(), to[r].size(), NcclLibrary::kBytes, peer, comm, stream),
              kWhat);
    }
    if (!from[r].empty()) {
      require(
          library,
          library.receive(from[r].data(), from[r].size(), NcclLibrary::kBytes, peer, comm, stream),
          kWhat);
    }
  }
  require(library, library.group_end(), kWhat);
}

}  // namespace

NcclId NcclGroup::make_id(const NcclLibrary& library) {
  NcclId id{};
  const int code = library.get_unique_id(&id);
  if (code != NcclLibrary::kSuccess) fail(library, code, "beginning a group");
  return id;
}

NcclGroup::NcclGroup(const NcclLibrary& library, int64_t rank, int64_t ranks, GroupWaits waits,
                     const CudaDevice& device)
    : library_(library), device_(device), rank_(rank), ranks_(ranks), waits_(std::move(waits)) {
  device.use();
  int least = 0, greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "looking at the device");
  // Before what computes: others wait for what is sent.
  check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest), "making a stream");
  check(cudaEventCreateWithFlags(&device_is_so_far_, cudaEventDisableTiming), "making an event");
  for (Staging& staging : staging_) {
    void* memory = nullptr;
    check(cudaMallocHost(&memory, kStagedPlaces * sizeof(int32_t)),
          "allocating memory to upload from");
    staging.places = static_cast<int32_t*>(memory);
    check(cudaEventCreateWithFlags(&staging.read, cudaEventDisableTiming), "making an event");
  }
}

NcclGroup::NcclGroup(const NcclLibrary& library, const NcclId& id, int64_t rank, int64_t ranks,
                     GroupWaits waits, const CudaDevice& device)
    : NcclGroup(library, rank, ranks, std::move(waits), device) {
  join(id);
}

// What a thread makes that calls NCCL, and whoever waits for it.
struct NcclGroup::Joining {
  std::mutex mutex;
  bool is_left = false;  // nobody waits for it any more
  bool is_done = false;
  NcclComm* comm = nullptr;
  std::exception_ptr failure;
};

// NCCL's call to join, and its first exchange, which connects each pair, return only when all ranks
// are there. Another thread makes them, which is left where it is once the time is over: the
// process ends then. (NCCL's own way, communicators that do not block, is one in which no call is
// done when it returns, not those of a step either.)
void NcclGroup::join(const NcclId& id) {
  const auto size = static_cast<size_t>(ranks_);
  void* memory = nullptr;
  check(cudaMalloc(&memory, 2 * size), "allocating");
  const auto joining = std::make_shared<Joining>();
  std::thread([joining, id, size, memory, &library = library_, rank = rank_, stream = stream_,
               device = device_.number()] {
    NcclComm* comm = nullptr;
    std::exception_ptr failure;
    try {
      check(cudaSetDevice(device), "choosing the device");
      require(library, library.init_rank(&comm, static_cast<int>(size), id, static_cast<int>(rank)),
              "joining the GPUs of the ranks");
      const bool goes_on = [&] {
        const std::lock_guard lock(joining->mutex);
        return !joining->is_left;
      }();
      auto* const bytes = static_cast<std::byte*>(memory);
      std::vector<std::span<const std::byte>> to;
      std::vector<std::span<std::byte>> from;
      for (size_t r = 0; r < size; ++r) {
        to.emplace_back(bytes + r, 1);
        from.emplace_back(bytes + size + r, 1);
      }
      if (goes_on) queue_exchange(library, comm, rank, to, from, stream);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(joining->mutex);
    joining->is_done = true;
    joining->comm = comm;
    joining->failure = failure;
    if (joining->is_left && comm != nullptr) library.abort(comm);
  }).detach();
  try {
    wait_until([&] {
      const std::lock_guard lock(joining->mutex);
      return joining->is_done;
    });
  } catch (...) {
    const std::lock_guard lock(joining->mutex);
    joining->is_left = true;
    if (joining->is_done && joining->comm != nullptr) library_.abort(joining->comm);
    if (!joining->is_done) stream_ = nullptr;  // NCCL may use it yet
    throw;
  }
  comm_ = joining->comm;
  if (joining->failure) std::rethrow_exception(joining->failure);
  wait();
  check(cudaFree(memory), "releasing");
}

NcclGroup::~NcclGroup() {
  if (comm_ != nullptr) {
    // What is under way when something fails may wait for ranks that do not come any more.
    std::uncaught_exceptions() > 0 ? library_.abort(comm_) : library_.destroy(comm_);
  }
  for (const Staging& staging : staging_) {
    if (staging.read != nullptr) cudaEventDestroy(staging.read);
    if (staging.places != nullptr) cudaFreeHost(staging.places);
  }
  if (device_is_so_far_ != nullptr) cudaEventDestroy(device_is_so_far_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

// What is queued for a rank that is lost never ends by itself.
void NcclGroup::abort() {
  if (comm_ != nullptr) library_.abort(std::exchange(comm_, nullptr));
}

void NcclGroup::give_up(const char* why) {
  if (waits_.look_after) waits_.look_after();  // the hosts may know more of it
  throw Error(ErrorKind::kRanks,
              fmt::format("rank {} waits for the GPUs of other ranks: {}", rank_, why), kRemedy);
}

void NcclGroup::follow_device() {
  check(cudaEventRecord(device_is_so_far_, device_.stream()), "exchanging");
  check(cudaStreamWaitEvent(stream_, device_is_so_far_, 0), "exchanging");
}

void NcclGroup::wait() {
  wait_until([this] { return is_done(cudaStreamQuery(stream_)); });
}
void NcclGroup::wait_for(int64_t mark) {
  wait_until([this, mark] { return is_done(marks_.state(mark)); });
}

void NcclGroup::wait_until(const std::function<bool()>& is_done) {
  try {
    poll_until(is_done);
  } catch (...) {
    abort();
    throw;
  }
}

void NcclGroup::poll_until(const std::function<bool()>& is_done) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::microseconds kPause(20);
  constexpr std::chrono::milliseconds kLook(100);
  const Clock::time_point begun = Clock::now();
  const Clock::time_point end = begun + std::chrono::duration_cast<Clock::duration>(
                                            std::chrono::duration<double>(waits_.seconds));
  Clock::time_point look = begun + kLook;
  while (!is_done()) {
    if (comm_ != nullptr) {
      int code = NcclLibrary::kSuccess;
      require(library_, library_.async_error(comm_, &code), "exchanging");
      if (code != NcclLibrary::kSuccess && code != NcclLibrary::kInProgress) {
        give_up(library_.error_string(code));
      }
    }
    const Clock::time_point now = Clock::now();
    if (now > end) give_up("they do not come within the time limit");
    if (now >= look && waits_.look_after) {
      waits_.look_after();
      look = Clock::now() + kLook;
    }
    std::this_thread::sleep_for(kPause);
  }
}

void NcclGroup::exchange(std::span<const std::span<const std::byte>> to,
                         std::span<const std::span<std::byte>> from) {
  queue_exchange(library_, comm_, rank_, to, from, stream_);
}

void NcclGroup::add_up(const SumOfRanks<float>& a) { sum_of_ranks(a, stream_); }
void NcclGroup::add_up(const SumOfRanks<bf16>& a) { sum_of_ranks(a, stream_); }
void NcclGroup::round(const float* from, bf16* to, int64_t count) {
  convert(from, to, count, stream_);
}
void NcclGroup::widen(const bf16* from, float* to, int64_t count) {
  convert(from, to, count, stream_);
}

// Of memory that is not pinned, CUDA would wait for what is queued before it, and know no limit.
void NcclGroup::upload(std::span<const int32_t> from, int32_t* to) {
  while (!from.empty()) {
    const Staging& staging = staging_[next_staging_];
    next_staging_ = (next_staging_ + 1) % staging_.size();
    wait_until([&] { return is_done(cudaEventQuery(staging.read)); });
    const std::span<const int32_t> some = from.first(std::min(from.size(), kStagedPlaces));
    std::ranges::copy(some, staging.places);
    check(cudaMemcpyAsync(to, staging.places, some.size_bytes(), cudaMemcpyHostToDevice, stream_),
          "uploading");
    check(cudaEventRecord(staging.read, stream_), "uploading");
    from = from.subspan(some.size());
    to += some.size();
  }
}

void NcclGroup::pack_rows(const float* table, std::span<const int32_t> places,
                          int32_t* places_there, int64_t width, float* packed) {
  upload(places, places_there);
  cuda::pack_rows(table, places_there, std::ssize(places), width, packed, stream_);
}
void NcclGroup::unpack_rows(const float* packed, std::span<const int32_t> places,
                            int32_t* places_there, int64_t width, float* table) {
  upload(places, places_there);
  cuda::unpack_rows(packed, places_there, std::ssize(places), width, table, stream_);
}

void NcclGroup::clear(float* values, int64_t count) {
  check(cudaMemsetAsync(values, 0, static_cast<size_t>(count) * sizeof(float), stream_),
        "clearing");
}

void NcclGroup::copy(const std::byte* from, std::byte* to, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_), "copying");
}

int64_t NcclGroup::mark() { return marks_.mark(stream_); }
double NcclGroup::ms_between(int64_t from, int64_t to) { return marks_.ms_between(from, to); }

}  // namespace borealis::cuda
