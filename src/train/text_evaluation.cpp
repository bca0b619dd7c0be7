#include "train/text_evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/check.h"
#include "base/error.h"
#include "base/stopwatch.h"
#include "train/text_windows.h"

namespace borealis {
namespace {

// The lengths of the documents, cut where max_tokens predictions are reached.
class Budget {
 public:
  explicit Budget(const std::optional<int64_t>& max_tokens)
      : left_(max_tokens.value_or(std::numeric_limits<int64_t>::max())) {}
  // Tokens of a document of `length` that are used: the first is not predicted.
  int64_t take(int64_t length) {
    const int64_t predicted = std::min(std::max<int64_t>(length - 1, 0), left_);
    left_ -= predicted;
    return predicted == 0 ? 0 : predicted + 1;
  }
  bool used_up() const { return left_ == 0; }

 private:
  int64_t left_;
};

// Gathers windows into batches, and what the model says of them.
class Evaluation {
 public:
  Evaluation(LanguageModel& model, const DecoderShape& shape, const TokenDocuments& documents)
      : model_(model),
        documents_(documents),
        batch_(shape.micro_batch_size, shape.seq_length, shape.model.vocab_size) {
    result_.bytes = 0;
  }

  // True if the model ran because the batch was full.
  bool add(const TextWindow& window) {
    ++result_.windows;
    last_document_ = window.document;
    if (batch_.add(window, documents_)) return false;
    run();
    CHECK(batch_.add(window, documents_));
    return true;
  }
  void count_text(int64_t document, int64_t length) {
    ++result_.documents;
    const std::optional<int64_t> bytes = documents_.text_bytes(document, length);
    if (!bytes) result_.bytes.reset();
    if (result_.bytes) *result_.bytes += *bytes;
  }
  TextEvaluation finish() {
    if (!batch_.empty()) run();
    result_.seconds = stopwatch_.elapsed_s();
    return result_;
  }
  int64_t tokens() const { return result_.tokens; }

 private:
  void run() {
    result_.loss_sum += model_.forward(batch_.batch());
    result_.tokens += batch_.counted();
    if (!std::isfinite(result_.loss_sum)) {
      throw Error(ErrorKind::kNumerics,
                  fmt::format("the model's loss is not finite, at {} or shortly before it",
                              documents_.name(last_document_)),
                  "the checkpoint has weights that are not finite, or overflows: try --dtype fp32");
    }
    batch_.clear();
  }

  LanguageModel& model_;
  const TokenDocuments& documents_;
  Stopwatch stopwatch_;
  WindowBatch batch_;
  TextEvaluation result_;
  int64_t last_document_ = 0;
};

}  // namespace

double TextEvaluation::loss() const { return loss_sum / static_cast<double>(tokens); }

double TextEvaluation::perplexity() const { return std::exp(loss()); }

std::optional<double> TextEvaluation::bits_per_byte() const {
  if (bytes.value_or(0) == 0) return std::nullopt;
  return loss_sum / std::numbers::ln2 / static_cast<double>(*bytes);
}

double TextEvaluation::tokens_per_second() const { return static_cast<double>(tokens) / seconds; }

int64_t tokens_to_predict(const TokenDocuments& documents, const TextEvaluationOptions& options) {
  Budget budget(options.max_tokens);
  int64_t tokens = 0;
  for (int64_t document = 0; document < documents.count() && !budget.used_up(); ++document) {
    tokens += std::max<int64_t>(budget.take(documents.length(document)) - 1, 0);
  }
  return tokens;
}

TextEvaluation evaluate_texts(LanguageModel& model, const DecoderShape& shape,
                              const TokenDocuments& documents, const TextEvaluationOptions& options,
                              const std::function<void(int64_t, int64_t)>& progress) {
  const int64_t total = tokens_to_predict(documents, options);
  CHECK(total > 0);
  Evaluation evaluation(model, shape, documents);
  Budget budget(options.max_tokens);
  for (int64_t document = 0; document < documents.count() && !budget.used_up(); ++document) {
    const int64_t length = budget.take(documents.length(document));
    if (length == 0) continue;
    cut_windows(document, length, options.seq_length, options.stride, [&](const TextWindow& w) {
      if (evaluation.add(w) && progress) progress(evaluation.tokens(), total);
    });
    evaluation.count_text(document, length);
  }
  const TextEvaluation result = evaluation.finish();
  CHECK(result.tokens == total);
  return result;
}

}  // namespace borealis
