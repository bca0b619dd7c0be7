#include "base/compressed_file.h"

#include <fmt/format.h>
#define ZLIB_CONST  // its input is const then
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace borealis {
namespace {

constexpr std::string_view kGzipMagic("\x1f\x8b", 2);
constexpr std::string_view kZstdMagic("\x28\xb5\x2f\xfd", 4);
constexpr std::string_view kSkippableMagic("\x2a\x4d\x18", 3);  // after a byte 0x50 .. 0x5f
constexpr int kLargestWindowLog = 31;                           // what `zstd --long=31` writes
constexpr size_t kLargestStep = size_t{1} << 30;                // zlib counts in 32 bits

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Compression compression_of(std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes);
  if (text.starts_with(kGzipMagic)) return Compression::kGzip;
  if (text.starts_with(kZstdMagic)) return Compression::kZstd;
  const bool skippable = text.size() >= 4 && (static_cast<unsigned char>(text[0]) & 0xf0) == 0x50 &&
                         text.substr(1).starts_with(kSkippableMagic);
  return skippable ? Compression::kZstd : Compression::kNone;
}

class UnpackingReader::Decoder {
 public:
  explicit Decoder(std::shared_ptr<const MappedFile> file)
      : file_(std::move(file)), text_(text_of(file_->bytes())) {
    file_->advise(MappedFile::Access::kInOrder);
  }
  virtual ~Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  virtual size_t read(std::span<char> out) = 0;
  size_t position() const { return position_; }

 protected:
  std::string_view rest() const { return text_.substr(position_); }
  void advance(size_t count) { position_ += count; }
  [[noreturn]] void refuse_truncated() const {
    throw Error(ErrorKind::kData,
                fmt::format("{} is truncated: it ends after {} bytes, in the middle of compressed "
                            "data",
                            file_->path().string(), text_.size()),
                "copy or download the file again");
  }
  [[noreturn]] void refuse(const char* format, std::string_view problem) const {
    throw Error(ErrorKind::kData,
                fmt::format("{} is damaged: its {} data is wrong at byte {}: {}",
                            file_->path().string(), format, position_, problem),
                "copy or download the file again");
  }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::string_view text_;
  size_t position_ = 0;
};

class UnpackingReader::GzipDecoder : public Decoder {
 public:
  explicit GzipDecoder(std::shared_ptr<const MappedFile> file) : Decoder(std::move(file)) {
    constexpr int kGzipOnly = 15 + 16;  // largest window, gzip's header and checksum
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }

  size_t read(std::span<char> out) override {
    size_t got = 0;
    while (got < out.size() && !ended_) got += step(out.subspan(got));
    return got;
  }

 private:
  size_t step(std::span<char> out) {
    const std::string_view input = rest();
    if (input.empty()) refuse_truncated();
    stream_.next_in = reinterpret_cast<const Bytef*>(input.data());
    stream_.avail_in = static_cast<uInt>(std::min(input.size(), kLargestStep));
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(std::min(out.size(), kLargestStep));
    const uInt offered = stream_.avail_in;
    const uInt wanted = stream_.avail_out;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    advance(offered - stream_.avail_in);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result == Z_STREAM_END) {
      next_member();
    } else if (result != Z_OK) {
      refuse("gzip", stream_.msg != nullptr ? stream_.msg : "not what gzip writes");
    }
    return wanted - stream_.avail_out;
  }

  void next_member() {
    const std::string_view input = rest();
    ended_ = input.find_first_not_of('\0') == std::string_view::npos;
    if (ended_) return;
    if (!input.starts_with(kGzipMagic))
      refuse("gzip", "something else follows the compressed data");
    inflateReset(&stream_);
  }

  z_stream stream_ = {};
  bool ended_ = false;
};

class UnpackingReader::ZstdDecoder : public Decoder {
 public:
  explicit ZstdDecoder(std::shared_ptr<const MappedFile> file)
      : Decoder(std::move(file)), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kLargestWindowLog);
  }
  ~ZstdDecoder() override { ZSTD_freeDStream(stream_); }

  size_t read(std::span<char> out) override {
    ZSTD_outBuffer output = {out.data(), out.size(), 0};
    while (output.pos < output.size) {
      const std::string_view left = rest();
      if (left.empty() && between_frames_) break;
      ZSTD_inBuffer input = {left.data(), left.size(), 0};
      const size_t before = output.pos;
      const size_t result = ZSTD_decompressStream(stream_, &output, &input);
      advance(input.pos);
      if (ZSTD_isError(result) != 0) refuse("zstd", ZSTD_getErrorName(result));
      between_frames_ = result == 0;
      // No input is left and none of what was read waits to be given out.
      if (left.empty() && output.pos == before && !between_frames_) refuse_truncated();
    }
    return output.pos;
  }

 private:
  ZSTD_DStream* stream_;
  bool between_frames_ = false;  // a file without a frame is truncated
};

UnpackingReader::UnpackingReader(std::shared_ptr<const MappedFile> file, Compression compression) {
  if (compression == Compression::kGzip) {
    decoder_ = std::make_unique<GzipDecoder>(std::move(file));
  } else {
    decoder_ = std::make_unique<ZstdDecoder>(std::move(file));
  }
}

UnpackingReader::~UnpackingReader() = default;

size_t UnpackingReader::read(std::span<char> out) { return decoder_->read(out); }

int64_t UnpackingReader::consumed_bytes() const {
  return static_cast<int64_t>(decoder_->position());
}

}  // namespace borealis
