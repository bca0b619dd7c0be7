// What end-of-document tokens do to a batch: the loss after them, positions and attention may stop
// there (contract section 7.9). The token itself belongs to the document that it ends.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "config/run_config.h"
#include "data/batch.h"

namespace borealis {

struct DocumentEnds {
  int32_t token = 0;             // that ends a document
  bool mask_loss = false;        // no loss where the input is this token
  bool reset_positions = false;  // every document starts at position 0
  bool reset_attention = false;  // no document sees another one
};

// What a run asks for; nullopt where it does not look at documents. The token is config.eod_token
// if that is set, else what the tokenizer says. Throws Error(kConfig) if nobody knows the token.
std::optional<DocumentEnds> document_ends(const DataConfig& config);

// Fills what `ends` asks for from the batch's tokens; a sequence starts a document.
void mark_documents(const DocumentEnds& ends, Batch& batch);

// `source`, with mark_documents on every batch.
std::unique_ptr<BatchSource> with_document_ends(std::unique_ptr<BatchSource> source,
                                                const DocumentEnds& ends);

}  // namespace borealis
