#include "checkpoint/safetensors_writer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/file.h"
#include "checkpoint/safetensors_file.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

std::vector<float> ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) * 0.25f - 1;
  return values;
}

TensorSource f32_source(const std::string& name, const std::vector<float>& values) {
  return source_of({name, DType::kF32, {static_cast<int64_t>(values.size())}, values.data()});
}

TEST(SafetensorsWriter, RoundTrips) {
  const TemporaryFolder folder;
  const std::vector<float> values = ramp(6);
  const std::vector<bf16> halves = {bf16(1.5f), bf16(-3.0f), bf16(0.0f)};
  const std::vector<TensorSource> sources = {
      source_of({"b", DType::kBF16, {3}, halves.data()}),
      source_of({"a.\"quoted\"", DType::kF32, {2, 3}, values.data()}),
      source_of({"scalar", DType::kF32, {}, values.data()}),
      source_of({"empty", DType::kF32, {0, 7}, nullptr}),
  };
  write_safetensors(folder.path() / "x.safetensors", sources, {{"step", "7"}});
  const SafetensorsFile file(folder.path() / "x.safetensors");
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"step", "7"}}));
  EXPECT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.tensors().back().name, "b");  // the narrow type comes last
  std::vector<float> read(6);
  copy_tensor(file.at("a.\"quoted\""), read);
  EXPECT_EQ(read, values);
  EXPECT_EQ(file.at("a.\"quoted\"").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(file.at("b").bytes.data(), halves.data(), 6), 0);
  EXPECT_EQ(file.at("scalar").element_count(), 1);
  EXPECT_EQ(file.at("empty").shape, (std::vector<int64_t>{0, 7}));
}

TEST(SafetensorsWriter, AlignsTheDataForWritingInPlace) {
  const TemporaryFolder folder;
  const std::vector<float> values = ramp(2);
  std::string name;
  for (int i = 0; i < 9; ++i) {
    name += 'n';
    write_safetensors(folder.path() / "x", std::vector{f32_source(name, values)});
    const std::string text = read_text_file(folder.path() / "x");
    uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, text.data(), 8);
    EXPECT_EQ((8 + header_bytes) % kDirectAlignment, 0u);
    EXPECT_EQ(text.size(), 8 + header_bytes + 8);
    EXPECT_EQ(text[8], '{');
  }
}

TEST(SafetensorsWriter, AsksForBytesPieceByPiece) {
  const TemporaryFolder folder;
  const std::vector<float> values = ramp(1000);
  const TensorSource source{"x", StoredDType::kF32, {10, 100}, [&](const ByteSink& sink) {
                              const auto bytes = std::as_bytes(std::span(values));
                              for (size_t i = 0; i < bytes.size(); i += 80)
                                sink(bytes.subspan(i, 80));
                            }};
  write_safetensors(folder.path() / "x", std::vector{source});
  const SafetensorsFile file(folder.path() / "x");
  EXPECT_EQ(std::memcmp(file.at("x").bytes.data(), values.data(), 4000), 0);
}

TEST(SafetensorsWriterDeathTest, CatchesASourceThatGivesTooLittle) {
  const TemporaryFolder folder;
  const TensorSource source{"short", StoredDType::kF32, {10}, [](const ByteSink&) {}};
  EXPECT_DEATH(write_safetensors(folder.path() / "x", std::vector{source}), "short");
}

TEST(SafetensorsWriterDeathTest, CatchesAnAmbiguousName) {
  const TemporaryFolder folder;
  const std::vector<float> values = ramp(2);
  const std::vector<TensorSource> twice = {f32_source("twin", values), f32_source("twin", values)};
  EXPECT_DEATH(write_safetensors(folder.path() / "x", twice), "twin");
}

TEST(SafetensorsWriter, LeavesTheOldFileWhenASourceThrows) {
  const TemporaryFolder folder;
  const std::vector<float> values = ramp(4);
  const std::filesystem::path path = folder.path() / "x";
  write_safetensors(path, std::vector{f32_source("old", values)});
  const TensorSource broken{"new", StoredDType::kF32, {4}, [](const ByteSink&) {
                              throw Error(ErrorKind::kFile, "the source is gone");
                            }};
  EXPECT_ERROR(write_safetensors(path, std::vector{broken}), ErrorKind::kFile, "source is gone");
  EXPECT_NE(SafetensorsFile(path).find("old"), nullptr);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(SafetensorsWriter, ReportsAFullDisk) {
  const std::vector<float> values = ramp(1 << 20);  // beyond the write buffer
  EXPECT_ERROR(write_safetensors("/dev/full/x", std::vector{f32_source("x", values)}),
               ErrorKind::kFile, "/dev/full/x");
}

TEST(SafetensorsWriter, CutsShardsInOrder) {
  const TemporaryFolder folder;
  const std::vector<float> small = ramp(10), big = ramp(100);
  const std::vector<TensorSource> sources = {f32_source("a", small), f32_source("b", small),
                                             f32_source("huge", big), f32_source("c", small)};
  write_sharded_safetensors(folder.path(), sources, 100);
  EXPECT_NE(SafetensorsFile(folder.path() / "model-00001-of-00003.safetensors").find("b"), nullptr);
  EXPECT_EQ(SafetensorsFile(folder.path() / "model-00002-of-00003.safetensors").tensors().size(),
            1u);
  EXPECT_NE(SafetensorsFile(folder.path() / "model-00003-of-00003.safetensors").find("c"), nullptr);
  const std::string index = read_text_file(folder.path() / "model.safetensors.index.json");
  EXPECT_THAT(index, ::testing::HasSubstr("\"total_size\": 520"));
  EXPECT_THAT(index, ::testing::HasSubstr("\"huge\": \"model-00002-of-00003.safetensors\""));
}

}  // namespace
}  // namespace borealis
