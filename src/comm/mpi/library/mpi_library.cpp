// The module of one MPI library; see mpi_calls.h. It is compiled once with each library's mpi.h.
#define OMPI_SKIP_MPICXX 1  // the C++ bindings, which MPI 3 has dropped
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "comm/mpi/mpi_calls.h"

namespace borealis {
namespace {

constexpr int kNoteTag = 1;
constexpr int kTag = 0;  // messages between two ranks arrive in the order in which they were sent

class Library : public MpiCalls {
 public:
  int initialize(bool& serialized) override {
    int provided = MPI_THREAD_SINGLE;
    const int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
    serialized = provided >= MPI_THREAD_SERIALIZED;
    if (code != MPI_SUCCESS) return code;
    groups_ = {MPI_COMM_WORLD};
    return MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  }
  int finalize() override { return MPI_Finalize(); }
  void abort(int code) override { MPI_Abort(MPI_COMM_WORLD, code); }

  int place_in(Group group, int& rank, int& size) override {
    const int code = MPI_Comm_rank(at(group), &rank);
    return code != MPI_SUCCESS ? code : MPI_Comm_size(at(group), &size);
  }
  int split(Group group, int color, Group& part) override {
    MPI_Comm made = MPI_COMM_NULL;
    const int code = MPI_Comm_split(at(group), color, 0, &made);
    return code != MPI_SUCCESS ? code : keep(made, part);
  }
  int split_by_host(Group group, Group& part) override {
    MPI_Comm made = MPI_COMM_NULL;
    const int code = MPI_Comm_split_type(at(group), MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &made);
    return code != MPI_SUCCESS ? code : keep(made, part);
  }
  int free(Group group) override { return MPI_Comm_free(&at(group)); }

  int start_barrier(Group group, Request& request) override {
    return MPI_Ibarrier(at(group), next(request));
  }
  int start_broadcast(Group group, void* data, size_t bytes, int root, Request& request) override {
    return MPI_Ibcast(data, static_cast<int>(bytes), MPI_BYTE, root, at(group), next(request));
  }
  int start_all_gather(Group group, const void* mine, size_t bytes, void* all,
                       Request& request) override {
    const auto count = static_cast<int>(bytes);
    return MPI_Iallgather(mine, count, MPI_BYTE, all, count, MPI_BYTE, at(group), next(request));
  }
  int start_send(Group group, const void* data, size_t bytes, int to, Request& request) override {
    return MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, to, kTag, at(group), next(request));
  }
  int start_receive(Group group, void* data, size_t bytes, int from, Request& request) override {
    return MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, from, kTag, at(group), next(request));
  }
  int test(Request request, bool& done) override {
    int flag = 0;
    MPI_Request& waiting = requests_[static_cast<size_t>(request)];
    const int code = MPI_Test(&waiting, &flag, MPI_STATUS_IGNORE);
    done = flag != 0;
    if (done) free_requests_.push_back(request);
    return code;
  }

  int send_note() override {
    static const char note = 0;
    int rank = 0, size = 0;
    const int code = place_in(kWorld, rank, size);
    for (int to = 0; to < size && code == MPI_SUCCESS; ++to) {
      MPI_Request forgotten = MPI_REQUEST_NULL;
      if (to == rank) continue;
      // Perhaps to the one that is gone, which is no reason to leave out the others.
      MPI_Isend(&note, 1, MPI_CHAR, to, kNoteTag, MPI_COMM_WORLD, &forgotten);
    }
    return code;
  }
  int has_note(bool& has) override {
    int flag = 0;
    const int code = MPI_Iprobe(MPI_ANY_SOURCE, kNoteTag, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
    has = flag != 0;
    return code;
  }

  void describe(int code, char* text, size_t capacity) override {
    char whole[MPI_MAX_ERROR_STRING + 1] = {};
    int length = 0;
    MPI_Error_string(code, whole, &length);
    copy(whole, text, capacity);
  }
  void version(char* text, size_t capacity) override {
    char whole[MPI_MAX_LIBRARY_VERSION_STRING + 1] = {};
    int length = 0;
    MPI_Get_library_version(whole, &length);
    copy(whole, text, capacity);
  }

 private:
  static void copy(const char* from, char* to, size_t capacity) {
    const size_t length = std::min(std::strlen(from), capacity - 1);
    std::memcpy(to, from, length);
    to[length] = 0;
  }
  MPI_Comm& at(Group group) { return groups_[static_cast<size_t>(group)]; }
  int keep(MPI_Comm made, Group& part) {
    part = static_cast<Group>(groups_.size());
    groups_.push_back(made);
    return MPI_Comm_set_errhandler(made, MPI_ERRORS_RETURN);
  }
  // A place for the request that a call begins.
  MPI_Request* next(Request& request) {
    if (free_requests_.empty()) {
      free_requests_.push_back(static_cast<Request>(requests_.size()));
      requests_.push_back(MPI_REQUEST_NULL);
    }
    request = free_requests_.back();
    free_requests_.pop_back();
    return &requests_[static_cast<size_t>(request)];
  }

  std::vector<MPI_Comm> groups_;
  std::vector<MPI_Request> requests_;
  std::vector<Request> free_requests_;
};

}  // namespace
}  // namespace borealis

extern "C" borealis::MpiCalls* borealis_mpi_calls() {
  static borealis::Library library;
  return &library;
}
