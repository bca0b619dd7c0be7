// Documents out of text files (a file, a line or a paragraph is one) and JSON Lines files (a line
// is one), plain or compressed with gzip or zstd. A DocumentReader cuts them into chunks that
// threads can work on.
//
// A document is held in memory as a whole and may have kMaxDocumentBytes; everything else is
// streamed, so that files may be larger than memory. A compressed file is unpacked by whoever asks
// for the next chunk, one thread at a time.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/compressed_file.h"
#include "base/file.h"
#include "tokenizer/bad_records.h"

namespace borealis {

enum class TextFormat {
  kAuto,  // by the name, .gz and .zst aside: .jsonl, .ndjson and .json are JSON Lines, else text
  kText,
  kJsonLines,
};

// What of a plain text file is a document. Of JSON Lines it is always the line.
enum class DocumentUnit {
  kFile,
  kLine,       // without its end
  kParagraph,  // lines up to a blank one, without blanks at the end
};

inline constexpr int64_t kMaxDocumentBytes = int64_t{1} << 30;

struct DocumentRules {
  TextFormat format = TextFormat::kAuto;
  std::string json_key = "text";
  std::string key_remedy = "name the key of the text with --json-key";  // of lines without it
  std::string text_remedy = "for plain text use --format text";         // of lines that are no JSON
  DocumentUnit unit = DocumentUnit::kFile;
  BadRecordPolicy on_bad_record = BadRecordPolicy::kFail;
  std::string bad_record_remedy = {};  // what kFail's error advises besides: an option, say
  int64_t max_document_bytes = kMaxDocumentBytes;
};

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
  DocumentUnit unit = DocumentUnit::kFile;
  int64_t first_byte = 0;  // sizes of the files before it, as they are stored
};

class DocumentFiles {
 public:
  // Throws Error(kFile) for a file that is missing, unreadable or no regular file, Error(kData) for
  // one whose name ends in .gz or .zst and whose content is something else.
  explicit DocumentFiles(const std::vector<std::filesystem::path>& files, DocumentRules rules = {});

  const std::vector<TextFile>& files() const { return files_; }
  const DocumentRules& rules() const { return rules_; }
  int64_t total_bytes() const { return total_bytes_; }  // as they are stored

 private:
  std::vector<TextFile> files_;
  DocumentRules rules_;
  int64_t total_bytes_ = 0;
};

// Some whole documents of one file, about a MiB.
class DocumentChunk {
 public:
  // Calls visit(text, end) for every document, in order; `end` is the byte of the file's text
  // behind it. Blank lines are none where lines are documents. Any thread may do that. A bad record
  // is a line that is not a JSON object with a string under the key, or text that is not UTF-8; by
  // the rules it is an Error(kData) naming file and line, left out, or repaired. Those of the last
  // two kinds are added to `bad`. Plain text that is not UTF-8 is repaired by its encoder: `text`
  // is what the file has.
  using Visit = std::function<void(std::string_view text, int64_t end)>;
  void for_each_document(const Visit& visit, BadRecords* bad = nullptr) const;
  // "in.jsonl:12": the line of a byte of the file's text, which must be in this chunk.
  std::string place_of(int64_t offset) const;

  TextPosition end() const;  // of all its text
  int64_t text_bytes() const { return static_cast<int64_t>(text_.size()); }
  int64_t stored_end() const { return stored_end_; }  // bytes of all files, as stored, up to here

 private:
  friend class DocumentReader;
  class Visitor;
  const TextFile& file() const { return files_->files()[static_cast<size_t>(file_)]; }

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
  // Of a document that begins at that byte of the file's text and has so many or more.
  void require_size(int64_t begin, size_t bytes) const;

  const DocumentFiles& files_;
  int64_t file_ = -1;  // the current one
  TextPosition start_;
  int64_t offset_ = 0;                        // of the next chunk in the text of the current file
  std::shared_ptr<const MappedFile> mapped_;  // the current file; nullptr: none is open
  std::unique_ptr<UnpackedText> unpacked_;    // nullptr: it is not compressed
};

}  // namespace borealis
