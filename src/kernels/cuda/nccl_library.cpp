#include "kernels/cuda/nccl_library.h"

#include <dlfcn.h>

#include <optional>
#include <type_traits>

namespace borealis::cuda {
namespace {

std::optional<NcclLibrary> load_library() {
  void* module = ::dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) return std::nullopt;
  NcclLibrary library;
  const auto find = [&](auto& call, const char* name) {
    call = reinterpret_cast<std::remove_reference_t<decltype(call)>>(::dlsym(module, name));
    return call != nullptr;
  };
  const bool complete =
      find(library.get_unique_id, "ncclGetUniqueId") &&
      find(library.init_rank, "ncclCommInitRank") && find(library.destroy, "ncclCommDestroy") &&
      find(library.abort, "ncclCommAbort") && find(library.async_error, "ncclCommGetAsyncError") &&
      find(library.error_string, "ncclGetErrorString") &&
      find(library.group_start, "ncclGroupStart") && find(library.group_end, "ncclGroupEnd") &&
      find(library.send, "ncclSend") && find(library.receive, "ncclRecv");
  return complete ? std::optional(library) : std::nullopt;
}

}  // namespace

const NcclLibrary* NcclLibrary::load() {
  static const std::optional<NcclLibrary> library = load_library();
  return library ? &*library : nullptr;
}

}  // namespace borealis::cuda
