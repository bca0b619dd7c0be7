// Documents out of text files (a file is a document) and JSON Lines files (a line is one), plain or
// compressed with gzip or zstd. A DocumentReader cuts them into chunks that threads can work on.
//
// A document is held in memory as a whole and may have kMaxDocumentBytes; everything else is
// streamed, so that files may be larger than memory. A compressed file is unpacked by whoever asks
// for the next chunk, one thread at a time.
#pragma once

#include <omp.h>

#include <compare>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/compressed_file.h"
#include "base/file.h"

namespace borealis {

enum class TextFormat {
  kAuto,  // by the name, .gz and .zst aside: .jsonl, .ndjson and .json are JSON Lines, else text
  kText,
  kJsonLines,
};

inline constexpr int64_t kMaxDocumentBytes = int64_t{1} << 30;

// A place in the input: the text of a file, unpacked, from this byte on.
struct TextPosition {
  int64_t file = 0;
  int64_t offset = 0;
  auto operator<=>(const TextPosition&) const = default;
};

struct TextFile {
  std::filesystem::path path;
  FileStamp stamp;
  Compression compression = Compression::kNone;
  bool json_lines = false;
  int64_t first_byte = 0;  // sizes of the files before it, as they are stored
};

class DocumentFiles {
 public:
  // Throws Error(kFile) for a file that is missing, unreadable or no regular file, Error(kData) for
  // one whose name ends in .gz or .zst and whose content is something else.
  DocumentFiles(const std::vector<std::filesystem::path>& files, TextFormat format,
                std::string json_key, int64_t max_document_bytes = kMaxDocumentBytes);

  const std::vector<TextFile>& files() const { return files_; }
  const std::string& json_key() const { return json_key_; }
  int64_t total_bytes() const { return total_bytes_; }  // as they are stored
  int64_t max_document_bytes() const { return max_document_bytes_; }

 private:
  std::vector<TextFile> files_;
  std::string json_key_;
  int64_t total_bytes_ = 0;
  int64_t max_document_bytes_;
};

// Some whole documents of one file, about a MiB.
class DocumentChunk {
 public:
  // Calls visit(text, end) for every document, in order; `end` is the byte of the file's text
  // behind it. Blank lines of JSON Lines are none. Any thread may do that. Throws Error(kData)
  // naming file and line for a line that is not a JSON object with a string under the key.
  using Visit = std::function<void(std::string_view text, int64_t end)>;
  void for_each_document(const Visit& visit) const;

  TextPosition end() const;  // of all its text
  int64_t text_bytes() const { return static_cast<int64_t>(text_.size()); }
  int64_t stored_end() const { return stored_end_; }  // bytes of all files, as stored, up to here

 private:
  friend class DocumentReader;
  std::string text_of_line(std::string_view line) const;
  int64_t number_of_line(std::string_view line) const;

  const DocumentFiles* files_ = nullptr;
  int64_t file_ = 0;
  std::shared_ptr<const MappedFile> mapped_;     // text_ is a part of it,
  std::shared_ptr<const std::string> unpacked_;  // or all of this
  std::string_view text_;
  int64_t begin_ = 0;         // of text_ in the file's text
  int64_t lines_before_ = 0;  // counted where the file is unpacked, later where it is mapped
  int64_t stored_end_ = 0;
};

// Walks through the files once. The files must outlive it, and it the chunks' use of them.
class DocumentReader {
 public:
  // From `start` on, which must be the end of a document or chunk of these files.
  explicit DocumentReader(const DocumentFiles& files, TextPosition start = {});
  ~DocumentReader();

  // nullopt at the end; one thread at a time. Throws Error(kData) for a damaged compressed file and
  // for a document that is too large.
  std::optional<DocumentChunk> next();

 private:
  class UnpackedText;
  bool open_next_file();
  DocumentChunk make_chunk(std::string_view text) const;
  std::optional<DocumentChunk> next_mapped();
  std::optional<DocumentChunk> next_unpacked();
  void require_size(size_t bytes) const;

  const DocumentFiles& files_;
  int64_t file_ = -1;  // the current one
  TextPosition start_;
  int64_t offset_ = 0;                        // of the next chunk in the text of the current file
  std::shared_ptr<const MappedFile> mapped_;  // the current file; nullptr: none is open
  std::unique_ptr<UnpackedText> unpacked_;    // nullptr: it is not compressed
};

// What for_chunks_in_order shares between its threads.
class ChunkTurns {
 public:
  explicit ChunkTurns(DocumentReader& reader) : reader_(reader) {}
  struct Ticket {
    int64_t number = 0;
    std::optional<DocumentChunk> chunk;
    std::exception_ptr failure;  // instead of a chunk
  };
  std::optional<Ticket> take();
  // Waits until all tickets before this one have passed, then calls consume() unless it is over.
  void pass(const Ticket& ticket, const std::function<bool()>& consume);
  void rethrow_failure() const;

 private:
  DocumentReader& reader_;
  std::mutex reading_;
  std::mutex passing_;
  std::condition_variable passed_;
  int64_t taken_ = 0;
  int64_t next_ = 0;  // the ticket whose turn it is
  bool over_ = false;
  std::exception_ptr failure_;
};

// Runs work(chunk) -> Result on `threads` OpenMP threads and consume(chunk, Result) -> bool on one
// at a time, in the order of the input; false ends the loop. A thread has one chunk at a time,
// which bounds the memory. The first exception, in the order of the input, ends the loop and is
// thrown.
template <typename Work, typename Consume>
void for_chunks_in_order(DocumentReader& reader, int threads, Work work, Consume consume) {
  ChunkTurns turns(reader);
#pragma omp parallel num_threads(threads)
  while (auto ticket = turns.take()) {
    std::optional<decltype(work(*ticket->chunk))> result;
    try {
      if (!ticket->failure) result = work(*ticket->chunk);
    } catch (...) {
      ticket->failure = std::current_exception();
    }
    turns.pass(*ticket, [&] { return consume(*ticket->chunk, std::move(*result)); });
  }
  turns.rethrow_failure();
}

}  // namespace borealis
