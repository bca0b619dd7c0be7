// The chunks of a DocumentReader, worked on by several threads and taken in order.
#pragma once

#include <omp.h>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "tokenizer/documents.h"

namespace borealis {

// What for_chunks_in_order shares between its threads.
class ChunkTurns {
 public:
  explicit ChunkTurns(DocumentReader& reader) : reader_(reader) {}
  struct Ticket {
    int64_t number = 0;
    std::optional<DocumentChunk> chunk;
    std::exception_ptr failure;  // instead of a chunk
  };
  std::optional<Ticket> take();
  // Waits until all tickets before this one have passed, then calls consume() unless it is over.
  void pass(const Ticket& ticket, const std::function<bool()>& consume);
  void rethrow_failure() const;

 private:
  DocumentReader& reader_;
  std::mutex reading_;
  std::mutex passing_;
  std::condition_variable passed_;
  int64_t taken_ = 0;
  int64_t next_ = 0;  // the ticket whose turn it is
  bool over_ = false;
  std::exception_ptr failure_;
};

// Runs work(chunk) -> Result on `threads` OpenMP threads and consume(chunk, Result) -> bool on one
// at a time, in the order of the input; false ends the loop. A thread has one chunk at a time,
// which bounds the memory. The first exception, in the order of the input, ends the loop and is
// thrown.
template <typename Work, typename Consume>
void for_chunks_in_order(DocumentReader& reader, int threads, Work work, Consume consume) {
  ChunkTurns turns(reader);
#pragma omp parallel num_threads(threads)
  while (auto ticket = turns.take()) {
    std::optional<decltype(work(*ticket->chunk))> result;
    try {
      if (!ticket->failure) result = work(*ticket->chunk);
    } catch (...) {
      ticket->failure = std::current_exception();
    }
    turns.pass(*ticket, [&] { return consume(*ticket->chunk, std::move(*result)); });
  }
  turns.rethrow_failure();
}

}  // namespace borealis
