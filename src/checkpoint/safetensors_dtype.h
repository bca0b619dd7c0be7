// Element types that a safetensors file may hold; more than the two that Borealis computes in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/dtype.h"

namespace borealis {

enum class StoredDType : uint8_t {
  kF64,
  kI64,
  kU64,
  kF32,
  kI32,
  kU32,
  kF16,
  kBF16,
  kI16,
  kU16,
  kI8,
  kU8,
  kBool,
  kF8E4M3,
  kF8E5M2,
};

std::string_view stored_dtype_name(StoredDType dtype);  // as in the file: "BF16"
std::optional<StoredDType> parse_stored_dtype(std::string_view name);
size_t stored_dtype_bytes(StoredDType dtype);
StoredDType stored_dtype_of(DType dtype);
bool is_weight(StoredDType dtype);  // F32, F16 or BF16, which copy_tensor() converts
// What config.json calls a dtype of weights: "float32", "float16", "bfloat16" (CHECKed).
std::string_view torch_dtype_name(StoredDType dtype);

}  // namespace borealis
