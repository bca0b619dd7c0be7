#include "comm/mpi/mpi_world.h"

#include <dlfcn.h>
#include <elf.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "comm/mpi/launcher_end.h"
#include "comm/mpi/mpi_calls.h"
#include "comm/mpi/mpi_job.h"

namespace borealis {
namespace {

constexpr std::chrono::seconds kMostAbortTime(5);

// Ends the process with a line if what MPI does meanwhile, whose start and end know no limit, takes
// longer than this.
class Watch {
 public:
  Watch(double limit_s, std::string line)
      : thread_([this, limit_s, line = std::move(line)] {
          std::unique_lock lock(mutex_);
          if (end_.wait_for(lock, std::chrono::duration<double>(limit_s),
                            [this] { return done_; })) {
            return;
          }
          std::fputs(fmt::format("borealis: ranks: {}\n", line).c_str(), stderr);
          end_hanging_launcher();
          std::_Exit(error_exit_code(ErrorKind::kRanks));
        }) {}
  ~Watch() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    end_.notify_one();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable end_;
  bool done_ = false;
  std::jthread thread_;  // last: it uses the others
};

// MPICH takes SIGUSR1 for its own when it starts, and drops it; schedulers ask with it for an end.
// One that comes while this is there waits, and is then handled as before. To be made where there
// is no other thread, and before any that MPI or this file starts.
class HeldSignal {
 public:
  HeldSignal() {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &held, &mask_);
    ::sigaction(SIGUSR1, nullptr, &action_);
  }
  ~HeldSignal() {
    ::sigaction(SIGUSR1, &action_, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  HeldSignal(const HeldSignal&) = delete;
  HeldSignal& operator=(const HeldSignal&) = delete;

 private:
  sigset_t mask_{};
  struct sigaction action_ {};
};

class MpiTransfer : public Transfer {
 public:
  // group: the communicator's ranks, as ranks of the job.
  MpiTransfer(std::shared_ptr<MpiJob> job, std::shared_ptr<const std::vector<int64_t>> group,
              std::string what)
      : job_(std::move(job)), group_(std::move(group)), what_(std::move(what)) {}

  // start(MpiCalls&, request) begins one of the transfer's parts. from: the rank of the
  // communicator that it waits for; none: all of them.
  template <typename Start>
  void add(const Start& start, std::optional<size_t> from = std::nullopt) {
    Part part{.from = from ? std::optional((*group_)[*from]) : std::nullopt};
    job_->ask(what_, [&](MpiCalls& calls) { return start(calls, part.request); });
    waiting_.push_back(part);
  }
  // A library goes on with all transfers in every call, so this asks for one part at a time: of two
  // for each of hundreds of ranks, to ask for all each time would be what the core does.
  bool is_done() override {
    job_->ask(what_, [&](MpiCalls& calls) {
      bool done = true;
      while (!waiting_.empty()) {
        if (const int code = calls.test(waiting_.back().request, done); code != 0) return code;
        if (!done) return 0;
        waiting_.pop_back();
      }
      return 0;
    });
    return waiting_.empty();
  }
  // Asks often at first, since most transfers are short, and then leaves the core to others. From
  // then on it sees to it now and then that they are still there.
  void wait() override {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::microseconds kShort(200), kPause(50);
    constexpr std::chrono::milliseconds kLook(100);
    const Clock::time_point begun = Clock::now();
    Clock::time_point look = begun + kLook;
    while (!is_done()) {
      const Clock::time_point now = Clock::now();
      if (now - begun > kShort) std::this_thread::sleep_for(kPause);
      if (now < look) continue;
      forget_what_is_done();
      if (waiting_.empty()) return;
      const std::vector<int64_t> missing = missing_ranks();
      job_->look_after(missing.empty() ? *group_ : missing, what_);
      if (now - begun > std::chrono::duration<double>(job_->limit_s())) {
        job_->give_up(*group_, missing, what_);
      }
      look = now + kLook;
    }
  }

 private:
  struct Part {
    MpiCalls::Request request = 0;
    std::optional<int64_t> from;
  };

  void forget_what_is_done() {
    job_->ask(what_, [&](MpiCalls& calls) {
      int code = 0;
      std::erase_if(waiting_, [&](const Part& part) {
        bool done = false;
        if (code == 0) code = calls.test(part.request, done);
        return done;
      });
      return code;
    });
  }
  // None where a part waits for all.
  std::vector<int64_t> missing_ranks() const {
    std::vector<int64_t> missing;
    for (const Part& part : waiting_) {
      if (!part.from) return {};
      if (std::ranges::find(missing, *part.from) == missing.end()) missing.push_back(*part.from);
    }
    std::ranges::sort(missing);
    return missing;
  }

  std::shared_ptr<MpiJob> job_;
  std::shared_ptr<const std::vector<int64_t>> group_;
  std::string what_;
  std::vector<Part> waiting_;
};

class MpiCommunicator : public Communicator {
 public:
  // members: its ranks, as ranks of the job.
  MpiCommunicator(std::shared_ptr<MpiJob> job, MpiCalls::Group group, int rank,
                  std::vector<int64_t> members)
      : Communicator(rank, std::ssize(members)),
        job_(std::move(job)),
        group_(group),
        members_(std::make_shared<const std::vector<int64_t>>(std::move(members))) {}
  ~MpiCommunicator() override {
    if (group_ == MpiCalls::kWorld || std::uncaught_exceptions() > 0) return;
    try {
      job_->ask("ending", [&](MpiCalls& calls) { return calls.free(group_); });
    } catch (const Error&) {  // the job ends without it
    }
  }

  void barrier(std::string_view what) override {
    auto transfer = begin(what);
    transfer->add(
        [&](MpiCalls& calls, int& request) { return calls.start_barrier(group_, request); });
    transfer->wait();
  }
  Request start_broadcast(std::span<std::byte> bytes, int64_t root,
                          std::string_view what) override {
    auto transfer = begin(what);
    for_pieces(bytes, [&](std::span<std::byte> piece) {
      transfer->add([&](MpiCalls& calls, int& request) {
        return calls.start_broadcast(group_, piece.data(), piece.size(), static_cast<int>(root),
                                     request);
      });
    });
    return Request(std::move(transfer));
  }
  Request start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                           std::string_view what) override {
    CHECK(all.size() == mine.size() * static_cast<size_t>(size()));
    if (all.size() > MpiCalls::kMostBytes) return all_gather_by_parts(mine, all, what);
    auto transfer = begin(what);
    transfer->add([&](MpiCalls& calls, int& request) {
      return calls.start_all_gather(group_, mine.data(), mine.size(), all.data(), request);
    });
    return Request(std::move(transfer));
  }
  Request start_exchange_bytes(std::span<const std::span<const std::byte>> to,
                               std::span<const std::span<std::byte>> from,
                               std::string_view what) override;

  std::unique_ptr<Communicator> split(int64_t color) override {
    return part([&](MpiCalls& calls, MpiCalls::Group& group) {
      return calls.split(group_, static_cast<int>(color), group);
    });
  }
  std::unique_ptr<Communicator> split_by_host() override {
    return part([&](MpiCalls& calls, MpiCalls::Group& group) {
      return calls.split_by_host(group_, group);
    });
  }
  void set_phase(std::string_view phase) override { job_->set_phase(phase); }
  void look_after(std::string_view what) override { job_->look_after(*members_, what); }
  void announce_end() override { job_->announce_end(); }
  void set_patience(double factor) override { job_->set_patience(factor); }
  // Without a network the library may not come to its end.
  [[noreturn]] void abort(int code) override {
    end_hanging_launcher();
    std::thread([code] {
      std::this_thread::sleep_for(kMostAbortTime);
      std::_Exit(code);
    }).detach();
    job_->ask("aborting", [&](MpiCalls& calls) {
      calls.abort(code);
      return 0;
    });
    std::_Exit(code);
  }

 private:
  std::unique_ptr<MpiTransfer> begin(std::string_view what) const {
    return std::make_unique<MpiTransfer>(job_, members_, std::string(what));
  }
  template <typename Bytes, typename Take>
  static void for_pieces(Bytes bytes, const Take& take) {
    for (size_t at = 0; at < bytes.size(); at += MpiCalls::kMostBytes) {
      take(bytes.subspan(at, std::min(MpiCalls::kMostBytes, bytes.size() - at)));
    }
  }
  Request all_gather_by_parts(std::span<const std::byte> mine, std::span<std::byte> all,
                              std::string_view what) {
    const std::vector<std::span<const std::byte>> to(static_cast<size_t>(size()), mine);
    std::vector<std::span<std::byte>> from;
    for (size_t r = 0; r < to.size(); ++r) {
      from.push_back(all.subspan(r * mine.size(), mine.size()));
    }
    return start_exchange_bytes(to, from, what);
  }
  template <typename Split>
  std::unique_ptr<Communicator> part(const Split& split) {
    // The call below knows no time limit: a rank that does not come is found out before it.
    barrier("splitting");
    MpiCalls::Group group = 0;
    int rank = 0, size = 0;
    job_->ask("splitting", [&](MpiCalls& calls) {
      const int code = split(calls, group);
      return code != 0 ? code : calls.place_in(group, rank, size);
    });
    std::vector<int64_t> members(static_cast<size_t>(size));
    const int64_t own = (*members_)[static_cast<size_t>(this->rank())];
    MpiTransfer naming(job_, members_, "splitting");
    naming.add([&](MpiCalls& calls, int& request) {
      return calls.start_all_gather(group, &own, sizeof own, members.data(), request);
    });
    naming.wait();
    return std::make_unique<MpiCommunicator>(job_, group, rank, std::move(members));
  }

  std::shared_ptr<MpiJob> job_;
  MpiCalls::Group group_;
  std::shared_ptr<const std::vector<int64_t>> members_;
};

Request MpiCommunicator::start_exchange_bytes(std::span<const std::span<const std::byte>> to,
                                              std::span<const std::span<std::byte>> from,
                                              std::string_view what) {
  CHECK(std::ssize(to) == size() && std::ssize(from) == size());
  auto transfer = begin(what);
  const auto own = static_cast<size_t>(rank());
  // Each rank begins with the one behind it, lest all send to the first at once.
  for (size_t step = 1; step < to.size(); ++step) {
    const size_t before = (own + to.size() - step) % to.size();
    for_pieces(from[before], [&](std::span<std::byte> piece) {
      transfer->add(
          [&](MpiCalls& calls, int& request) {
            return calls.start_receive(group_, piece.data(), piece.size(), static_cast<int>(before),
                                       request);
          },
          before);
    });
  }
  for (size_t step = 1; step < to.size(); ++step) {
    const size_t behind = (own + step) % to.size();
    for_pieces(to[behind], [&](std::span<const std::byte> piece) {
      transfer->add(
          [&](MpiCalls& calls, int& request) {
            return calls.start_send(group_, piece.data(), piece.size(), static_cast<int>(behind),
                                    request);
          },
          behind);
    });
  }
  CHECK(to[own].size() == from[own].size());
  if (to[own].data() != from[own].data()) std::ranges::copy(to[own], from[own].begin());
  return Request(std::move(transfer));
}

// A library that was cut off when it was copied is loaded all the same, and its missing pages end
// the process without a word. Its table of sections is its end.
void require_whole(const std::filesystem::path& module) {
  const MappedFile file(module);
  Elf64_Ehdr header{};
  if (file.bytes().size() >= sizeof header) {
    std::memcpy(&header, file.bytes().data(), sizeof header);
    const bool is_elf = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0;
    const uint64_t end = header.e_shoff + uint64_t{header.e_shnum} * header.e_shentsize;
    if (!is_elf || end <= file.bytes().size()) return;  // loading it tells what it is
  }
  throw Error(ErrorKind::kRanks, fmt::format("{} is cut off", module.string()), "build again");
}

MpiCalls& load(const std::filesystem::path& module) {
  require_whole(module);
  // UCX, which MPICH may speak through, prints a stack trace where a peer has died; ours is the
  // line.
  ::setenv("UCX_HANDLE_ERRORS", "none", /*overwrite=*/0);
  void* handle = ::dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* reason = handle == nullptr ? ::dlerror() : nullptr;
  if (handle == nullptr) {
    throw Error(ErrorKind::kRanks, fmt::format("cannot load MPI: {}", reason),
                "install the MPI library that the launcher belongs to and build again");
  }
  const auto function = reinterpret_cast<MpiModuleFunction>(::dlsym(handle, kMpiModuleFunction));
  CHECK(function != nullptr, module.string());
  return *function();
}

// Over TCP a rank has a connection to each other one.
void open_as_many_files_as_allowed() {
  constexpr rlim_t kEnough = 65536;
  struct rlimit files {};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= kEnough) return;
  files.rlim_cur = std::min(files.rlim_max, kEnough);
  (void)::setrlimit(RLIMIT_NOFILE, &files);  // as it was where the system does not let us
}

}  // namespace

MpiWorld::MpiWorld(const std::filesystem::path& module, RankTimeLimit limit)
    : calls_(&load(module)),
      exceptions_(std::uncaught_exceptions()),
      job_(std::make_shared<MpiJob>(*calls_, limit)) {
  bool serialized = false;
  open_as_many_files_as_allowed();
  int rank = 0, size = 0;
  const HeldSignal waits;
  const Watch watch(limit.seconds,
                    fmt::format("MPI has not started within {} s; are all hosts reachable from "
                                "this one?",
                                limit.seconds));
  job_->ask("starting", [&](MpiCalls& calls) {
    const int code = calls.initialize(serialized);
    return code != 0 ? code : calls.place_in(MpiCalls::kWorld, rank, size);
  });
  if (!serialized) {
    throw Error(ErrorKind::kRanks, "this MPI library cannot be called from more than one thread",
                "build it with MPI_THREAD_SERIALIZED");
  }
  std::vector<int64_t> all(static_cast<size_t>(size));
  std::iota(all.begin(), all.end(), 0);
  ranks_ = std::make_unique<MpiCommunicator>(job_, MpiCalls::kWorld, rank, std::move(all));
  std::vector<RankPlace> places(static_cast<size_t>(size));
  const RankPlace own = this_place();
  job_->set_places(RankPlaces(places), rank);  // of nobody is known where it is
  ranks_->all_gather(std::span<const RankPlace>(&own, 1), std::span<RankPlace>(places),
                     "telling where the ranks are");
  job_->set_places(RankPlaces(places), rank);
}

void MpiWorld::set_time_limit(RankTimeLimit limit) { job_->set_limit(limit); }

MpiWorld::~MpiWorld() {
  if (std::uncaught_exceptions() > exceptions_) return;
  const int64_t rank = ranks_->rank();
  ranks_.reset();
  const Watch watch(job_->limit_s(),
                    fmt::format("rank {} is done, and MPI does not end: other ranks have not "
                                "answered for {} s; what was saved is whole",
                                rank, job_->limit_s()));
  calls_->finalize();
}

std::string MpiWorld::library_version() const {
  std::array<char, MpiCalls::kTextBytes> text{};
  calls_->version(text.data(), text.size());
  const std::string whole(text.data());
  return whole.substr(0, whole.find_first_of("\n,"));
}

}  // namespace borealis
