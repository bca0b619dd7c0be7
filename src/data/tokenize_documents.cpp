#include "data/tokenize_documents.h"

#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "data/indexed_dataset_writer.h"

namespace borealis {
namespace {

// The documents of one slice, end to end.
struct EncodedSlice {
  std::vector<int32_t> ids;
  std::vector<size_t> ends;  // of each document in ids
  int64_t empty_documents = 0;
};

EncodedSlice encode_slice(const DocumentFiles& files, int64_t slice, TokenEncoder& encoder,
                          std::optional<int32_t> end_token) {
  EncodedSlice encoded;
  files.read_slice(slice, [&](std::string_view text) {
    const size_t begin = encoded.ids.size();
    if (!text.empty()) encoder.encode_document(text, encoded.ids);
    if (encoded.ids.size() == begin) {
      ++encoded.empty_documents;
      return;
    }
    if (end_token) encoded.ids.push_back(*end_token);
    encoded.ends.push_back(encoded.ids.size());
  });
  return encoded;
}

}  // namespace

TokenizedCorpus tokenize_documents(const DocumentFiles& files, const Tokenizer& tokenizer,
                                   const TokenizeOutput& output,
                                   const std::function<void(int64_t, int64_t)>& progress) {
  TokenizedCorpus corpus{.vocab_size = tokenizer.vocab_size(),
                         .type = token_type_for_vocabulary(tokenizer.vocab_size())};
  if (output.append_end) {
    corpus.end_token = tokenizer.end_of_text();
    if (!corpus.end_token) {
      throw Error(ErrorKind::kConfig, "the tokenizer names no end-of-text token to append",
                  "set eos_token in its tokenizer_config.json, or give --no-append-eod");
    }
  }
  IndexedDatasetWriter writer(output.output_prefix, corpus.type);
  // One encoder a thread: its memory of words pays off over many slices.
  std::vector<std::unique_ptr<TokenEncoder>> encoders(static_cast<size_t>(output.threads));
  int64_t done_bytes = 0;
  for_slices_in_order(
      files.slice_count(), output.threads,
      [&](int64_t slice) {
        auto& encoder = encoders[static_cast<size_t>(omp_get_thread_num())];
        if (!encoder) encoder = std::make_unique<TokenEncoder>(tokenizer);
        return encode_slice(files, slice, *encoder, corpus.end_token);
      },
      [&](int64_t slice, const EncodedSlice& encoded) {
        size_t begin = 0;
        for (const size_t end : encoded.ends) {
          writer.add_document(std::span(encoded.ids).subspan(begin, end - begin));
          begin = end;
        }
        corpus.empty_documents += encoded.empty_documents;
        done_bytes += files.slice_bytes(slice);
        if (progress) progress(done_bytes, files.total_bytes());
      });
  corpus.documents = writer.document_count();
  corpus.tokens = writer.token_count();
  if (corpus.documents == 0) {
    throw Error(ErrorKind::kData, "the input has no documents with text in them",
                "give files that are not empty");
  }
  writer.commit();
  return corpus;
}

}  // namespace borealis
