#include "cuda/emulated/nccl.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"
#include "cuda/emulated/stream.h"
#include "kernels/cuda/nccl_library.h"

namespace borealis::emulated {

std::atomic<int> nccl_error = 0;

namespace {

std::mutex mutex;  // of all groups
std::condition_variable changed;

struct Message {
  const void* bytes;  // read while its sender waits for that
  size_t size;
  bool taken = false;
};

struct Group {
  int joined = 0;
  std::map<std::pair<int, int>, std::deque<std::shared_ptr<Message>>> sent;  // by from and to
};
std::map<int, std::shared_ptr<Group>> groups;  // by the number in their id

struct Member {
  std::shared_ptr<Group> group;
  int rank;
  bool aborted = false;
};

}  // namespace
}  // namespace borealis::emulated

namespace borealis::cuda {

using emulated::changed;
using emulated::Group;
using emulated::groups;
using emulated::Member;
using emulated::Message;
using emulated::mutex;

struct NcclComm {
  std::shared_ptr<Member> member;
};

namespace {

struct Call {
  std::shared_ptr<Member> member;
  cudaStream_t stream;
  int peer;
  size_t size;
  const void* sent;  // null: it receives
  void* received;
};
thread_local std::vector<Call> calls;  // of the group of calls that has begun
thread_local bool in_group = false;

// All that a rank sends is there for the others before it waits for anything.
void exchange(const std::vector<Call>& all) {
  std::unique_lock lock(mutex);
  Member& member = *all.front().member;
  if (member.aborted) return;
  auto& sent = member.group->sent;
  std::vector<std::shared_ptr<Message>> own;
  for (const Call& call : all) {
    if (call.sent == nullptr) continue;
    own.push_back(std::make_shared<Message>(Message{call.sent, call.size}));
    sent[{member.rank, call.peer}].push_back(own.back());
  }
  changed.notify_all();
  for (const Call& call : all) {
    if (call.sent != nullptr) continue;
    auto& queue = sent[{call.peer, member.rank}];
    changed.wait(lock, [&] { return member.aborted || !queue.empty(); });
    if (member.aborted) return;
    CHECK(queue.front()->size == call.size, "ranks expect different sizes");
    std::memcpy(call.received, queue.front()->bytes, call.size);
    queue.front()->taken = true;
    queue.pop_front();
    changed.notify_all();
  }
  for (const auto& message : own) {
    changed.wait(lock, [&] { return member.aborted || message->taken; });
  }
}

int get_unique_id(NcclId* id) {
  static std::atomic<int> ids = 0;
  const int number = ++ids;
  std::memcpy(id->bytes.data(), &number, sizeof number);
  return NcclLibrary::kSuccess;
}

int init_rank(NcclComm** comm, int ranks, NcclId id, int rank) {
  int number = 0;
  std::memcpy(&number, id.bytes.data(), sizeof number);
  std::unique_lock lock(mutex);
  std::shared_ptr<Group>& known = groups[number];
  if (!known) known = std::make_shared<Group>();
  const std::shared_ptr<Group> group = known;
  ++group->joined;
  changed.notify_all();
  changed.wait(lock, [&] { return group->joined == ranks; });
  *comm = new NcclComm{std::make_shared<Member>(Member{group, rank})};
  return NcclLibrary::kSuccess;
}

int destroy(NcclComm* comm) {
  delete comm;
  return NcclLibrary::kSuccess;
}

int abort(NcclComm* comm) {
  {
    const std::lock_guard lock(mutex);
    Member& member = *comm->member;
    member.aborted = true;
    // It frees their memory next.
    for (auto& [ends, queue] : member.group->sent) {
      if (ends.first == member.rank) queue.clear();
    }
    changed.notify_all();
  }
  return destroy(comm);
}

int async_error(NcclComm*, int* code) {
  *code = emulated::nccl_error;
  return NcclLibrary::kSuccess;
}

const char* error_string(int) { return "an emulated failure"; }

int group_start() {
  CHECK(!std::exchange(in_group, true));
  return NcclLibrary::kSuccess;
}

int group_end() {
  CHECK(std::exchange(in_group, false));
  if (calls.empty()) return NcclLibrary::kSuccess;
  const cudaStream_t stream = calls.front().stream;
  emulated::queue(stream, [all = std::exchange(calls, {})] { exchange(all); });
  return NcclLibrary::kSuccess;
}

int send(const void* bytes, size_t count, int type, int peer, NcclComm* comm, cudaStream_t stream) {
  CHECK(in_group && type == NcclLibrary::kBytes && count > 0);
  calls.push_back({comm->member, stream, peer, count, bytes, nullptr});
  return NcclLibrary::kSuccess;
}

int receive(void* bytes, size_t count, int type, int peer, NcclComm* comm, cudaStream_t stream) {
  CHECK(in_group && type == NcclLibrary::kBytes && count > 0);
  calls.push_back({comm->member, stream, peer, count, nullptr, bytes});
  return NcclLibrary::kSuccess;
}

constexpr NcclLibrary kLibrary = {.get_unique_id = get_unique_id,
                                  .init_rank = init_rank,
                                  .destroy = destroy,
                                  .abort = abort,
                                  .async_error = async_error,
                                  .error_string = error_string,
                                  .group_start = group_start,
                                  .group_end = group_end,
                                  .send = send,
                                  .receive = receive};

}  // namespace

const NcclLibrary* NcclLibrary::load() { return &kLibrary; }

}  // namespace borealis::cuda
