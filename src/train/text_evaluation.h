// How well a model predicts documents: the mean cross entropy of their tokens, and what follows
// from it. Every token behind a document's first counts once, and all count the same.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "data/token_documents.h"
#include "model/decoder.h"

namespace borealis {

struct TextEvaluationOptions {
  int64_t seq_length = 0;                  // T: inputs of a window
  int64_t stride = 0;                      // S <= T (text_windows.h)
  std::optional<int64_t> max_tokens = {};  // predictions after which the rest is left out
};

struct TextEvaluation {
  int64_t documents = 0;  // with a token to predict
  int64_t tokens = 0;     // predicted
  int64_t windows = 0;
  double loss_sum = 0;           // nats
  std::optional<int64_t> bytes;  // of text that the predicted tokens stand for, where it is known
  double seconds = 0;

  double loss() const;  // nats a token
  double perplexity() const;
  std::optional<double> bits_per_byte() const;  // nullopt without bytes, or where there are none
  double tokens_per_second() const;
};

// Predictions that evaluate_texts will make.
int64_t tokens_to_predict(const TokenDocuments& documents, const TextEvaluationOptions& options);

// `model` has the shape `shape`, whose sequences may be shorter than options.seq_length only where
// no window is that long; there must be something to predict (CHECK). Calls progress(done, total)
// in tokens after every batch. Throws Error(kData) if an id is not in the vocabulary,
// Error(kNumerics) if a loss is not finite.
TextEvaluation evaluate_texts(LanguageModel& model, const DecoderShape& shape,
                              const TokenDocuments& documents, const TextEvaluationOptions& options,
                              const std::function<void(int64_t, int64_t)>& progress = {});

}  // namespace borealis
