#include "data/document_ends.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "kernels/cross_entropy.h"
#include "tokenizer/open_tokenizer.h"

namespace borealis {
namespace {

int32_t end_token(const DataConfig& config) {
  if (config.eod_token) return static_cast<int32_t>(*config.eod_token);
  constexpr const char* kRemedy = "give its id with --eod-token-id";
  const auto source = tokenizer_source(config);
  if (!source) {
    throw Error(ErrorKind::kConfig,
                "the end-of-document token is not known: there is no tokenizer to ask", kRemedy);
  }
  const std::optional<int32_t> token = open_tokenizer(*source).end_of_text();
  if (!token) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{} names no token that ends a document", source->path), kRemedy);
  }
  return *token;
}

class DocumentEndsSource : public BatchSource {
 public:
  DocumentEndsSource(std::unique_ptr<BatchSource> source, const DocumentEnds& ends)
      : source_(std::move(source)), ends_(ends) {}

  void next(Batch& batch) override {
    source_->next(batch);
    mark_documents(ends_, batch);
  }
  void skip() override { source_->skip(); }

 private:
  std::unique_ptr<BatchSource> source_;
  DocumentEnds ends_;
};

}  // namespace

std::optional<DocumentEnds> document_ends(const DataConfig& config) {
  if (!config.looks_at_documents()) return std::nullopt;
  return DocumentEnds{end_token(config), config.eod_mask_loss, config.reset_position_ids,
                      config.reset_attention_mask};
}

void mark_documents(const DocumentEnds& ends, Batch& batch) {
  const size_t size = batch.tokens.size();
  batch.positions.resize(ends.reset_positions ? size : 0);
  batch.document_starts.resize(ends.reset_attention ? size : 0);
  const auto length = static_cast<size_t>(batch.seq_length);
  size_t start = 0;  // of the document, in the sequence
  for (size_t i = 0; i < size; ++i) {
    const size_t t = i % length;
    if (t == 0) start = 0;
    if (ends.reset_positions) batch.positions[i] = static_cast<int32_t>(t - start);
    if (ends.reset_attention) batch.document_starts[i] = static_cast<int32_t>(start);
    if (batch.tokens[i] != ends.token) continue;
    if (ends.mask_loss) batch.targets[i] = kNoTarget;
    start = t + 1;
  }
}

std::unique_ptr<BatchSource> with_document_ends(std::unique_ptr<BatchSource> source,
                                                const DocumentEnds& ends) {
  return std::make_unique<DocumentEndsSource>(std::move(source), ends);
}

}  // namespace borealis
