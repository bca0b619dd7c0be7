// mpi_driver MODULE [MODE]: what any communicator does, under an MPI launcher. Prints one line, on
// rank 0, and what is wrong, on each. MODE large: more than 2^31 bytes at once; lost: rank 1 never
// comes.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "comm/collective_cases.h"
#include "comm/mpi/mpi_world.h"

namespace borealis {
namespace {

// 4.5 GB through a broadcast, 2.2 GB a rank through an exchange and an all-gather.
collective_cases::Problems check_large(Communicator& ranks) {
  collective_cases::Problems problems;
  const size_t count = (size_t{9} << 28) / static_cast<size_t>(ranks.size());
  const auto mark = [](size_t i, int64_t rank) {
    return static_cast<uint8_t>(i * 31 + (i >> 27) + static_cast<size_t>(rank));
  };
  std::vector<uint8_t> mine(count), all(count * static_cast<size_t>(ranks.size()));
  for (size_t i = 0; i < count; ++i) mine[i] = mark(i, ranks.rank());
  ranks.all_gather(std::span<const uint8_t>(mine), std::span<uint8_t>(all), "gathering");
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] == mark(i % count, static_cast<int64_t>(i / count))) continue;
    problems.push_back(fmt::format("all-gather: byte {}", i));
    break;
  }
  if (ranks.rank() != 0) std::ranges::fill(all, uint8_t{0});
  ranks.broadcast(std::span<uint8_t>(all), 0, "telling");
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i] == mark(i % count, static_cast<int64_t>(i / count))) continue;
    problems.push_back(fmt::format("broadcast: byte {}", i));
    break;
  }
  return problems;
}

int run(const char* module, std::string_view mode) {
  MpiWorld world(module, {.seconds = 120.0});
  Communicator& ranks = world.ranks();
  if (mode == "lost") {
    world.set_time_limit({.seconds = 1.0});  // behind the start, which may take longer
    if (ranks.rank() != 1) ranks.barrier("meeting");
    for (;;) ::pause();  // until the job is aborted
  }
  auto problems = mode == "large" ? check_large(ranks) : collective_cases::check_all(ranks);
  if (std::signal(SIGUSR1, SIG_DFL) != SIG_DFL) problems.emplace_back("MPI has taken SIGUSR1");
  for (const std::string& problem : problems) fmt::print("PROBLEM {}\n", problem);
  const auto host = ranks.split_by_host();
  if (ranks.rank() == 0) {
    fmt::print("{} ranks, {} on this host, {}\n", ranks.size(), host->size(),
               world.library_version());
  }
  return problems.empty() ? 0 : 1;
}

}  // namespace
}  // namespace borealis

int main(int count, char** arguments) {
  if (count < 2) return 2;
  try {
    return borealis::run(arguments[1], count > 2 ? arguments[2] : "");
  } catch (const borealis::ToldByOthers& error) {
    std::this_thread::sleep_for(std::chrono::seconds(10));  // as the program: that one ends the job
    std::_Exit(borealis::error_exit_code(error.kind()));
  } catch (const borealis::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    std::_Exit(borealis::error_exit_code(error.kind()));
  }
}
