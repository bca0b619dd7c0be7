// Prepares the next micro-batch on a thread of its own while the step runs. One batch is with the
// caller, one is being filled; they change places in next(), so nothing is copied.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "data/batch.h"

namespace borealis {

class PrefetchingSource : public BatchSource {
 public:
  // What the thread touches of its stack and of its heap, for the memory plan.
  static constexpr int64_t kThreadBytes = 128 * 1024;

  // The thread takes over `source`; it starts with the first next(), or at once.
  enum class Start { kAtOnce, kAtFirstNext };
  PrefetchingSource(std::unique_ptr<BatchSource> source, Start start);
  // Waits for the batch that is being filled, if any, and drops it.
  ~PrefetchingSource() override;
  PrefetchingSource(const PrefetchingSource&) = delete;
  PrefetchingSource& operator=(const PrefetchingSource&) = delete;

  // The batches of `source` in their order, and what it throws at the call that asks for the batch:
  // a source that ends after n batches throws in the n + 1st call, as it would by itself, and so
  // does every call after that.
  void next(Batch& batch) override;
  // Passes over refusals, Error(kData), alone; any other exception is thrown again.
  void skip() override;

 private:
  void start();
  void run();

  std::unique_ptr<BatchSource> source_;  // the thread's
  std::mutex mutex_;
  std::condition_variable changed_;
  Batch prepared_;  // guarded, like all below
  bool ready_ = false;
  bool stop_ = false;
  bool skips_refused_ = false;  // the batch that failure_ was of
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace borealis
