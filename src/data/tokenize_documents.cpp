#include "data/tokenize_documents.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "base/error.h"
#include "base/log.h"
#include "data/data_record.h"
#include "data/sharded_output.h"
#include "tokenizer/chunks_in_order.h"

namespace borealis {
namespace {

using Clock = std::chrono::steady_clock;

// The documents of one chunk, end to end.
struct EncodedChunk {
  struct Document {
    size_t ids_end = 0;
    int64_t text_end = 0;
    BadRecordCounts bad;  // of the chunk up to there
  };
  std::vector<int32_t> ids;
  std::vector<Document> documents;
  BadRecords bad;
};

EncodedChunk encode_chunk(const DocumentChunk& chunk, TokenEncoder& encoder,
                          std::optional<int32_t> end_token) {
  EncodedChunk encoded;
  chunk.for_each_document(
      [&](std::string_view text, int64_t text_end) {
        const size_t begin = encoded.ids.size();
        if (!text.empty()) encoder.encode_document(text, encoded.ids);
        if (end_token && encoded.ids.size() > begin) encoded.ids.push_back(*end_token);
        encoded.documents.push_back({encoded.ids.size(), text_end, encoded.bad.counts()});
      },
      &encoded.bad);
  return encoded;
}

void write_chunk(const EncodedChunk& encoded, const TextPosition& chunk_end,
                 ShardedOutput& output) {
  size_t begin = 0;
  BadRecordCounts counted;
  for (const auto& document : encoded.documents) {
    output.add_document(std::span(encoded.ids).subspan(begin, document.ids_end - begin),
                        {chunk_end.file, document.text_end});
    // Behind the document: closing a shard before it keeps the place before these records.
    output.count(document.bad.since(counted));
    counted = document.bad;
    begin = document.ids_end;
  }
  output.pass(chunk_end);
  output.count(encoded.bad.counts().since(counted));
}

std::optional<int32_t> wanted_end_token(const Tokenizer& tokenizer, bool append_end) {
  if (!append_end) return std::nullopt;
  if (const auto token = tokenizer.end_of_text()) return token;
  throw Error(ErrorKind::kConfig, "the tokenizer names no end-of-text token to append",
              "set eos_token in its tokenizer_config.json, or give --no-append-eod");
}

DataRecord common_record(const TokenizerIdentity& identity, const TokenizeOptions& options) {
  DataRecord record;
  record.tokenizer = identity;
  record.tokenizer_path = options.tokenizer_path;
  record.end_token_appended = options.append_end;
  record.type = token_type_for_vocabulary(identity.vocab_size);
  record.program = options.program;
  return record;
}

const char* policy_name(BadRecordPolicy policy) {
  constexpr std::array kNames = {"fail", "skip", "repair"};
  return kNames[static_cast<size_t>(policy)];
}

const char* unit_name(DocumentUnit unit) {
  constexpr std::array kNames = {"file", "line", "paragraph"};
  return kNames[static_cast<size_t>(unit)];
}

// All that decides the bytes of the output.
nlohmann::json request_json(const DocumentFiles& files, const DataRecord& record,
                            const TokenizeOptions& options) {
  nlohmann::json json = {{"tokenizer", describe_tokenizer(record.tokenizer)},
                         {"tokenizer_sha256", record.tokenizer.sha256},
                         {"append_eod", options.append_end},
                         {"json_key", files.rules().json_key},
                         {"on_bad_record", policy_name(files.rules().on_bad_record)},
                         {"shard_tokens", options.shard_tokens},
                         {"corpus", options.corpus},
                         {"program", options.program},
                         {"sources", nlohmann::json::array()}};
  for (const TextFile& file : files.files()) {
    json["sources"].push_back({{"path", std::filesystem::absolute(file.path).string()},
                               {"bytes", file.stamp.bytes},
                               {"modified_ns", file.stamp.modified_ns},
                               {"json_lines", file.json_lines},
                               {"document_per", unit_name(file.unit)}});
  }
  return json;
}

class CheckpointClock {
 public:
  explicit CheckpointClock(double seconds) : seconds_(seconds) {}
  bool is_due() {
    if (std::chrono::duration<double>(Clock::now() - last_).count() < seconds_) return false;
    last_ = Clock::now();
    return true;
  }

 private:
  double seconds_;
  Clock::time_point last_ = Clock::now();
};

// True at the end of the input, false if it was stopped before.
bool encode_all(const DocumentFiles& files, const Tokenizer& tokenizer,
                std::optional<int32_t> end_token, const TokenizeOptions& options,
                const TokenizeHooks& hooks, ShardedOutput& output) {
  // One encoder a thread: its memory of words pays off over many chunks.
  std::vector<std::unique_ptr<TokenEncoder>> encoders(static_cast<size_t>(options.threads));
  const auto suffix = tokenizer.document_suffix();
  if (!suffix.empty() && suffix.back() == end_token) end_token.reset();  // it is there already
  DocumentReader reader(files, output.progress().position);
  const int64_t earlier_bytes = output.progress().counts.text_bytes;
  CheckpointClock clock(options.checkpoint_seconds);
  BadRecordLog bad_records;
  bool complete = true;
  for_chunks_in_order(
      reader, options.threads,
      [&](const DocumentChunk& chunk) {
        auto& encoder = encoders[static_cast<size_t>(omp_get_thread_num())];
        if (!encoder) encoder = std::make_unique<TokenEncoder>(tokenizer);
        return encode_chunk(chunk, *encoder, end_token);
      },
      [&](const DocumentChunk& chunk, const EncodedChunk& encoded) {
        bad_records.add(chunk, encoded.bad);
        write_chunk(encoded, chunk.end(), output);
        complete = !(hooks.should_stop && hooks.should_stop());
        if (!complete || clock.is_due()) output.checkpoint();
        if (hooks.progress) {
          hooks.progress(chunk.stored_end(), files.total_bytes(),
                         output.progress().counts.text_bytes - earlier_bytes);
        }
        return complete;
      });
  return complete;
}

}  // namespace

TokenizedCorpus tokenize_documents(const DocumentFiles& files, const Tokenizer& tokenizer,
                                   const TokenizeOptions& options, const TokenizeHooks& hooks) {
  TokenizedCorpus corpus;
  corpus.end_token = wanted_end_token(tokenizer, options.append_end);
  const DataRecord record = common_record(tokenizer_identity(tokenizer), options);
  corpus.vocab_size = record.tokenizer.vocab_size;
  corpus.type = record.type;
  ShardedOutput output({.prefix = options.output_prefix,
                        .shard_tokens = options.shard_tokens,
                        .corpus = options.corpus,
                        .start_over = options.start_over,
                        .overwrite = options.overwrite,
                        .record = record},
                       files, request_json(files, record, options));
  corpus.earlier_text_bytes = output.progress().counts.text_bytes;
  try {
    corpus.complete = encode_all(files, tokenizer, corpus.end_token, options, hooks, output);
    if (corpus.complete) output.finish();
  } catch (const Error& error) {
    // A full disk, say: not the input's fault.
    if (error.kind() == ErrorKind::kFile && output.keeps_progress()) {
      log_info(fmt::format("what is done is kept in {}: the same command goes on from there",
                           tokenize_journal_folder(options.output_prefix).string()));
    }
    throw;
  }
  const TokenizeProgress& progress = output.progress();
  corpus.empty_documents = progress.counts.empty_documents;
  corpus.bad_records = progress.counts.bad_records;
  corpus.text_bytes = progress.counts.text_bytes;
  corpus.documents = progress.open.documents;
  corpus.tokens = progress.open.tokens;
  for (const ShardSummary& shard : progress.shards) {
    corpus.documents += shard.documents;
    corpus.tokens += shard.tokens;
  }
  corpus.prefixes = output.prefixes();
  if (options.shard_tokens > 0 && corpus.complete) corpus.list = output.list_path();
  return corpus;
}

}  // namespace borealis
