// NCCL's calls, loaded where several GPUs are to exchange: who has one needs no NCCL. They are
// declared here, as those of NVML, so that it need not be there to build either;
// tests/cuda/nccl_group_test.cpp holds them against its header.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>

namespace borealis::cuda {

struct NcclComm;  // ncclComm
struct NcclId {   // ncclUniqueId
  std::array<char, 128> bytes;
};

struct NcclLibrary {
  static constexpr int kSuccess = 0;     // ncclSuccess
  static constexpr int kInProgress = 7;  // ncclInProgress
  static constexpr int kBytes = 0;       // ncclInt8

  int (*get_unique_id)(NcclId*) = nullptr;
  int (*init_rank)(NcclComm**, int ranks, NcclId, int rank) = nullptr;
  int (*destroy)(NcclComm*) = nullptr;
  int (*abort)(NcclComm*) = nullptr;
  int (*async_error)(NcclComm*, int*) = nullptr;
  const char* (*error_string)(int) = nullptr;
  int (*group_start)() = nullptr;
  int (*group_end)() = nullptr;
  int (*send)(const void*, size_t count, int type, int peer, NcclComm*, cudaStream_t) = nullptr;
  int (*receive)(void*, size_t count, int type, int peer, NcclComm*, cudaStream_t) = nullptr;

  // Null where there is none; it stays until the program ends.
  static const NcclLibrary* load();
};

}  // namespace borealis::cuda
