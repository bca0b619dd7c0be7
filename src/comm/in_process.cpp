#include "comm/in_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace borealis {
namespace {

// What abort() throws: it must not look like what a rank has to say.
struct Aborted {
  int code = 0;
};

// Of all ranks of a job, whichever group they speak in.
struct Job {
  std::mutex mutex;
  std::condition_variable changed;
  std::exception_ptr failure;  // guarded: the first
  int64_t failed_rank = -1;
  RankTimeLimit limit;
  double patience = 1;  // guarded
};

// With the job's mutex held.
[[noreturn]] void throw_lost(const Job& job, int64_t rank, std::string_view what) {
  throw Error(ErrorKind::kRanks, fmt::format("rank {} has failed; rank {} waited for it: {}",
                                             job.failed_rank, rank, what));
}

// One collective call: what each rank brought to it.
struct Meeting {
  struct Part {
    std::string what;
    std::vector<std::span<const std::byte>> to = {};  // by rank
    std::vector<std::span<std::byte>> from = {};
    int64_t color = 0;
    std::unique_ptr<Communicator> group = {};  // of a split
  };
  std::vector<Part> parts;
  int64_t arrived = 0;
  int64_t left = 0;
  bool done = false;
  bool lost = false;  // a rank has left whose part of it is gone
};

struct Group {
  Job& job;
  int64_t size;
  std::map<int64_t, Meeting> meetings;  // by the number of the call; guarded by the job's mutex
};

class ThreadRank : public Communicator {
 public:
  ThreadRank(std::shared_ptr<Group> group, int64_t rank)
      : Communicator(rank, group->size), group_(std::move(group)) {}

  void barrier(std::string_view what) override { meet({.what = std::string(what)}).wait(); }
  Request start_broadcast(std::span<std::byte> bytes, int64_t root,
                          std::string_view what) override {
    CHECK(root >= 0 && root < size());
    Meeting::Part part = empty_part(what);
    if (rank() == root) {
      std::ranges::fill(part.to, bytes);
    }
    part.from[static_cast<size_t>(root)] = bytes;
    return meet(std::move(part));
  }
  Request start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                           std::string_view what) override {
    CHECK(all.size() == mine.size() * static_cast<size_t>(size()));
    Meeting::Part part = empty_part(what);
    for (size_t r = 0; r < part.to.size(); ++r) {
      part.to[r] = mine;
      part.from[r] = all.subspan(r * mine.size(), mine.size());
    }
    return meet(std::move(part));
  }
  Request start_exchange_bytes(std::span<const std::span<const std::byte>> to,
                               std::span<const std::span<std::byte>> from,
                               std::string_view what) override {
    CHECK(std::ssize(to) == size() && std::ssize(from) == size());
    return meet({.what = std::string(what),
                 .to = {to.begin(), to.end()},
                 .from = {from.begin(), from.end()}});
  }
  std::unique_ptr<Communicator> split(int64_t color) override;
  std::unique_ptr<Communicator> split_by_host() override { return split(0); }
  void look_after(std::string_view what) override {
    const std::lock_guard lock(group_->job.mutex);
    if (group_->job.failed_rank >= 0) throw_lost(group_->job, rank(), what);
  }
  void set_patience(double factor) override {
    const std::lock_guard lock(group_->job.mutex);
    group_->job.patience = factor;
  }
  [[noreturn]] void abort(int code) override { throw Aborted{code}; }

 private:
  class Arrival : public Transfer {
   public:
    Arrival(std::shared_ptr<Group> group, int64_t call, int64_t rank)
        : group_(std::move(group)), call_(call), rank_(rank) {}
    ~Arrival() override;
    Arrival(const Arrival&) = delete;
    Arrival& operator=(const Arrival&) = delete;
    bool is_done() override {
      const std::lock_guard lock(group_->job.mutex);
      return group_->meetings.at(call_).done;
    }
    void wait() override { take(); }
    // The group of a split, if the call was one.
    std::unique_ptr<Communicator> take();

   private:
    std::shared_ptr<Group> group_;
    int64_t call_;
    int64_t rank_;
    bool taken_ = false;
  };

  Meeting::Part empty_part(std::string_view what) const {
    const auto ranks = static_cast<size_t>(size());
    return {.what = std::string(what),
            .to = std::vector<std::span<const std::byte>>(ranks),
            .from = std::vector<std::span<std::byte>>(ranks)};
  }
  Request meet(Meeting::Part part) { return Request(arrive(std::move(part))); }
  std::unique_ptr<Arrival> arrive(Meeting::Part part);
  static void complete(Group& group, Meeting& meeting);

  std::shared_ptr<Group> group_;
  int64_t calls_ = 0;
};

std::unique_ptr<ThreadRank::Arrival> ThreadRank::arrive(Meeting::Part part) {
  const std::lock_guard lock(group_->job.mutex);
  Meeting& meeting = group_->meetings[calls_];
  meeting.parts.resize(static_cast<size_t>(size()));
  meeting.parts[static_cast<size_t>(rank())] = std::move(part);
  if (++meeting.arrived == size() && !meeting.lost) {
    complete(*group_, meeting);
    meeting.done = true;
    group_->job.changed.notify_all();
  }
  return std::make_unique<Arrival>(group_, calls_++, rank());
}

void ThreadRank::complete(Group& group, Meeting& meeting) {
  std::map<int64_t, std::vector<size_t>> ranks_of_color;
  for (size_t to = 0; to < meeting.parts.size(); ++to) {
    Meeting::Part& part = meeting.parts[to];
    CHECK(part.what == meeting.parts[0].what, "ranks make different calls");
    ranks_of_color[part.color].push_back(to);
    for (size_t from = 0; from < part.from.size(); ++from) {
      const std::span<const std::byte> bytes = meeting.parts[from].to[to];
      CHECK(bytes.size() == part.from[from].size(), "ranks expect different sizes");
      if (bytes.data() != part.from[from].data()) std::ranges::copy(bytes, part.from[from].begin());
    }
  }
  for (const auto& [color, ranks] : ranks_of_color) {
    auto own = std::make_shared<Group>(Group{group.job, std::ssize(ranks), {}});
    for (size_t i = 0; i < ranks.size(); ++i) {
      meeting.parts[ranks[i]].group = std::make_unique<ThreadRank>(own, static_cast<int64_t>(i));
    }
  }
}

// Of a rank that fails before the others have come: it frees next what they would read.
ThreadRank::Arrival::~Arrival() {
  const std::lock_guard lock(group_->job.mutex);
  if (taken_) return;
  Meeting& meeting = group_->meetings.at(call_);
  if (!meeting.done) meeting.lost = true;
}

std::unique_ptr<Communicator> ThreadRank::Arrival::take() {
  Job& job = group_->job;
  std::unique_lock lock(job.mutex);
  Meeting& meeting = group_->meetings.at(call_);
  const std::string what = meeting.parts[static_cast<size_t>(rank_)].what;
  const double limit_s = job.limit.seconds * job.patience;
  const bool ended = job.changed.wait_for(lock, std::chrono::duration<double>(limit_s),
                                          [&] { return meeting.done || job.failed_rank >= 0; });
  if (!meeting.done) {
    if (ended) throw_lost(job, rank_, what);
    throw Error(ErrorKind::kRanks,
                fmt::format("rank {} has waited {} s for other ranks: {}", rank_, limit_s, what));
  }
  taken_ = true;
  std::unique_ptr<Communicator> group = std::move(meeting.parts[static_cast<size_t>(rank_)].group);
  if (++meeting.left == group_->size) group_->meetings.erase(call_);
  return group;
}

std::unique_ptr<Communicator> ThreadRank::split(int64_t color) {
  return arrive({.what = "splitting", .color = color})->take();
}

}  // namespace

void run_in_process(int64_t ranks, const std::function<void(Communicator&)>& rank_main,
                    RankTimeLimit limit) {
  Job job;
  job.limit = limit;
  const auto world = std::make_shared<Group>(Group{job, ranks, {}});
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ThreadRank communicator(world, rank);
        rank_main(communicator);
      } catch (...) {
        const std::lock_guard lock(job.mutex);
        if (job.failed_rank < 0) {
          job.failed_rank = rank;
          job.failure = std::current_exception();
        }
        job.changed.notify_all();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  try {
    if (job.failure) std::rethrow_exception(job.failure);
  } catch (const Aborted& aborted) {
    throw Error(ErrorKind::kRanks,
                fmt::format("rank {} aborted with code {}", job.failed_rank, aborted.code));
  }
}

}  // namespace borealis
