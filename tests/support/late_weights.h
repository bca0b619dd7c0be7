// Ranks between which weights travel slowly.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "comm/communicator.h"

namespace borealis::testing {

// Passes everything on to another communicator; gatherings of weights begin late.
class LateWeights : public Communicator {
 public:
  explicit LateWeights(Communicator& ranks)
      : Communicator(ranks.rank(), ranks.size()), ranks_(ranks) {}
  explicit LateWeights(std::unique_ptr<Communicator> ranks)
      : Communicator(ranks->rank(), ranks->size()), own_(std::move(ranks)), ranks_(*own_) {}

  void barrier(std::string_view what) override { ranks_.barrier(what); }
  Request start_broadcast(std::span<std::byte> bytes, int64_t root,
                          std::string_view what) override {
    return ranks_.start_broadcast(bytes, root, what);
  }
  Request start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                           std::string_view what) override {
    return ranks_.start_all_gather(mine, all, what);
  }
  Request start_exchange_bytes(std::span<const std::span<const std::byte>> to,
                               std::span<const std::span<std::byte>> from,
                               std::string_view what) override {
    // Several times what a pass over a unit of a small model takes.
    if (what == "gathering weights") std::this_thread::sleep_for(std::chrono::milliseconds(3));
    return ranks_.start_exchange_bytes(to, from, what);
  }
  std::unique_ptr<Communicator> split(int64_t color) override {
    return std::make_unique<LateWeights>(ranks_.split(color));
  }
  std::unique_ptr<Communicator> split_by_host() override {
    return std::make_unique<LateWeights>(ranks_.split_by_host());
  }
  void set_phase(std::string_view phase) override { ranks_.set_phase(phase); }
  void look_after(std::string_view what) override { ranks_.look_after(what); }
  void announce_end() override { ranks_.announce_end(); }
  [[noreturn]] void abort(int code) override {
    ranks_.abort(code);
    std::terminate();  // for the compiler, which does not see that a call by name ends it
  }

 private:
  std::unique_ptr<Communicator> own_;
  Communicator& ranks_;
};

}  // namespace borealis::testing
