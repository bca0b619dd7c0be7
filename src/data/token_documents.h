// Documents as token ids, to be looked at by a model: texts that are tokenized here, or those of an
// indexed data set.
//
// A document may be led by a start token that the text or the file does not have: with the token
// that ended the document before it in training as context, its first token can be predicted as
// well.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/indexed_dataset.h"
#include "tokenizer/documents.h"
#include "tokenizer/tokenizer.h"

namespace borealis {

class TokenDocuments {
 public:
  virtual ~TokenDocuments() = default;
  virtual int64_t count() const = 0;
  // Tokens of a document, its start token included. Documents without a token are none.
  virtual int64_t length(int64_t document) const = 0;
  // out[0..count) = tokens [first, first + count). Throws Error(kData) for an id that is none.
  virtual void read(int64_t document, int64_t first, int64_t count, int32_t* out) const = 0;
  // Bytes of the text that tokens [1, end) stand for, which are all that a model can predict; none
  // where no tokenizer knows them.
  virtual std::optional<int64_t> text_bytes(int64_t document, int64_t end) const = 0;
  virtual std::string name(int64_t document) const = 0;  // for messages
  virtual int64_t memory_bytes() const = 0;              // that the tokens take

  int64_t token_count() const;
};

// Leads the documents that do not start with a special token of the tokenizer already (of a data
// set: all of them, if its first one does not).
struct StartToken {
  std::optional<int32_t> id = {};
};

struct TokenizeTexts {
  StartToken start = {};
  std::optional<int64_t> max_tokens = {};   // once so many can be predicted, no more are read
  std::optional<int64_t> limit_bytes = {};  // that the process may grow to
  int threads = 1;
};

// The documents of the files, held as ids of 4 bytes. Calls progress(done, total bytes). Throws
// Error(kData) for broken JSON Lines, Error(kMemory) where the tokens would go beyond limit_bytes.
std::unique_ptr<TokenDocuments> tokenize_texts(
    const DocumentFiles& files, const Tokenizer& tokenizer, const TokenizeTexts& options,
    const std::function<void(int64_t, int64_t)>& progress, BadRecordLog* bad = nullptr);

// The documents of <prefix>.bin, read where they are. `tokenizer` may be null, and must outlive the
// result.
std::unique_ptr<TokenDocuments> indexed_documents(const std::filesystem::path& prefix,
                                                  const Tokenizer* tokenizer,
                                                  const StartToken& start);

}  // namespace borealis
