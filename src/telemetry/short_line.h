// The log's lines about steps as people read them on a terminal: a header, once, and under it one
// aligned line a logging interval. Pure functions of numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "telemetry/iteration_line.h"

namespace borealis {

class ShortLines {
 public:
  // As many of the columns as fit into `columns` of the terminal, the last of which stays free;
  // iteration, loss and tokens/s in any case.
  ShortLines(int64_t train_iters, int columns);

  // "  iteration      loss  grad norm         lr  step time  tokens/s ...", as long as each line.
  std::string header() const;
  // "     5/100   3.21440      1.203    3.0e-04   480.2 ms     8 528 ...". Times and rates are the
  // interval's means, lr the rate that its last step used. "skipped": no step of it made an
  // update; "-": not known. resident_bytes: of the process, 0 if not known.
  std::string line(const IterationLine& line, int64_t resident_bytes) const;

 private:
  enum class Field {
    kIteration,
    kLoss,
    kGradNorm,
    kRate,
    kTime,
    kTokens,
    kTflops,
    kShare,
    kMemory
  };
  struct Column {
    Field field;
    const char* title;
    int width;
    int dropped;  // on narrow terminals the highest goes first; 0: never
  };
  std::string text(Field field, const IterationLine& line, int64_t resident_bytes) const;

  int64_t train_iters_;
  std::vector<Column> columns_;
};

}  // namespace borealis
