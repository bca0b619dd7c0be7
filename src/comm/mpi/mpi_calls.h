// What Borealis asks of an MPI library. The program is linked with none: for every library that
// the build found there is a module borealis_mpi_<library>.so beside it, one file that implements
// this with that library's mpi.h, and the one that the launcher belongs to is loaded. So one
// program is at home on all, and a run of one process neither needs nor starts any.
#pragma once

#include <cstddef>
#include <cstdint>

namespace borealis {

// Every call returns 0 or the library's code of what failed. Sizes are at most kMostBytes.
class MpiCalls {
 public:
  using Group = int32_t;    // a communicator of the library's
  using Request = int32_t;  // until test() has said that it is done
  static constexpr Group kWorld = 0;
  static constexpr size_t kMostBytes = size_t{1} << 30;  // MPI counts in int
  static constexpr size_t kTextBytes = 1024;             // enough for describe() and version()

  virtual ~MpiCalls() = default;

  // For calls from one thread at a time. `serialized`: the library can do that.
  virtual int initialize(bool& serialized) = 0;
  virtual int finalize() = 0;
  virtual void abort(int code) = 0;  // does not return

  virtual int place_in(Group group, int& rank, int& size) = 0;
  virtual int split(Group group, int color, Group& part) = 0;
  virtual int split_by_host(Group group, Group& part) = 0;
  virtual int free(Group group) = 0;

  virtual int start_barrier(Group group, Request& request) = 0;
  virtual int start_broadcast(Group group, void* data, size_t bytes, int root,
                              Request& request) = 0;
  // all: [size][bytes].
  virtual int start_all_gather(Group group, const void* mine, size_t bytes, void* all,
                               Request& request) = 0;
  virtual int start_send(Group group, const void* data, size_t bytes, int to, Request& request) = 0;
  virtual int start_receive(Group group, void* data, size_t bytes, int from, Request& request) = 0;
  virtual int test(Request request, bool& done) = 0;
  // A note to all other ranks that this one tells what is wrong, and whether such a note is here.
  virtual int send_note() = 0;
  virtual int has_note(bool& has) = 0;

  // Into [capacity] characters, ended by 0.
  virtual void describe(int code, char* text, size_t capacity) = 0;
  virtual void version(char* text, size_t capacity) = 0;
};

// The one function of a module, by this name.
constexpr const char* kMpiModuleFunction = "borealis_mpi_calls";
using MpiModuleFunction = MpiCalls* (*)();

}  // namespace borealis
