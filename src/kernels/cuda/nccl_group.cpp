#include "kernels/cuda/nccl_group.h"

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "base/error.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/rank_sum.h"

namespace borealis::cuda {
namespace {

constexpr const char* kRemedy =
    "NCCL_DEBUG=INFO says more; look at the other ranks' output, or run with DEVICE=cpu";

[[noreturn]] void fail(const NcclLibrary& library, int code, const char* what) {
  throw Error(ErrorKind::kRanks, fmt::format("NCCL, {}: {}", what, library.error_string(code)),
              kRemedy);
}

}  // namespace

NcclId NcclGroup::make_id(const NcclLibrary& library) {
  NcclId id{};
  const int code = library.get_unique_id(&id);
  if (code != NcclLibrary::kSuccess) fail(library, code, "beginning a group");
  return id;
}

NcclGroup::NcclGroup(const NcclLibrary& library, const NcclId& id, int64_t rank, int64_t ranks,
                     double seconds, const CudaDevice& device)
    : library_(library), device_(device), rank_(rank), ranks_(ranks), seconds_(seconds) {
  device.use();
  int least = 0, greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "looking at the device");
  // Before what computes: others wait for what is sent.
  check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest), "making a stream");
  check(cudaEventCreateWithFlags(&device_is_so_far_, cudaEventDisableTiming), "making an event");
  require(library.init_rank(&comm_, static_cast<int>(ranks), id, static_cast<int>(rank)),
          "joining the GPUs of the ranks");
  connect();
}

// NCCL connects a pair as it first exchanges something, and its caller waits for that: here, and
// not in a step.
void NcclGroup::connect() {
  std::byte* bytes = nullptr;
  const auto size = static_cast<size_t>(ranks_);
  check(cudaMalloc(reinterpret_cast<void**>(&bytes), 2 * size), "allocating");
  std::vector<std::span<const std::byte>> to;
  std::vector<std::span<std::byte>> from;
  for (size_t r = 0; r < size; ++r) {
    to.emplace_back(bytes + r, 1);
    from.emplace_back(bytes + size + r, 1);
  }
  exchange(to, from);
  wait();
  check(cudaFree(bytes), "releasing");
}

NcclGroup::~NcclGroup() {
  if (comm_ != nullptr) {
    // What is under way when something fails may wait for ranks that do not come any more.
    std::uncaught_exceptions() > 0 ? library_.abort(comm_) : library_.destroy(comm_);
  }
  if (device_is_so_far_ != nullptr) cudaEventDestroy(device_is_so_far_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

void NcclGroup::require(int code, const char* what) const {
  if (code != NcclLibrary::kSuccess && code != NcclLibrary::kInProgress) fail(library_, code, what);
}

// What is queued for a rank that is lost never ends by itself.
void NcclGroup::give_up(const char* why) {
  library_.abort(std::exchange(comm_, nullptr));
  throw Error(ErrorKind::kRanks,
              fmt::format("rank {} waits for the GPUs of other ranks: {}", rank_, why), kRemedy);
}

void NcclGroup::follow_device() {
  check(cudaEventRecord(device_is_so_far_, device_.stream()), "exchanging");
  check(cudaStreamWaitEvent(stream_, device_is_so_far_, 0), "exchanging");
}

void NcclGroup::wait() {
  wait_until([this] { return cudaStreamQuery(stream_); });
}
void NcclGroup::wait_for(int64_t mark) {
  wait_until([this, mark] { return marks_.state(mark); });
}

void NcclGroup::wait_until(const std::function<cudaError_t()>& state_of) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::microseconds kPause(20);
  const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                   std::chrono::duration<double>(seconds_));
  for (;;) {
    const cudaError_t state = state_of();
    if (state == cudaSuccess) return;
    if (state != cudaErrorNotReady) check(state, "exchanging");
    int code = NcclLibrary::kSuccess;
    require(library_.async_error(comm_, &code), "exchanging");
    if (code != NcclLibrary::kSuccess && code != NcclLibrary::kInProgress) {
      give_up(library_.error_string(code));
    }
    if (Clock::now() > end) give_up("they do not come within the time limit");
    std::this_thread::sleep_for(kPause);
  }
}

void NcclGroup::exchange(std::span<const std::span<const std::byte>> to,
                         std::span<const std::span<std::byte>> from) {
  constexpr const char* kWhat = "exchanging";
  require(library_.group_start(), kWhat);
  for (int64_t other = 0; other < ranks_; ++other) {
    const auto r = static_cast<size_t>(other);
    const auto peer = static_cast<int>(other);
    if (other == rank_) continue;
    if (!to[r].empty()) {
      require(library_.send(to[r].data(), to[r].size(), NcclLibrary::kBytes, peer, comm_, stream_),
              kWhat);
    }
    if (!from[r].empty()) {
      require(library_.receive(from[r].data(), from[r].size(), NcclLibrary::kBytes, peer, comm_,
                               stream_),
              kWhat);
    }
  }
  require(library_.group_end(), kWhat);
}

void NcclGroup::add_up(const SumOfRanks<float>& a) { sum_of_ranks(a, stream_); }
void NcclGroup::add_up(const SumOfRanks<bf16>& a) { sum_of_ranks(a, stream_); }
void NcclGroup::round(const float* from, bf16* to, int64_t count) {
  convert(from, to, count, stream_);
}
void NcclGroup::widen(const bf16* from, float* to, int64_t count) {
  convert(from, to, count, stream_);
}

void NcclGroup::upload(std::span<const int32_t> from, int32_t* to) {
  check(cudaMemcpyAsync(to, from.data(), from.size_bytes(), cudaMemcpyHostToDevice, stream_),
        "uploading");
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
