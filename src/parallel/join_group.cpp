#include "parallel/join_group.h"

#include <cstddef>
#include <span>

#include "comm/collectives.h"

namespace borealis {

std::unique_ptr<DeviceGroup> join_group(Backend& backend, Communicator& ranks, double seconds) {
  constexpr const char* kWhat = "joining the GPUs of the ranks";
  Backend::GroupId id{};
  together(ranks, kWhat, [&] {
    if (ranks.rank() == 0) id = backend.make_group_id();
  });
  ranks.broadcast(std::span<std::byte>(id), 0, kWhat);
  return backend.join_group(
      id, ranks.rank(), ranks.size(),
      {.seconds = seconds, .look_after = [&ranks] { ranks.look_after("waiting for GPUs"); }});
}

}  // namespace borealis
