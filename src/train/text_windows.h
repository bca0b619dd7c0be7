// How documents are cut for a model that sees T tokens at a time, so that every token behind a
// document's first is predicted once.
//   Window k of a document has the tokens [k S, k S + T) as inputs and predicts what follows each
//   of them, S being the stride. With S = T windows follow one another as training samples do; with
//   S < T they overlap, what the window before has predicted does not count again, and every
//   prediction from the second window on sees at least T - S + 1 tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/batch.h"
#include "data/token_documents.h"

namespace borealis {

struct TextWindow {
  int64_t document = 0;
  int64_t first = 0;        // token of the document that is the first input
  int64_t inputs = 0;       // at most T; predicts the tokens first + 1 .. first + inputs
  int64_t counts_from = 0;  // the first of these that no window before has predicted
};

// Calls visit with the windows of a document of `length` tokens, in order. 1 <= stride <=
// seq_length.
void cut_windows(int64_t document, int64_t length, int64_t seq_length, int64_t stride,
                 const std::function<void(const TextWindow&)>& visit);

// Puts windows into a batch one behind the other, each with positions and attention of its own, so
// that short documents do not leave rows half empty.
class WindowBatch {
 public:
  // rows sequences of seq_length tokens; ids must lie in [0, vocab_size).
  WindowBatch(int64_t rows, int64_t seq_length, int64_t vocab_size);

  bool empty() const { return row_ == 0 && used_ == 0; }
  int64_t counted() const { return counted_; }  // predictions in it
  // False, and nothing is added, if the window does not fit any more. Throws Error(kData) naming
  // the document and the id for one that the model does not have.
  bool add(const TextWindow& window, const TokenDocuments& documents);
  // What was added; the rest of the rows has no targets.
  const Batch& batch() const { return batch_; }
  void clear();

 private:
  void pad(int64_t row, int64_t begin, int64_t end);
  void check_ids(const TextWindow& window, const TokenDocuments& documents) const;

  Batch batch_;
  int64_t vocab_size_;
  int64_t row_ = 0;   // that is being filled
  int64_t used_ = 0;  // tokens of it
  int64_t counted_ = 0;
  std::vector<int32_t> ids_;  // of a window: inputs and the last target
};

}  // namespace borealis
