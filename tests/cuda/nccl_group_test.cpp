// NCCL as a rank alone has it: as many as there are GPUs where one is lent. Its declarations are
// held against its header where that is.
#include "kernels/cuda/nccl_group.h"

#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

#include "cuda/device_array.h"

#if __has_include(<nccl.h>)
#include <nccl.h>
#endif

namespace borealis {
namespace {

using cuda::NcclGroup;
using cuda::NcclLibrary;
using testing::DeviceArray;

#if __has_include(<nccl.h>)
static_assert(sizeof(cuda::NcclId) == sizeof(ncclUniqueId));
static_assert(alignof(cuda::NcclId) == alignof(ncclUniqueId));
static_assert(NcclLibrary::kSuccess == ncclSuccess);
static_assert(NcclLibrary::kInProgress == ncclInProgress);
static_assert(NcclLibrary::kBytes == ncclInt8);
// The same numbers of arguments, each of the same size.
template <typename Ours, typename Theirs>
struct IsAlike : std::false_type {};
template <typename R, typename... A, typename S, typename... B>
struct IsAlike<R (*)(A...), S (*)(B...)> {
  static constexpr bool value =
      sizeof(R) == sizeof(S) && sizeof...(A) == sizeof...(B) &&
      ((sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>)&&...);
};
#define EXPECT_ALIKE(ours, theirs) \
  static_assert(IsAlike<decltype(NcclLibrary::ours), decltype(&(theirs))>::value)
EXPECT_ALIKE(get_unique_id, ncclGetUniqueId);
EXPECT_ALIKE(init_rank, ncclCommInitRank);
EXPECT_ALIKE(destroy, ncclCommDestroy);
EXPECT_ALIKE(abort, ncclCommAbort);
EXPECT_ALIKE(async_error, ncclCommGetAsyncError);
EXPECT_ALIKE(error_string, ncclGetErrorString);
EXPECT_ALIKE(group_start, ncclGroupStart);
EXPECT_ALIKE(group_end, ncclGroupEnd);
EXPECT_ALIKE(send, ncclSend);
EXPECT_ALIKE(receive, ncclRecv);
#undef EXPECT_ALIKE
#endif

TEST(NcclGroupTest, IsJoinedByOneRank) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "no CUDA device";
  const NcclLibrary* library = NcclLibrary::load();
  if (library == nullptr) GTEST_SKIP() << "no libnccl.so.2";
  cuda::CudaDevice device;
  NcclGroup group(*library, NcclGroup::make_id(*library), 0, 1, {.seconds = 60}, device);
  std::vector<float> values = {1, 2, 3, -0.0f};
  const DeviceArray<float> values_(values);
  group.follow_device();
  const int64_t begin = group.mark();
  const std::vector<std::span<const std::byte>> to(1);
  const std::vector<std::span<std::byte>> from(1);
  group.exchange(to, from);
  group.add_up(SumOfRanks<float>{.ranks = 1,
                                 .own_rank = 0,
                                 .received = values_.data(),
                                 .stride = 4,
                                 .own = values_.data(),
                                 .sum = values_.data(),
                                 .adds = false,
                                 .rounded = nullptr,
                                 .count = 4});
  const int64_t end = group.mark();
  group.wait();
  EXPECT_GE(group.ms_between(begin, end), 0);
  EXPECT_EQ(values_.values(), (std::vector<float>{1, 2, 3, 0}));
}

}  // namespace
}  // namespace borealis
