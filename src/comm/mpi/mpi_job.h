// The library's calls, by one thread at a time, and what a rank knows of the others.
#pragma once

#include <atomic>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "comm/mpi/mpi_calls.h"
#include "comm/rank_places.h"

namespace borealis {

class MpiJob {
 public:
  MpiJob(MpiCalls& calls, RankTimeLimit limit) : calls_(calls), limit_s_(limit.seconds) {}

  double limit_s() const { return limit_s_ * patience_; }
  void set_limit(RankTimeLimit limit) { limit_s_ = limit.seconds; }
  void set_patience(double factor) { patience_ = factor; }
  void set_places(RankPlaces places, int64_t own_rank);
  void set_phase(std::string_view phase);

  // call(MpiCalls&) returns the library's code. Throws Error(kRanks) where that is not 0.
  template <typename Call>
  void ask(std::string_view what, const Call& call) {
    const std::lock_guard lock(mutex_);
    const int code = call(calls_);
    if (code != 0) refuse(what, code);
  }

  void announce_end();
  // Of a rank that waits for some of `others` (ranks of the job). Throws Error(kRanks) naming one
  // that has ended, ToldByOthers where another tells what is wrong.
  void look_after(std::span<const int64_t> others, std::string_view what);
  // The time limit is over. `missing`: whose answers are; none: not known, any of `others`.
  [[noreturn]] void give_up(std::span<const int64_t> others, std::span<const int64_t> missing,
                            std::string_view what);

 private:
  [[noreturn]] void refuse(std::string_view what, int code);
  // Throws ToldByOthers, at once or within what this rank leaves to those before it; else announces
  // that this one tells.
  void let_others_tell();
  bool has_note();                            // that another rank tells what is wrong
  void look_for_notes();                      // throws ToldByOthers where one is here
  std::string moment(std::string_view what);  // "in step 12: adding gradients up"

  MpiCalls& calls_;
  std::atomic<double> limit_s_;
  std::atomic<double> patience_ = 1;
  RankPlaces places_;
  int64_t own_rank_ = 0;
  std::string phase_ = "the start";
  std::mutex mutex_;
};

}  // namespace borealis
