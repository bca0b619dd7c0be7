#include "checkpoint/safetensors_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/fault_text.h"
#include "base/float16.h"
#include "base/json_excerpt.h"

namespace borealis {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::string_view kRemedy = "copy or export the file again";

[[noreturn]] void reject_safetensors(const std::filesystem::path& path,
                                     const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{} {}", path.string(), problem), std::string(kRemedy));
}

// The text of the header, and in `data` everything behind it.
std::string_view split_header(const std::filesystem::path& path, std::span<const std::byte> bytes,
                              std::span<const std::byte>& data) {
  if (bytes.size() < kLengthBytes) {
    reject_safetensors(path,
                       fmt::format("is {} bytes, too short for a safetensors file", bytes.size()));
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    reject_safetensors(path,
                       fmt::format("claims a header of {} bytes (at most {} are allowed), so it "
                                   "is no safetensors file",
                                   length, kMaxHeaderBytes));
  }
  if (length > bytes.size() - kLengthBytes) {
    reject_safetensors(path, fmt::format("is cut short: its header is {} bytes, the file only {}",
                                         length, bytes.size()));
  }
  data = bytes.subspan(kLengthBytes + length);
  return {reinterpret_cast<const char*>(bytes.data()) + kLengthBytes, length};
}

// JSON allows a key twice and most readers keep the last; a tensor named twice is a broken file.
nlohmann::json parse_header(const std::filesystem::path& path, std::string_view text) {
  if (text.empty() || text.front() != '{')
    reject_safetensors(path, "has a header that is not a JSON object");
  if (text.find('\0') != std::string_view::npos) {  // the parser would stop there
    reject_safetensors(path, "has a NUL in its header");
  }
  std::vector<std::set<std::string>> keys;
  const auto watch_keys = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get<std::string>()).second) {
      reject_safetensors(path,
                         fmt::format("names '{}' twice in its header", value.get<std::string>()));
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, watch_keys);
  } catch (const nlohmann::json::exception& error) {
    reject_safetensors(path, fmt::format("has a broken header: {}", fault_text(error)));
  }
}

std::map<std::string, std::string> parse_metadata(const std::filesystem::path& path,
                                                  const nlohmann::json& object) {
  std::map<std::string, std::string> metadata;
  if (!object.is_object()) reject_safetensors(path, "has a __metadata__ that is not an object");
  for (const auto& [key, value] : object.items()) {
    if (!value.is_string())
      reject_safetensors(path, fmt::format("has a __metadata__ '{}' not of text", key));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

// Elements of the shape; negative if the count does not fit in 63 bits.
int64_t checked_element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(count, size, &count)) return -1;
  }
  return count;
}

std::vector<int64_t> parse_sizes(const std::filesystem::path& path, const std::string& name,
                                 const nlohmann::json& entry, const char* key) {
  std::vector<int64_t> sizes;
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array()) {
    reject_safetensors(path, fmt::format("has no list '{}' for tensor {}", key, name));
  }
  for (const nlohmann::json& value : *found) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX) {
      reject_safetensors(path, fmt::format("has a '{}' of tensor {} with {}, not a size", key, name,
                                           json_excerpt(value)));
    }
    sizes.push_back(value.get<int64_t>());
  }
  return sizes;
}

struct Extent {
  int64_t begin = 0;
  int64_t end = 0;
  TensorView view;
};

Extent parse_tensor(const std::filesystem::path& path, const std::string& name,
                    const nlohmann::json& entry) {
  if (!entry.is_object())
    reject_safetensors(path, fmt::format("describes tensor {} by no object", name));
  for (const auto& [key, value] : entry.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      reject_safetensors(path, fmt::format("has an unknown key '{}' for tensor {}", key, name));
    }
  }
  const std::string dtype_text = entry.contains("dtype") && entry["dtype"].is_string()
                                     ? entry["dtype"].get<std::string>()
                                     : "";
  const std::optional<StoredDType> dtype = parse_stored_dtype(dtype_text);
  if (!dtype)
    reject_safetensors(path, fmt::format("has tensor {} of unknown dtype '{}'", name, dtype_text));
  Extent extent{.view = {.name = name, .dtype = *dtype, .shape = {}, .bytes = {}}};
  extent.view.shape = parse_sizes(path, name, entry, "shape");
  const std::vector<int64_t> offsets = parse_sizes(path, name, entry, "data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    reject_safetensors(path,
                       fmt::format("has data_offsets [{}] of tensor {}, not a begin and an end",
                                   fmt::join(offsets, ", "), name));
  }
  extent.begin = offsets[0];
  extent.end = offsets[1];
  int64_t size = checked_element_count(extent.view.shape);
  if (size < 0 || __builtin_mul_overflow(size, stored_dtype_bytes(*dtype), &size) ||
      size != extent.end - extent.begin) {
    reject_safetensors(path, fmt::format("gives tensor {} {} bytes, which is not {} [{}]", name,
                                         extent.end - extent.begin, dtype_text,
                                         fmt::join(extent.view.shape, ", ")));
  }
  return extent;
}

// Sorted extents must follow one another from 0 to the end of the data.
void check_gap_free(const std::filesystem::path& path, const std::vector<Extent>& extents,
                    int64_t data_bytes) {
  int64_t position = 0;
  for (const Extent& extent : extents) {
    if (extent.begin > position) {
      reject_safetensors(path, fmt::format("has a hole of {} bytes before tensor {}",
                                           extent.begin - position, extent.view.name));
    }
    if (extent.begin < position) {
      reject_safetensors(path,
                         fmt::format("has tensor {} overlapping the one before it by {} bytes",
                                     extent.view.name, position - extent.begin));
    }
    position = extent.end;
  }
  if (position > data_bytes) {
    reject_safetensors(
        path, fmt::format("is cut short: its tensors need {} bytes, the file holds {}", position,
                          data_bytes));
  }
  if (position < data_bytes) {
    reject_safetensors(path,
                       fmt::format("has {} bytes behind its last tensor", data_bytes - position));
  }
}

template <typename In, typename Out, typename Convert>
void convert(const TensorView& tensor, std::span<Out> out, Convert to_out) {
  for (size_t i = 0; i < out.size(); ++i) {
    In value;
    std::memcpy(&value, tensor.bytes.data() + i * sizeof(In), sizeof(In));
    out[i] = to_out(value);
  }
}

template <typename Out>
void copy_converted(const TensorView& tensor, std::span<Out> out) {
  CHECK(static_cast<int64_t>(out.size()) == tensor.element_count(), tensor.name);
  if (tensor.dtype == stored_dtype_of(dtype_of<Out>())) {
    if (!out.empty()) std::memcpy(out.data(), tensor.bytes.data(), out.size_bytes());
  } else if (tensor.dtype == StoredDType::kF32) {
    convert<float>(tensor, out, [](float value) { return Out(value); });
  } else if (tensor.dtype == StoredDType::kBF16) {
    convert<bf16>(tensor, out, [](bf16 value) { return Out(static_cast<float>(value)); });
  } else if (tensor.dtype == StoredDType::kF16) {
    convert<uint16_t>(tensor, out, [](uint16_t value) { return Out(float16_to_float(value)); });
  } else {
    throw Error(ErrorKind::kData,
                fmt::format("tensor {} holds {}, which is no weight that Borealis reads",
                            tensor.name, stored_dtype_name(tensor.dtype)),
                "convert the model to BF16, F16 or F32");
  }
}

}  // namespace

int64_t TensorView::element_count() const { return checked_element_count(shape); }

SafetensorsContent parse_safetensors(std::span<const std::byte> bytes,
                                     const std::filesystem::path& path) {
  std::span<const std::byte> data;
  const std::string_view text = split_header(path, bytes, data);
  const nlohmann::json header = parse_header(path, text);
  SafetensorsContent content;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      content.metadata = parse_metadata(path, entry);
    } else {
      extents.push_back(parse_tensor(path, name, entry));
    }
  }
  std::ranges::sort(extents, {}, [](const Extent& e) { return std::pair(e.begin, e.end); });
  check_gap_free(path, extents, static_cast<int64_t>(data.size()));
  for (Extent& extent : extents) {
    extent.view.bytes = data.subspan(static_cast<size_t>(extent.begin),
                                     static_cast<size_t>(extent.end - extent.begin));
    content.tensors.push_back(std::move(extent.view));
  }
  return content;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path), content_(parse_safetensors(file_.bytes(), path)) {
  for (size_t i = 0; i < content_.tensors.size(); ++i) index_[content_.tensors[i].name] = i;
}

const TensorView* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &content_.tensors[found->second];
}

const TensorView& SafetensorsFile::at(std::string_view name) const {
  const TensorView* tensor = find(name);
  if (tensor == nullptr) reject_safetensors(path(), fmt::format("has no tensor {}", name));
  return *tensor;
}

void copy_tensor(const TensorView& tensor, std::span<float> out) { copy_converted(tensor, out); }
void copy_tensor(const TensorView& tensor, std::span<bf16> out) { copy_converted(tensor, out); }

}  // namespace borealis
