#include "tokenizer/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/units.h"
#include "tokenizer/document_ends_in_text.h"
#include "tokenizer/json_line.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // before a file's text, none of it

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

bool has_compressed_name(const std::filesystem::path& path) {
  return path.extension() == ".gz" || path.extension() == ".zst";
}

bool looks_like_json_lines(const std::filesystem::path& path) {
  constexpr std::array kEndings = {".jsonl", ".ndjson", ".json"};
  const std::filesystem::path inner = has_compressed_name(path) ? path.stem() : path;
  return std::ranges::find(kEndings, inner.extension().string()) != kEndings.end();
}

Compression checked_compression(const std::filesystem::path& path) {
  const MappedFile mapped(path);
  const Compression compression = compression_of(mapped.bytes());
  if (compression == Compression::kNone && has_compressed_name(path)) {
    throw Error(ErrorKind::kData,
                fmt::format("{} does not start as a {} file does", path.string(),
                            path.extension() == ".gz" ? "gzip" : "zstd"),
                "if it is not compressed rename it, else copy or download it again");
  }
  return compression;
}

int64_t count_lines(std::string_view text) { return std::ranges::count(text, '\n'); }

}  // namespace

DocumentFiles::DocumentFiles(const std::vector<std::filesystem::path>& files, DocumentRules rules)
    : rules_(std::move(rules)) {
  for (const std::filesystem::path& path : files) {
    const FileStamp stamp = file_stamp(path);
    const bool json_lines = rules_.format == TextFormat::kJsonLines ||
                            (rules_.format == TextFormat::kAuto && looks_like_json_lines(path));
    files_.push_back({path, stamp, checked_compression(path), json_lines,
                      json_lines ? DocumentUnit::kLine : rules_.unit, total_bytes_});
    total_bytes_ += stamp.bytes;
  }
}

TextPosition DocumentChunk::end() const {
  return {file_, begin_ + static_cast<int64_t>(text_.size())};
}

std::string DocumentChunk::place_of(int64_t offset) const {
  const auto in_chunk = static_cast<size_t>(offset - begin_);
  const int64_t before =
      unpacked_ ? lines_before_ + count_lines(text_.substr(0, in_chunk))
                : count_lines(text_of(*mapped_).substr(0, static_cast<size_t>(offset)));
  return fmt::format("{}:{}", file().path.string(), before + 1);
}

class DocumentChunk::Visitor {
 public:
  Visitor(const DocumentChunk& chunk, const Visit& visit, BadRecords* bad)
      : chunk_(chunk), rules_(chunk.files_->rules()), visit_(visit), bad_(bad) {}

  // `text`: a part of the chunk's. `end`: where the document ends in it.
  void plain(std::string_view text, size_t end) const {
    if (is_too_long(text)) return;
    const size_t invalid = valid_utf8_prefix(text);
    if (invalid == text.size()) {
      give(text, text, end);
      return;
    }
    const auto byte = static_cast<unsigned char>(text[invalid]);
    RecordFault fault{.problem = fmt::format("the byte 0x{:02x} is not UTF-8", byte),
                      .remedy = "convert the file to UTF-8 (iconv)",
                      .invalid_utf8 = true};
    const bool mended = handle(std::move(fault), place(text) + static_cast<int64_t>(invalid), true);
    if (mended) give(text, text, end);
  }
  void json(std::string_view line, size_t end) const {
    if (is_too_long(line)) return;
    JsonLineText read = text_of_json_line(
        line, rules_.json_key, rules_.on_bad_record == BadRecordPolicy::kRepair, rules_.key_remedy);
    if (read.fault && !read.text && line.find_first_not_of(" \t") != line.npos &&
        line.find('{') == line.npos) {
      read.fault->remedy += "; " + rules_.text_remedy;
    }
    if (read.fault && !handle(std::move(*read.fault), place(line), read.text.has_value())) return;
    give(*read.text, line, end);
  }

 private:
  // `record`: the part of the chunk that the text is from. What the text is refused for gets the
  // place of its record.
  void give(std::string_view text, std::string_view record, size_t end) const {
    try {
      visit_(text, chunk_.begin_ + static_cast<int64_t>(end));
    } catch (const Error& error) {
      throw Error(error.kind(),
                  fmt::format("{}: {}", chunk_.place_of(place(record)), fault_text(error)));
    }
  }
  bool is_too_long(std::string_view record) const {
    const int64_t most = rules_.max_document_bytes;
    if (std::ssize(record) <= most) return false;
    handle({.problem = fmt::format("{} bytes, more than {}", record.size(), format_bytes(most)),
            .remedy = "cut it, or raise --max-document-bytes"},
           place(record), false);
    return true;
  }
  int64_t place(std::string_view part) const {
    return chunk_.begin_ + (part.data() - chunk_.text_.data());
  }
  // Whether the record is used all the same.
  bool handle(RecordFault fault, int64_t offset, bool can_be_mended) const {
    if (rules_.on_bad_record == BadRecordPolicy::kFail) {
      throw Error(ErrorKind::kData, fmt::format("{}: {}", chunk_.place_of(offset), fault.problem),
                  fault.remedy + rules_.bad_record_remedy);
    }
    const bool mended = can_be_mended && rules_.on_bad_record == BadRecordPolicy::kRepair;
    if (bad_ != nullptr) bad_->add({offset, std::move(fault), mended});
    return mended;
  }

  const DocumentChunk& chunk_;
  const DocumentRules& rules_;
  const Visit& visit_;
  BadRecords* bad_;
};

void DocumentChunk::for_each_document(const Visit& visit, BadRecords* bad) const {
  const Visitor visitor(*this, visit, bad);
  const DocumentUnit unit = file().unit;
  const bool is_marked = begin_ == 0 && text_.starts_with(kByteOrderMark);
  for (size_t begin = is_marked ? kByteOrderMark.size() : 0; begin < text_.size();) {
    const size_t end = std::min(first_document_end(text_, begin, unit), text_.size());
    const std::string_view document = trimmed_document(text_.substr(begin, end - begin), unit);
    begin = end;
    if (document.empty()) continue;
    if (file().json_lines) {
      visitor.json(document, end);
    } else {
      visitor.plain(document, end);
    }
  }
}

// The text of a compressed file, taken from the front piece by piece.
class DocumentReader::UnpackedText {
 public:
  UnpackedText(const std::shared_ptr<const MappedFile>& file, Compression compression)
      : reader_(file, compression) {}

  // Reads `count` bytes more, or what is left; false at the end of the file.
  bool read_more(size_t count) {
    const size_t before = text_.size();
    text_.resize(before + count);
    text_.resize(before + reader_.read(std::span(text_).subspan(before)));
    return text_.size() > before;
  }
  const std::string& text() const { return text_; }
  std::string take(size_t count) {
    std::string rest = text_.substr(count);
    text_.resize(count);
    std::string front = std::exchange(text_, std::move(rest));
    lines_ += count_lines(front);
    return front;
  }
  int64_t lines() const { return lines_; }  // taken so far
  int64_t consumed_bytes() const { return reader_.consumed_bytes(); }

 private:
  UnpackingReader reader_;
  std::string text_;
  int64_t lines_ = 0;
};

DocumentReader::DocumentReader(const DocumentFiles& files, TextPosition start)
    : files_(files), file_(start.file - 1), start_(start) {}

DocumentReader::~DocumentReader() = default;

std::optional<DocumentChunk> DocumentReader::next() {
  for (;;) {
    if (!mapped_ && !open_next_file()) return std::nullopt;
    if (auto chunk = unpacked_ ? next_unpacked() : next_mapped()) return chunk;
    mapped_.reset();
    unpacked_.reset();
  }
}

bool DocumentReader::open_next_file() {
  for (++file_; file_ < static_cast<int64_t>(files_.files().size()); ++file_) {
    const TextFile& file = files_.files()[static_cast<size_t>(file_)];
    offset_ = 0;
    const int64_t skip = file_ == start_.file ? start_.offset : 0;
    if (file.unit == DocumentUnit::kFile && skip > 0) continue;  // its one document is done
    mapped_ = std::make_shared<const MappedFile>(file.path);
    if (file.compression == Compression::kNone) {
      mapped_->advise(MappedFile::Access::kInOrder);
      offset_ = std::min(skip, static_cast<int64_t>(mapped_->bytes().size()));
      return true;
    }
    unpacked_ = std::make_unique<UnpackedText>(mapped_, file.compression);
    while (offset_ < skip) {
      const auto step = std::min<int64_t>(skip - offset_, kChunkBytes);
      if (!unpacked_->read_more(static_cast<size_t>(step))) break;
      offset_ += static_cast<int64_t>(unpacked_->take(unpacked_->text().size()).size());
    }
    return true;
  }
  return false;
}

void DocumentReader::require_size(int64_t begin, size_t bytes) const {
  const int64_t most = files_.rules().max_document_bytes;
  if (bytes <= static_cast<size_t>(most)) return;
  const TextFile& file = files_.files()[static_cast<size_t>(file_)];
  const std::string size = fmt::format("{}{} bytes, more than {}", unpacked_ ? "at least " : "",
                                       bytes, format_bytes(most));
  const int64_t line =
      1 + (unpacked_ ? unpacked_->lines()
                     : count_lines(text_of(*mapped_).substr(0, static_cast<size_t>(begin))));
  throw Error(ErrorKind::kData,
              file.unit == DocumentUnit::kFile
                  ? fmt::format("{} is a document of {}", file.path.string(), size)
                  : fmt::format("{}:{}: a {} of {}", file.path.string(), line,
                                file.unit == DocumentUnit::kLine ? "line" : "paragraph", size),
              "a document is held in memory: cut it, give --document-per, write the text as JSON "
              "Lines, a document a line, or raise --max-document-bytes");
}

DocumentChunk DocumentReader::make_chunk(std::string_view text) const {
  const TextFile& file = files_.files()[static_cast<size_t>(file_)];
  DocumentChunk chunk;
  chunk.files_ = &files_;
  chunk.file_ = file_;
  chunk.text_ = text;
  chunk.begin_ = offset_;
  chunk.stored_end_ = file.first_byte + (unpacked_ ? unpacked_->consumed_bytes()
                                                   : offset_ + static_cast<int64_t>(text.size()));
  return chunk;
}

std::optional<DocumentChunk> DocumentReader::next_mapped() {
  const std::string_view rest = text_of(*mapped_).substr(static_cast<size_t>(offset_));
  if (rest.empty()) return std::nullopt;
  size_t size = rest.size();
  const DocumentUnit unit = files_.files()[static_cast<size_t>(file_)].unit;
  if (unit == DocumentUnit::kFile) {
    require_size(offset_, size);
  } else if (size > kChunkBytes) {
    // Whole documents: those that start in the first MiB.
    size = std::min(first_document_end(rest, kChunkBytes - 1, unit), size);
    const size_t last = last_document_end(rest.substr(0, size - 1), 0, unit);
    require_size(offset_ + static_cast<int64_t>(last), size - last);
  }
  DocumentChunk chunk = make_chunk(rest.substr(0, size));
  chunk.mapped_ = mapped_;
  offset_ += static_cast<int64_t>(size);
  return chunk;
}

std::optional<DocumentChunk> DocumentReader::next_unpacked() {
  const DocumentUnit unit = files_.files()[static_cast<size_t>(file_)].unit;
  size_t size = 0;  // of the whole documents at hand
  for (bool more = true; more && size == 0;) {
    const size_t known = unpacked_->text().size();
    more = unpacked_->read_more(kChunkBytes);
    // What was there before has no end of a document.
    if (more) size = last_document_end(unpacked_->text(), known, unit);
    if (size == 0) require_size(offset_, unpacked_->text().size());
  }
  if (size == 0) size = unpacked_->text().size();  // the end of the file
  if (size == 0) return std::nullopt;
  DocumentChunk chunk = make_chunk({});
  chunk.lines_before_ = unpacked_->lines();
  chunk.unpacked_ = std::make_shared<const std::string>(unpacked_->take(size));
  chunk.text_ = *chunk.unpacked_;
  offset_ += static_cast<int64_t>(size);
  return chunk;
}

}  // namespace borealis
