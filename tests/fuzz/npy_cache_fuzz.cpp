// Any bytes as the files of a cached sample index. The first byte chooses the data set; the rest is
// read as a .npy file, and as the elements of the three arrays: what passes the check must yield
// samples that lie in the data set.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "data/index_check.h"
#include "data/npy_file.h"

namespace borealis {
namespace {

const std::vector<int32_t> kLengths = {3, 0, 9, 1, 4, 2, 0, 7};

void read_header(std::span<const std::byte> bytes) {
  try {
    const NpyHeader header = parse_npy(bytes, "fuzz.npy");
    const auto payload = static_cast<size_t>(header.elements() * header.item_bytes());
    CHECK(header.data_offset + payload == bytes.size());
    int64_t sum = 0;
    for (const std::byte b : bytes.subspan(header.data_offset)) sum += std::to_integer<int>(b);
    CHECK(sum >= 0);
    CHECK(!npy_header(header.descr, header.shape).empty());
  } catch (const Error&) {
  }
}

// Elements of T from the input's bytes, small ones most of the time: one byte each, sign extended.
template <typename T>
std::vector<T> take(std::span<const std::byte>& bytes, int64_t count) {
  std::vector<T> out(static_cast<size_t>(count));
  for (T& value : out) {
    if (bytes.empty()) break;
    value = static_cast<T>(std::to_integer<int8_t>(bytes.front()));
    bytes = bytes.subspan(1);
  }
  return out;
}

void read_arrays(uint8_t choice, std::span<const std::byte> bytes) {
  const SequenceRange range{.first = choice & 1, .last = 8, .tokens = (choice & 1) ? 23 : 26};
  const int64_t seq_length = 1 + (choice >> 1 & 7);
  const auto shape = sample_index_shape(range, seq_length, 1 + (choice >> 4));
  const auto documents = take<int32_t>(bytes, shape.epochs * range.count());
  std::vector<StreamPlace> starts;
  for (const int64_t value : take<int64_t>(bytes, shape.samples + 1)) starts.push_back({value, 0});
  size_t next = 0;
  for (const int64_t value : take<int64_t>(bytes, shape.samples + 1)) starts[next++].offset = value;
  const auto order = take<uint32_t>(bytes, shape.samples);
  SampleIndexArrays arrays;
  arrays.document_order = PackedArray<int32_t>(std::span(documents));
  arrays.starts = PackedArray<StreamPlace>(std::span<const StreamPlace>(starts));
  arrays.sample_order = {reinterpret_cast<const std::byte*>(order.data()), shape.samples, false};
  const PackedArray<int32_t> lengths{std::span<const int32_t>(kLengths)};
  bool good = true;
  try {
    check_sample_index(arrays, lengths, range, shape, seq_length, "fuzz", [] {});
  } catch (const Error&) {
    good = false;
  }
  // Also without the check no piece may lie outside of the file: large files are checked in part.
  const SampleIndex index(lengths, seq_length, arrays);
  for (int64_t sample = 0; sample < shape.samples; ++sample) {
    try {
      int64_t total = 0;
      index.for_each_piece(sample, [&](int64_t sequence, int64_t offset, int64_t count) {
        CHECK(sequence >= 0 && sequence < 8 && offset >= 0 && count > 0);
        CHECK(offset + count <= kLengths[static_cast<size_t>(sequence)]);
        total += count;
      });
      CHECK(total == seq_length + 1);
    } catch (const Error&) {
      CHECK(!good);
    }
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  borealis::read_header(bytes);
  borealis::read_header(bytes.subspan(1));
  borealis::read_arrays(data[0], bytes.subspan(1));
  return 0;
}
