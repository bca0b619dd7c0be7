#include "comm/mpi/mpi_job.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

namespace borealis {
namespace {

constexpr size_t kMostNames = 4;

}  // namespace

void MpiJob::set_places(RankPlaces places, int64_t own_rank) {
  places_ = std::move(places);
  own_rank_ = own_rank;
}

void MpiJob::set_phase(std::string_view phase) {
  const std::lock_guard lock(mutex_);
  phase_ = phase;
}

void MpiJob::refuse(std::string_view what, int code) {
  std::array<char, MpiCalls::kTextBytes> text{};
  calls_.describe(code, text.data(), text.size());
  throw Error(ErrorKind::kRanks, fmt::format("{}: MPI says: {}", what, text.data()));
}

void MpiJob::announce_end() {
  ask("announcing the end", [](MpiCalls& calls) { return calls.send_note(); });
}

std::string MpiJob::moment(std::string_view what) {
  const std::lock_guard lock(mutex_);
  return fmt::format("in {}: {}", phase_, what);
}

void MpiJob::let_others_tell() {
  using std::chrono::milliseconds;
  constexpr milliseconds kTurn(20), kPause(1);
  constexpr int64_t kMostTurns = 10;
  for (milliseconds left = std::min(own_rank_, kMostTurns) * kTurn;; left -= kPause) {
    look_for_notes();
    if (left <= milliseconds(0)) break;
    std::this_thread::sleep_for(kPause);
  }
  announce_end();
  // The first message between two ranks makes their connection, for which both have to ask MPI
  // several times; else the note would leave only once the job ends.
  for (milliseconds left = kTurn; left > milliseconds(0); left -= kPause) {
    has_note();
    std::this_thread::sleep_for(kPause);
  }
}

bool MpiJob::has_note() {
  bool has = false;
  ask("looking for notes", [&](MpiCalls& calls) { return calls.has_note(has); });
  return has;
}

void MpiJob::look_for_notes() {
  if (has_note()) throw ToldByOthers(ErrorKind::kRanks, "another rank tells what is wrong");
}

void MpiJob::look_after(std::span<const int64_t> others, std::string_view what) {
  look_for_notes();
  const auto ended = places_.ended(others);
  if (!ended) return;
  let_others_tell();
  throw Error(ErrorKind::kRanks, fmt::format("{}, {}", *ended, moment(what)),
              "the same command goes on from the last checkpoint");
}

void MpiJob::give_up(std::span<const int64_t> others, std::span<const int64_t> missing,
                     std::string_view what) {
  let_others_tell();
  std::string whom = "other ranks";
  if (const auto stopped = places_.stopped(missing.empty() ? others : missing)) {
    whom = *stopped;
  } else if (!missing.empty()) {
    std::vector<std::string> names;
    for (const int64_t rank : missing.first(std::min(missing.size(), kMostNames))) {
      names.push_back(places_.name(rank));
    }
    if (missing.size() > kMostNames) {
      names.push_back(fmt::format("{} more", missing.size() - kMostNames));
    }
    whom = fmt::format("{}", fmt::join(names, ", "));
  }
  throw Error(ErrorKind::kRanks,
              fmt::format("no answer for {} s {}; waited for: {}", limit_s(), moment(what), whom),
              "the same command goes on from the last checkpoint; --distributed-timeout-minutes "
              "has the limit");
}

}  // namespace borealis
