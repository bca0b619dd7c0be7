// A group of ranks and what they tell each other. Every call of a communicator is collective: all
// its ranks make the same calls in the same order, with the same sizes where nothing else is said.
// Bytes travel as they are; sums are made here, in the order of the ranks, so that every rank has
// the same bits and so does every repetition (collectives.h).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace borealis {

// What is under way between the ranks. Nobody may touch its memory until wait() has returned.
class Transfer {
 public:
  virtual ~Transfer() = default;
  // Lets it go on; true once it is complete.
  virtual bool is_done() = 0;
  // Throws Error(kRanks) once the communicator's time limit has passed, naming what was waited for.
  virtual void wait() = 0;
};

// A transfer that has begun, or none. An exception that leaves one behind ends the job (D18), and
// so it does not wait by itself.
class Request {
 public:
  Request() = default;
  explicit Request(std::unique_ptr<Transfer> transfer) : transfer_(std::move(transfer)) {}

  bool is_done() { return !transfer_ || transfer_->is_done(); }
  void wait() {
    if (transfer_) transfer_->wait();
    transfer_.reset();
  }

 private:
  std::unique_ptr<Transfer> transfer_;
};

// What may travel as bytes: the ranks of a job run one program on one kind of machine.
template <typename T>
concept Sendable = std::is_trivially_copyable_v<T>;

class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int64_t rank() const { return rank_; }
  int64_t size() const { return size_; }

  // `what` says in messages what the ranks are doing: "starting", "saving a checkpoint".
  virtual void barrier(std::string_view what) = 0;
  // The values of `root` on every rank.
  template <Sendable T>
  void broadcast(std::span<T> values, int64_t root, std::string_view what) {
    start_broadcast(std::as_writable_bytes(values), root, what).wait();
  }
  // all: [size()][mine.size()], by rank.
  template <Sendable T>
  void all_gather(std::span<const T> mine, std::span<T> all, std::string_view what) {
    start_all_gather(std::as_bytes(mine), std::as_writable_bytes(all), what).wait();
  }
  // Sends to[r] to rank r and receives from[r] of it, by rank; what a rank sends to another is as
  // long as what that one receives of it. Its own part is copied.
  template <Sendable T>
  Request start_exchange(std::span<const std::span<const T>> to, std::span<const std::span<T>> from,
                         std::string_view what) {
    std::vector<std::span<const std::byte>> to_bytes;
    std::vector<std::span<std::byte>> from_bytes;
    for (const std::span<const T> part : to) to_bytes.push_back(std::as_bytes(part));
    for (const std::span<T> part : from) from_bytes.push_back(std::as_writable_bytes(part));
    return start_exchange_bytes(to_bytes, from_bytes, what);
  }
  virtual Request start_broadcast(std::span<std::byte> bytes, int64_t root,
                                  std::string_view what) = 0;
  virtual Request start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                   std::string_view what) = 0;
  virtual Request start_exchange_bytes(std::span<const std::span<const std::byte>> to,
                                       std::span<const std::span<std::byte>> from,
                                       std::string_view what) = 0;

  // The ranks that give the same color, in the order that they have here.
  virtual std::unique_ptr<Communicator> split(int64_t color) = 0;
  // The ranks that can see each other's memory.
  virtual std::unique_ptr<Communicator> split_by_host() = 0;

  // What this rank is at, for messages: "step 12". Not collective, nor is what follows.
  virtual void set_phase(std::string_view) {}
  // For a rank that waits for others by other means than these calls: as while they wait, throws
  // Error(kRanks) where one has ended, ToldByOthers where one tells what is wrong.
  virtual void look_after(std::string_view /*what*/) {}
  // Before this rank tells what is wrong and ends: the others then do not tell that it is lost.
  virtual void announce_end() {}
  // Ends the job on all ranks, whatever they do: for a rank that cannot go on and cannot agree with
  // the others on it. `code` is the job's exit code where the launcher passes it on.
  [[noreturn]] virtual void abort(int code) = 0;

 protected:
  Communicator(int64_t rank, int64_t size) : rank_(rank), size_(size) {}
  // From now on ranks wait for each other this many times as long as the time limit says.
  virtual void set_patience(double /*factor*/) {}

 private:
  friend class LongWaits;
  int long_waits_ = 0;  // that are there
  int64_t rank_;
  int64_t size_;
};

// Of a rank that waited for others when one of them announced its end, and tells it.
class ToldByOthers : public Error {
 public:
  using Error::Error;
};

// How long a rank waits for the others in one call before it says that they are lost.
struct RankTimeLimit {
  double seconds = 600;
};

// While it lives, ranks wait longer for each other: for what one of them does alone, whose time
// goes with the size of a model and the speed of a file system. One that has ended is found out as
// soon. They nest.
class LongWaits {
 public:
  static constexpr double kPatience = 6;
  explicit LongWaits(Communicator& ranks) : ranks_(ranks) {
    if (ranks_.long_waits_++ == 0) ranks_.set_patience(kPatience);
  }
  ~LongWaits() {
    if (--ranks_.long_waits_ == 0) ranks_.set_patience(1);
  }
  LongWaits(const LongWaits&) = delete;
  LongWaits& operator=(const LongWaits&) = delete;

 private:
  Communicator& ranks_;
};

// A job of one rank.
std::unique_ptr<Communicator> make_lone_communicator();

}  // namespace borealis
