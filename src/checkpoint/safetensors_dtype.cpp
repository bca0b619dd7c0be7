#include "checkpoint/safetensors_dtype.h"

#include <array>

#include "base/check.h"

namespace borealis {
namespace {

struct Row {
  StoredDType dtype;
  std::string_view name;
  size_t bytes;
};

constexpr std::array kRows = {
    Row{StoredDType::kF64, "F64", 8},        Row{StoredDType::kI64, "I64", 8},
    Row{StoredDType::kU64, "U64", 8},        Row{StoredDType::kF32, "F32", 4},
    Row{StoredDType::kI32, "I32", 4},        Row{StoredDType::kU32, "U32", 4},
    Row{StoredDType::kF16, "F16", 2},        Row{StoredDType::kBF16, "BF16", 2},
    Row{StoredDType::kI16, "I16", 2},        Row{StoredDType::kU16, "U16", 2},
    Row{StoredDType::kI8, "I8", 1},          Row{StoredDType::kU8, "U8", 1},
    Row{StoredDType::kBool, "BOOL", 1},      Row{StoredDType::kF8E4M3, "F8_E4M3", 1},
    Row{StoredDType::kF8E5M2, "F8_E5M2", 1},
};

const Row& row_of(StoredDType dtype) {
  for (const Row& row : kRows) {
    if (row.dtype == dtype) return row;
  }
  CHECK(false, "a dtype without a row");
}

}  // namespace

std::string_view stored_dtype_name(StoredDType dtype) { return row_of(dtype).name; }

size_t stored_dtype_bytes(StoredDType dtype) { return row_of(dtype).bytes; }

std::optional<StoredDType> parse_stored_dtype(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

StoredDType stored_dtype_of(DType dtype) {
  return dtype == DType::kF32 ? StoredDType::kF32 : StoredDType::kBF16;
}

bool is_weight(StoredDType dtype) {
  return dtype == StoredDType::kF32 || dtype == StoredDType::kF16 || dtype == StoredDType::kBF16;
}

std::string_view torch_dtype_name(StoredDType dtype) {
  if (dtype == StoredDType::kF32) return "float32";
  if (dtype == StoredDType::kF16) return "float16";
  CHECK(dtype == StoredDType::kBF16, stored_dtype_name(dtype));
  return "bfloat16";
}

}  // namespace borealis
