#include "checkpoint/state_pieces.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/file.h"
#include "checkpoint/folder_writer.h"
#include "checkpoint/run_state.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

TEST(PieceName, SaysKindTensorAndPlace) {
  EXPECT_EQ(piece_name(kFirstMoment, "model.norm.weight", 64), "exp_avg:model.norm.weight:64");
  const auto name = parse_piece_name("exp_avg:a:b:7");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->tensor, "a:b");
  EXPECT_EQ(name->begin, 7);
  for (const char* wrong : {"", "fp32", "fp32:a", "fp32:a:", "fp32:a:-1", "fp32:a:1x", "fp32::1",
                            "bf16:a:1", "fp32:a:99999999999999999999"}) {
    EXPECT_FALSE(parse_piece_name(wrong)) << wrong;
  }
}

// A tensor of 100 elements "t" and one of 10 "u", over so many shards.
class StatePieces : public ::testing::Test {
 protected:
  void write(int64_t shards) {
    FolderWriter folder(path(), blocks_);
    folder.create_subfolder(kStateFolder);
    for (int64_t shard = 0; shard < shards; ++shard) {
      std::vector<TensorSource> pieces;
      for (const auto& [tensor, size] : sizes_) {
        const int64_t part = (size + shards - 1) / shards;
        const int64_t begin = std::min(size, shard * part), end = std::min(size, begin + part);
        if (begin == end) continue;
        pieces.push_back(
            piece_source(kMasterWeight, tensor, begin, end - begin,
                         [this, &tensor = tensor, begin, end](const ByteSink& sink) {
                           sink(std::as_bytes(std::span(values_.at(tensor))
                                                  .subspan(static_cast<size_t>(begin),
                                                           static_cast<size_t>(end - begin))));
                         }));
      }
      folder.write_tensors(fmt_name(shard, shards), pieces);
    }
    folder.commit(FolderWriter::Checksums::kWrite);
    shards_ = shards;
  }
  static std::string fmt_name(int64_t shard, int64_t shards) {
    return std::string(kStateFolder) + "/" + state_shard_name(shard, shards);
  }
  PieceTarget target(const std::string& tensor, int64_t begin, int64_t end,
                     std::vector<float>& out) {
    out.assign(static_cast<size_t>(end - begin), -1.0f);
    return {std::string(kMasterWeight), tensor, begin, end,
            [&out](int64_t at, std::span<const float> part) {
              std::copy(part.begin(), part.end(), out.begin() + at);
            }};
  }
  void read(std::vector<PieceTarget> targets, int64_t first_shard = 0) {
    read_state_pieces(path(), shards_, read_checksums(path()), targets, blocks_, first_shard);
  }
  fs::path path() const { return folder_.path() / "step"; }
  fs::path shard_path() const { return path() / fmt_name(0, shards_); }

  StatePieces() {
    for (auto& [tensor, size] : sizes_) {
      values_[tensor].resize(static_cast<size_t>(size));
      std::iota(values_[tensor].begin(), values_[tensor].end(), tensor == "t" ? 0.5f : 1000.0f);
    }
  }

  TemporaryFolder folder_;
  DirectBlocks blocks_;
  std::map<std::string, int64_t> sizes_ = {{"t", 100}, {"u", 10}};
  std::map<std::string, std::vector<float>> values_;
  int64_t shards_ = 1;
};

// Written in any number of shards, read in any other.
TEST_F(StatePieces, AnyShardsReadWhatAnyShardsWrote) {
  for (const int64_t writers : {1, 2, 3, 7}) {
    write(writers);
    for (const int64_t readers : {1, 2, 5}) {
      for (int64_t reader = 0; reader < readers; ++reader) {
        const int64_t part = 100 / readers, begin = reader * part, end = begin + part;
        std::vector<float> t, u;
        read({target("t", begin, end, t), target("u", 2, 9, u)});
        for (int64_t i = 0; i < part; ++i) {
          EXPECT_EQ(t[static_cast<size_t>(i)], values_["t"][static_cast<size_t>(begin + i)]);
        }
        EXPECT_EQ(u[0], 1002.0f);
        EXPECT_EQ(u[6], 1008.0f);
      }
    }
  }
}

// What a rank needs of 4 shards, where those that it does not need are not there.
TEST_F(StatePieces, OpensNoMoreShardsThanItNeeds) {
  write(4);
  fs::remove(path() / fmt_name(0, 4));
  fs::remove(path() / fmt_name(3, 4));
  std::vector<float> t, u;
  read({target("t", 30, 70, t), target("u", 3, 9, u)}, 1);
  EXPECT_EQ(t, std::vector<float>(values_["t"].begin() + 30, values_["t"].begin() + 70));
  EXPECT_EQ(u, std::vector<float>(values_["u"].begin() + 3, values_["u"].begin() + 9));
  EXPECT_ERROR(read({target("t", 30, 80, t)}, 1), ErrorKind::kFile, "shard-00003-of-00004");
  EXPECT_ERROR(read({target("t", 30, 70, t)}, 0), ErrorKind::kFile, "shard-00000-of-00004");
  EXPECT_ERROR(read({}, 1), ErrorKind::kFile, "shard-00003-of-00004");
}

// From any shard on, and round the ring.
TEST_F(StatePieces, BeginsWithAnyShard) {
  write(3);
  for (int64_t first = 0; first < 3; ++first) {
    std::vector<float> t;
    read({target("t", 5, 95, t)}, first);
    EXPECT_EQ(t, std::vector<float>(values_["t"].begin() + 5, values_["t"].begin() + 95));
  }
}

TEST_F(StatePieces, NamesWhatIsMissing) {
  write(1);
  std::vector<float> out;
  EXPECT_ERROR(read({target("t", 50, 120, out)}), ErrorKind::kData,
               "has 50 of the 70 elements of fp32 of t");
  EXPECT_ERROR(read({target("v", 0, 4, out)}), ErrorKind::kData,
               "has 0 of the 4 elements of fp32 of v");
}

TEST_F(StatePieces, NamesTheShardThatIsDamagedOrGone) {
  write(1);
  const std::string whole = read_text_file(shard_path());
  std::vector<float> out;
  // Of every byte a bit: in the header's length, its JSON and the numbers.
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    write_file_atomically(shard_path(), flipped);
    EXPECT_ERROR(read({target("t", 0, 100, out)}), ErrorKind::kData, "shard-00000-of-00001");
  }
  write_file_atomically(shard_path(), whole.substr(0, whole.size() - 4));
  EXPECT_ERROR(read({target("t", 0, 100, out)}), ErrorKind::kData, "shard-00000-of-00001");
  fs::remove(shard_path());
  EXPECT_ERROR(read({target("t", 0, 100, out)}), ErrorKind::kFile, "shard-00000-of-00001");
}

}  // namespace
}  // namespace borealis
