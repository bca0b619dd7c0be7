#include "data/npy_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/rounding.h"
#include "base/unaligned.h"

namespace borealis {
namespace {

constexpr std::string_view kNpyMagic("\x93NUMPY", 6);
constexpr size_t kAlignment = 64;  // numpy.save pads the header up to here

[[noreturn]] void refuse(const std::string& name, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{} {}", name, problem));
}

// The dictionary as NumPy writes it, and any other order and spacing of the same three keys.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  std::optional<NpyHeader> parse() {
    NpyHeader header;
    int seen = 0;  // one bit a key
    if (!take('{')) return std::nullopt;
    while (!take('}')) {
      const auto key = quoted();
      if (!key || !take(':')) return std::nullopt;
      const int bit = *key == "descr" ? 1 : *key == "fortran_order" ? 2 : *key == "shape" ? 4 : 0;
      if (bit == 0 || (seen & bit) != 0 || !value(bit, header)) return std::nullopt;
      seen |= bit;
      if (!take(',') && !at('}')) return std::nullopt;
    }
    skip_blanks();
    if (seen != 7 || !rest_.empty()) return std::nullopt;
    return header;
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front()))) {
      rest_.remove_prefix(1);
    }
  }
  bool at(char c) {
    skip_blanks();
    return rest_.starts_with(c);
  }
  bool take(char c) {
    if (!at(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take(std::string_view word) {
    skip_blanks();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::optional<std::string> quoted() {
    skip_blanks();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) return std::nullopt;
    const size_t end = rest_.find(rest_.front(), 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool value(int bit, NpyHeader& header) {
    if (bit == 1) {
      const auto text = quoted();
      if (text) header.descr = *text;
      return text.has_value();
    }
    if (bit == 2) {
      header.fortran_order = take(std::string_view("True"));
      return header.fortran_order || take(std::string_view("False"));
    }
    return shape(header.shape);
  }
  bool shape(std::vector<int64_t>& out) {
    if (!take('(')) return false;
    while (!take(')')) {
      skip_blanks();
      int64_t size = 0;
      const auto [end, code] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (code != std::errc() || size < 0) return false;
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      out.push_back(size);
      if (!take(',') && !at(')')) return false;
    }
    return true;
  }

  std::string_view rest_;
};

// Where the dictionary is, by version.
std::string_view header_text(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kNpyMagic)) refuse(name, "is not a .npy file");
  if (bytes.size() < 12) refuse(name, "ends within its header");
  const auto major = load_unaligned<uint8_t>(bytes, 6);
  if (major < 1 || major > 3) refuse(name, fmt::format("has the .npy version {}", major));
  const size_t start = major == 1 ? 10 : 12;
  const size_t length =
      major == 1 ? load_unaligned<uint16_t>(bytes, 8) : load_unaligned<uint32_t>(bytes, 8);
  if (length > bytes.size() - start) refuse(name, "ends within its header");
  return text.substr(start, length);
}

// nullopt if the product is beyond every file.
std::optional<int64_t> payload_bytes(const NpyHeader& header) {
  int64_t bytes = header.item_bytes();
  for (const int64_t size : header.shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return bytes;
}

}  // namespace

int64_t NpyHeader::elements() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

int64_t NpyHeader::item_bytes() const {
  int64_t bytes = 0;
  if (descr.size() < 3) return 0;
  const char* const end = descr.data() + descr.size();
  const auto result = std::from_chars(descr.data() + 2, end, bytes);
  return result.ec == std::errc() && result.ptr == end && bytes > 0 && bytes <= 16 ? bytes : 0;
}

NpyHeader parse_npy(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text = header_text(bytes, name);
  auto header = HeaderParser(text).parse();
  if (!header) refuse(name, "has a header that cannot be understood");
  header->data_offset =
      static_cast<size_t>(text.data() - reinterpret_cast<const char*>(bytes.data())) + text.size();
  if (header->item_bytes() == 0) {
    refuse(name, fmt::format("has elements of the unknown type '{}'", header->descr));
  }
  const auto expected = payload_bytes(*header);
  const size_t present = bytes.size() - header->data_offset;
  if (!expected || static_cast<uint64_t>(*expected) != present) {
    refuse(name, fmt::format("holds {} bytes of elements, but its header announces the shape ({})",
                             present, fmt::join(header->shape, ", ")));
  }
  return *header;
}

std::string npy_header(std::string_view descr, std::span<const int64_t> shape) {
  // A tuple of one element has a comma behind it.
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
                  fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const size_t before = kNpyMagic.size() + 4;
  const size_t whole = round_up(before + dictionary.size() + 1, kAlignment);
  dictionary.resize(whole - before - 1, ' ');
  dictionary.push_back('\n');
  const auto length = static_cast<uint16_t>(dictionary.size());
  std::string header(kNpyMagic);
  header.append({'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)});
  return header + dictionary;
}

NpyFile::NpyFile(const std::filesystem::path& path, std::string_view descr,
                 std::span<const int64_t> shape)
    : file_(path), header_(parse_npy(file_.bytes(), path.string())) {
  if (header_.descr != descr) {
    refuse(path.string(),
           fmt::format("has elements of the type '{}', not '{}'", header_.descr, descr));
  }
  if (!std::ranges::equal(header_.shape, shape) ||
      (header_.fortran_order && header_.shape.size() > 1)) {
    refuse(path.string(),
           fmt::format("has the shape ({}){}, not ({})", fmt::join(header_.shape, ", "),
                       header_.fortran_order ? " in Fortran order" : "", fmt::join(shape, ", ")));
  }
}

}  // namespace borealis
