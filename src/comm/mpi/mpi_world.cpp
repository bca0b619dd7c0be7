#include "comm/mpi/mpi_world.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/error.h"
#include "comm/mpi/mpi_calls.h"

namespace borealis {
namespace {

constexpr size_t kTextBytes = 1024;

// The library, called by one thread at a time, and what it is called for.
class Library {
 public:
  Library(MpiCalls& calls, RankTimeLimit limit) : calls_(calls), limit_(limit) {}

  RankTimeLimit limit() const { return limit_; }
  // call(MpiCalls&) returns the library's code. Throws Error(kRanks) where that is not 0.
  template <typename Call>
  void ask(std::string_view what, const Call& call) {
    const std::lock_guard lock(mutex_);
    const int code = call(calls_);
    if (code == 0) return;
    std::array<char, kTextBytes> text{};
    calls_.describe(code, text.data(), text.size());
    throw Error(ErrorKind::kRanks, fmt::format("{}: MPI says: {}", what, text.data()));
  }

 private:
  MpiCalls& calls_;
  RankTimeLimit limit_;
  std::mutex mutex_;
};

class MpiTransfer : public Transfer {
 public:
  MpiTransfer(std::shared_ptr<Library> library, std::string what, int64_t rank)
      : library_(std::move(library)), what_(std::move(what)), rank_(rank) {}

  // start(MpiCalls&, request) begins one of the transfer's parts.
  template <typename Start>
  void add(const Start& start) {
    MpiCalls::Request request = 0;
    library_->ask(what_, [&](MpiCalls& calls) { return start(calls, request); });
    waiting_.push_back(request);
  }
  bool is_done() override {
    library_->ask(what_, [&](MpiCalls& calls) {
      int code = 0;
      std::erase_if(waiting_, [&](MpiCalls::Request request) {
        bool done = false;
        if (code == 0) code = calls.test(request, done);
        return done;
      });
      return code;
    });
    return waiting_.empty();
  }
  // Asks often at first, since most transfers are short, and then leaves the core to others.
  void wait() override {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::microseconds kShort(200), kPause(50);
    const Clock::time_point begun = Clock::now();
    while (!is_done()) {
      const auto waited = Clock::now() - begun;
      if (waited > kShort) std::this_thread::sleep_for(kPause);
      if (waited < std::chrono::duration<double>(library_->limit().seconds)) continue;
      throw Error(ErrorKind::kRanks, fmt::format("rank {} has waited {} s for other ranks: {}",
                                                 rank_, library_->limit().seconds, what_));
    }
  }

 private:
  std::shared_ptr<Library> library_;
  std::string what_;
  int64_t rank_;
  std::vector<MpiCalls::Request> waiting_;
};

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator(std::shared_ptr<Library> library, MpiCalls::Group group, int rank, int size)
      : Communicator(rank, size), library_(std::move(library)), group_(group) {}
  ~MpiCommunicator() override {
    if (group_ == MpiCalls::kWorld || std::uncaught_exceptions() > 0) return;
    try {
      library_->ask("ending", [&](MpiCalls& calls) { return calls.free(group_); });
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
  [[noreturn]] void abort(int code) override {
    library_->ask("aborting", [&](MpiCalls& calls) {
      calls.abort(code);
      return 0;
    });
    std::_Exit(code);
  }

 private:
  std::unique_ptr<MpiTransfer> begin(std::string_view what) const {
    return std::make_unique<MpiTransfer>(library_, std::string(what), rank());
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
    MpiCalls::Group group = 0;
    int rank = 0, size = 0;
    library_->ask("splitting", [&](MpiCalls& calls) {
      const int code = split(calls, group);
      return code != 0 ? code : calls.place_in(group, rank, size);
    });
    return std::make_unique<MpiCommunicator>(library_, group, rank, size);
  }

  std::shared_ptr<Library> library_;
  MpiCalls::Group group_;
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
      transfer->add([&](MpiCalls& calls, int& request) {
        return calls.start_receive(group_, piece.data(), piece.size(), static_cast<int>(before),
                                   request);
      });
    });
  }
  for (size_t step = 1; step < to.size(); ++step) {
    const size_t behind = (own + step) % to.size();
    for_pieces(to[behind], [&](std::span<const std::byte> piece) {
      transfer->add([&](MpiCalls& calls, int& request) {
        return calls.start_send(group_, piece.data(), piece.size(), static_cast<int>(behind),
                                request);
      });
    });
  }
  CHECK(to[own].size() == from[own].size());
  if (to[own].data() != from[own].data()) std::ranges::copy(to[own], from[own].begin());
  return Request(std::move(transfer));
}

MpiCalls& load(const std::filesystem::path& module) {
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

}  // namespace

MpiWorld::MpiWorld(const std::filesystem::path& module, RankTimeLimit limit)
    : calls_(&load(module)), exceptions_(std::uncaught_exceptions()) {
  const auto library = std::make_shared<Library>(*calls_, limit);
  bool serialized = false;
  int rank = 0, size = 0;
  library->ask("starting", [&](MpiCalls& calls) {
    const int code = calls.initialize(serialized);
    return code != 0 ? code : calls.place_in(MpiCalls::kWorld, rank, size);
  });
  ranks_ = std::make_unique<MpiCommunicator>(library, MpiCalls::kWorld, rank, size);
  if (!serialized) {
    throw Error(ErrorKind::kRanks, "this MPI library cannot be called from more than one thread",
                "build it with MPI_THREAD_SERIALIZED");
  }
}

MpiWorld::~MpiWorld() {
  if (std::uncaught_exceptions() > exceptions_) return;
  ranks_.reset();
  calls_->finalize();
}

std::string MpiWorld::library_version() const {
  std::array<char, kTextBytes> text{};
  calls_->version(text.data(), text.size());
  const std::string whole(text.data());
  return whole.substr(0, whole.find_first_of("\n,"));
}

}  // namespace borealis
