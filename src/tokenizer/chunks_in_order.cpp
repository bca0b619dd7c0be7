#include "tokenizer/chunks_in_order.h"

namespace borealis {

std::optional<ChunkTurns::Ticket> ChunkTurns::take() {
  const std::lock_guard lock(reading_);
  {
    const std::lock_guard passing(passing_);
    if (over_) return std::nullopt;
  }
  Ticket ticket{.number = taken_, .chunk = std::nullopt, .failure = nullptr};
  try {
    ticket.chunk = reader_.next();
    if (!ticket.chunk) return std::nullopt;
  } catch (...) {
    ticket.failure = std::current_exception();
  }
  ++taken_;
  return ticket;
}

void ChunkTurns::pass(const Ticket& ticket, const std::function<bool()>& consume) {
  std::unique_lock lock(passing_);
  passed_.wait(lock, [&] { return next_ == ticket.number; });
  if (!over_) {
    try {
      if (ticket.failure) std::rethrow_exception(ticket.failure);
      over_ = !consume();
    } catch (...) {
      failure_ = std::current_exception();
      over_ = true;
    }
  }
  ++next_;
  passed_.notify_all();
}

void ChunkTurns::rethrow_failure() const {
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace borealis
