#include "tokenizer/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

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

DocumentFiles::DocumentFiles(const std::vector<std::filesystem::path>& files, TextFormat format,
                             std::string json_key, int64_t max_document_bytes)
    : json_key_(std::move(json_key)), max_document_bytes_(max_document_bytes) {
  for (const std::filesystem::path& path : files) {
    const FileStamp stamp = file_stamp(path);
    const bool json_lines = format == TextFormat::kJsonLines ||
                            (format == TextFormat::kAuto && looks_like_json_lines(path));
    files_.push_back({path, stamp, checked_compression(path), json_lines, total_bytes_});
    total_bytes_ += stamp.bytes;
  }
}

TextPosition DocumentChunk::end() const {
  return {file_, begin_ + static_cast<int64_t>(text_.size())};
}

void DocumentChunk::for_each_document(const Visit& visit) const {
  if (!files_->files()[static_cast<size_t>(file_)].json_lines) {
    if (!text_.empty()) visit(text_, end().offset);
    return;
  }
  for (size_t begin = 0; begin < text_.size();) {
    const size_t end = std::min(text_.find('\n', begin), text_.size());
    const std::string_view line = text_.substr(begin, end - begin);
    begin = std::min(end + 1, text_.size());
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    visit(text_of_line(line), begin_ + static_cast<int64_t>(begin));
  }
}

int64_t DocumentChunk::number_of_line(std::string_view line) const {
  const auto in_chunk = static_cast<size_t>(line.data() - text_.data());
  if (unpacked_) return 1 + lines_before_ + count_lines(text_.substr(0, in_chunk));
  return 1 + count_lines(text_of(*mapped_).substr(0, static_cast<size_t>(begin_) + in_chunk));
}

std::string DocumentChunk::text_of_line(std::string_view line) const {
  const auto refuse = [&](const std::string& problem, const std::string& remedy) {
    const TextFile& file = files_->files()[static_cast<size_t>(file_)];
    throw Error(ErrorKind::kData,
                fmt::format("{}:{}: {}", file.path.string(), number_of_line(line), problem),
                remedy);
  };
  nlohmann::json document;
  try {
    document = nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception& error) {
    // The library's message quotes the line, which may not be UTF-8.
    refuse(replace_invalid_utf8(fmt::format("not JSON: {}", error.what())),
           "every line must be one JSON object; for plain text use --format text");
  }
  if (!document.is_object()) refuse("not a JSON object", "every line must be one JSON object");
  const std::string& key = files_->json_key();
  const auto value = document.find(key);
  if (value == document.end()) {
    refuse(fmt::format("no key \"{}\"", key), "name the key of the text with --json-key");
  }
  if (!value->is_string()) {
    refuse(fmt::format("the value of \"{}\" is not a string", key),
           "name the key of the text with --json-key");
  }
  return std::move(value->get_ref<std::string&>());
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
    if (!file.json_lines && skip > 0) continue;  // its one document is done
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

void DocumentReader::require_size(size_t bytes) const {
  if (bytes <= static_cast<size_t>(files_.max_document_bytes())) return;
  const TextFile& file = files_.files()[static_cast<size_t>(file_)];
  throw Error(
      ErrorKind::kData,
      file.json_lines
          ? fmt::format("{} has a line of more than {} behind byte {} of its text",
                        file.path.string(), format_bytes(files_.max_document_bytes()), offset_)
          : fmt::format("{} has more than the {} of text that one document may have",
                        file.path.string(), format_bytes(files_.max_document_bytes())),
      "a document is held in memory: cut it, or write the text as JSON Lines, a document a line");
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
  if (!files_.files()[static_cast<size_t>(file_)].json_lines) {
    require_size(size);
  } else if (size > kChunkBytes) {
    // Whole lines: those that start in the first MiB.
    const size_t end_of_line = rest.find('\n', kChunkBytes - 1);
    if (end_of_line != std::string_view::npos) size = end_of_line + 1;
    const size_t last_start = rest.substr(0, size - 1).rfind('\n');
    require_size(size - (last_start == std::string_view::npos ? 0 : last_start + 1));
  }
  DocumentChunk chunk = make_chunk(rest.substr(0, size));
  chunk.mapped_ = mapped_;
  offset_ += static_cast<int64_t>(size);
  return chunk;
}

std::optional<DocumentChunk> DocumentReader::next_unpacked() {
  const bool json_lines = files_.files()[static_cast<size_t>(file_)].json_lines;
  size_t size = 0;  // of the whole documents at hand
  for (bool more = true; more && size == 0;) {
    const size_t known = unpacked_->text().size();
    more = unpacked_->read_more(kChunkBytes);
    // What was there before has no end of a line.
    const size_t last = std::string_view(unpacked_->text()).substr(known).rfind('\n');
    if (more && json_lines && last != std::string_view::npos) size = known + last + 1;
    if (size == 0) require_size(unpacked_->text().size());
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

std::optional<ChunkTurns::Ticket> ChunkTurns::take() {
  const std::lock_guard lock(reading_);
  {
    const std::lock_guard passing(passing_);
    if (over_) return std::nullopt;
  }
  Ticket ticket{.number = taken_, .chunk = std::nullopt, .failure = nullptr};
  try {
    ticket.chunk = reader_.next();
    if (!ticket.chunk) return std::nullopt;
  } catch (...) {
    ticket.failure = std::current_exception();
  }
  ++taken_;
  return ticket;
}

void ChunkTurns::pass(const Ticket& ticket, const std::function<bool()>& consume) {
  std::unique_lock lock(passing_);
  passed_.wait(lock, [&] { return next_ == ticket.number; });
  if (!over_) {
    try {
      if (ticket.failure) std::rethrow_exception(ticket.failure);
      over_ = !consume();
    } catch (...) {
      failure_ = std::current_exception();
      over_ = true;
    }
  }
  ++next_;
  passed_.notify_all();
}

void ChunkTurns::rethrow_failure() const {
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace borealis
