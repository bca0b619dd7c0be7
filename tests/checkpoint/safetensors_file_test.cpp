#include "checkpoint/safetensors_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "base/file.h"
#include "support/expect_error.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

std::string length_prefix(uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

class SafetensorsFileTest : public ::testing::Test {
 protected:
  std::filesystem::path file_of(const std::string& bytes) {
    const std::filesystem::path path = folder_.path() / "m.safetensors";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::filesystem::path file_with(const std::string& header, size_t data_bytes) {
    return file_of(length_prefix(header.size()) + header + std::string(data_bytes, '\1'));
  }
  void expect_rejected(const std::string& header, size_t data_bytes, const std::string& message) {
    EXPECT_ERROR(SafetensorsFile(file_with(header, data_bytes)), ErrorKind::kData, "m.safetensors",
                 message, "copy or export the file again");
  }
  TemporaryFolder folder_;
};

TEST_F(SafetensorsFileTest, ReadsWhatThePeerWrote) {
  const SafetensorsFile file(BOREALIS_GOLDEN_DIR "/checkpoint/peer.safetensors");
  EXPECT_EQ(file.tensors().size(), 7u);
  EXPECT_EQ(file.metadata().at("note"), "grüße");
  std::vector<float> f32(12), from_bf16(12), f16(5);
  copy_tensor(file.at("f32"), f32);
  copy_tensor(file.at("bf16"), from_bf16);
  copy_tensor(file.at("f16"), f16);
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(f32[i], static_cast<float>(i) / 8 - 0.5f);
    EXPECT_EQ(from_bf16[i], static_cast<float>(i) * 3 - 7);
  }
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(f16, (std::vector<float>{1.0f, -2.5f, 0x1p-24f, 65504.0f, infinity}));
  EXPECT_EQ(file.at("f32").shape, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(file.at("i32").dtype, StoredDType::kI32);
  int32_t values[4];
  std::memcpy(values, file.at("i32").bytes.data(), sizeof values);
  EXPECT_EQ(values[3], std::numeric_limits<int32_t>::min());
  EXPECT_EQ(file.at("bool").dtype, StoredDType::kBool);
  EXPECT_TRUE(file.at("scalar").shape.empty());
  EXPECT_EQ(file.at("scalar").element_count(), 1);
  EXPECT_EQ(file.at("empty").element_count(), 0);
  EXPECT_EQ(file.find("absent"), nullptr);
  EXPECT_ERROR(file.at("absent"), ErrorKind::kData, "has no tensor absent");
}

TEST_F(SafetensorsFileTest, RoundsToBf16) {
  const SafetensorsFile file(BOREALIS_GOLDEN_DIR "/checkpoint/peer.safetensors");
  std::vector<bf16> out(5);
  copy_tensor(file.at("f16"), out);
  EXPECT_EQ(out[3].bits, bf16(65504.0f).bits);
  std::vector<float> flags(3);
  EXPECT_ERROR(copy_tensor(file.at("bool"), flags), ErrorKind::kData, "tensor bool holds BOOL");
}

TEST_F(SafetensorsFileTest, ConvertsEveryF16) {
  std::string data;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    data += static_cast<char>(bits & 0xff);
    data += static_cast<char>(bits >> 8);
  }
  const std::string header = R"({"a":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}})";
  const SafetensorsFile file(file_of(length_prefix(header.size()) + header + data));
  std::vector<float> values(0x10000);
  copy_tensor(file.at("a"), values);
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const auto mantissa = static_cast<double>(bits & 1023);
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(values[bits]), mantissa != 0);
      EXPECT_EQ(std::isinf(values[bits]), mantissa == 0);
      continue;
    }
    const double expected = exponent == 0 ? sign * std::ldexp(mantissa, -24)
                                          : sign * std::ldexp(1024 + mantissa, exponent - 25);
    ASSERT_EQ(values[bits], expected) << bits;
  }
}

TEST_F(SafetensorsFileTest, AcceptsAHeaderPaddedWithSpacesAndNoTensors) {
  EXPECT_TRUE(SafetensorsFile(file_with("{}      ", 0)).tensors().empty());
}

// Whatever byte is damaged, the file is refused or its tensors lie within it (ASan would tell).
TEST_F(SafetensorsFileTest, SurvivesADamagedByte) {
  const std::string intact = read_text_file(BOREALIS_GOLDEN_DIR "/checkpoint/peer.safetensors");
  int refused = 0;
  for (size_t at = 0; at < intact.size(); ++at) {
    for (const char flip : {'\x01', '\x10', '\x80', '\xff'}) {
      std::string damaged = intact;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      try {
        const SafetensorsFile file(file_of(damaged));
        for (const TensorView& tensor : file.tensors()) {
          EXPECT_EQ(
              std::string(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size())
                  .size(),
              tensor.bytes.size());
        }
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kData);
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST_F(SafetensorsFileTest, ReportsAMissingFile) {
  EXPECT_ERROR(SafetensorsFile(folder_.path() / "none"), ErrorKind::kFile, "cannot open", "none");
}

TEST_F(SafetensorsFileTest, RejectsAFileWithoutALength) {
  EXPECT_ERROR(SafetensorsFile(file_of("1234")), ErrorKind::kData, "is 4 bytes, too short");
  EXPECT_ERROR(SafetensorsFile(file_of("")), ErrorKind::kData, "is 0 bytes, too short");
}

TEST_F(SafetensorsFileTest, RejectsAHeaderLongerThanTheFile) {
  EXPECT_ERROR(SafetensorsFile(file_of(length_prefix(100) + "{}")), ErrorKind::kData,
               "is cut short: its header is 100 bytes");
}

TEST_F(SafetensorsFileTest, RejectsAHeaderBeyondTheLimit) {
  for (const uint64_t length : {uint64_t{100'000'001}, ~uint64_t{0}}) {
    EXPECT_ERROR(SafetensorsFile(file_of(length_prefix(length) + "{}")), ErrorKind::kData,
                 "is no safetensors file");
  }
}

TEST_F(SafetensorsFileTest, RejectsWhatIsNotJson) {
  expect_rejected(R"({"a":)", 0, "not valid JSON");
  expect_rejected("{\"a\xff\":1}", 0, "not valid JSON");
  expect_rejected("{} x", 0, "not valid JSON");
  expect_rejected(std::string("{}\0", 3), 0, "has a NUL in its header");
  expect_rejected("[]", 0, "not a JSON object");
  expect_rejected(" {}", 0, "not a JSON object");
  expect_rejected("", 0, "not a JSON object");
}

TEST_F(SafetensorsFileTest, RejectsDuplicateKeys) {
  expect_rejected(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                  R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                  1, "names 'a' twice");
  expect_rejected(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1,
                  "names 'dtype' twice");
}

TEST_F(SafetensorsFileTest, RejectsUnknownDtypes) {
  expect_rejected(R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}})", 1,
                  "tensor a of unknown dtype 'F4'");
  expect_rejected(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1, "unknown dtype ''");
}

TEST_F(SafetensorsFileTest, RejectsAnExtentOfAnotherSizeThanTheShape) {
  expect_rejected(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,12]}})", 12,
                  "gives tensor a 12 bytes, which is not F32 [2, 2]");
  expect_rejected(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})",
                  0, "gives tensor a 0 bytes");
  expect_rejected(R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0,
                  "gives tensor a 0 bytes");
}

TEST_F(SafetensorsFileTest, RejectsHolesAndOverlaps) {
  expect_rejected(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                  R"("b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
                  5, "a hole of 1 bytes before tensor b");
  expect_rejected(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                  R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                  3, "tensor b overlapping the one before it by 1 bytes");
  expect_rejected(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3,
                  "a hole of 1 bytes before tensor a");
}

TEST_F(SafetensorsFileTest, RejectsAFileThatEndsTooEarlyOrTooLate) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  expect_rejected(header, 3, "is cut short: its tensors need 4 bytes, the file holds 3;");
  expect_rejected(header, 6, "has 2 bytes behind its last tensor");
}

TEST_F(SafetensorsFileTest, RejectsMalformedEntries) {
  expect_rejected(R"({"a":3})", 0, "describes tensor a by no object");
  expect_rejected(R"({"a":{"dtype":"U8","data_offsets":[0,0]}})", 0, "no list 'shape'");
  expect_rejected(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}})", 0,
                  "a 'shape' of tensor a with -1");
  expect_rejected(R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,0]}})", 0, "with 1.5");
  expect_rejected(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0]}})", 0,
                  "not a begin and an end");
  expect_rejected(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1,
                  "data_offsets [1, 0] of tensor a");
  expect_rejected(R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,0]}})", 0,
                  "with 18446744073709551615, not a size");
  expect_rejected(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"strides":[1]}})", 0,
                  "unknown key 'strides'");
  expect_rejected(R"({"__metadata__":{"format":3}})", 0, "__metadata__ 'format' not of text");
  expect_rejected(R"({"__metadata__":3})", 0, "__metadata__ that is not an object");
}

}  // namespace
}  // namespace borealis
