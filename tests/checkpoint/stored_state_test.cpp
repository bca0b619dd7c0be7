#include "checkpoint/stored_state.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/file.h"
#include "checkpoint/small_states.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace borealis::testing {
namespace {

namespace fs = std::filesystem;

std::vector<float> ramp(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

std::vector<float> all_of(const TensorElements& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.element_count()));
  tensor.read(0, values);
  return values;
}

TEST(StoredState, JoinsPiecesOfSeveralShards) {
  const TemporaryFolder folder;
  const std::vector<float> whole = ramp(12);
  write_state(folder.path(), {{{"fp32", "t", 4, {4, 5, 6, 7, 8}}, {"exp_avg", "t", 0, ramp(12)}},
                              {{"fp32", "t", 9, {9, 10, 11}}, {"fp32", "t", 0, {0, 1, 2, 3}}}});
  const StoredState state(folder.path());
  EXPECT_EQ(state.state().iteration, 7);
  EXPECT_EQ(state.bytes(), 24 * 4);
  const TensorElements tensor = state.elements(kMasterWeight, "t", {3, 4});
  EXPECT_EQ(all_of(tensor), whole);
  for (int64_t begin = 0; begin < 12; ++begin) {
    for (int64_t end = begin; end <= 12; ++end) {
      std::vector<float> part(static_cast<size_t>(end - begin));
      tensor.read(begin, part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + begin));
    }
  }
}

TEST(StoredState, RefusesPiecesThatDoNotCoverTheTensorOnce) {
  const auto expect_rejected = [](const std::vector<StatePiece>& pieces) {
    const TemporaryFolder folder;
    write_state(folder.path(), {pieces});
    const StoredState state(folder.path());
    EXPECT_ERROR(state.elements(kMasterWeight, "t", {4}), ErrorKind::kData,
                 "the pieces of fp32 of t do not cover its 4 elements, each once");
  };
  expect_rejected({{"fp32", "t", 0, ramp(3)}});
  expect_rejected({{"fp32", "t", 1, ramp(3)}});
  expect_rejected({{"fp32", "t", 0, ramp(5)}});
  expect_rejected({{"fp32", "t", 0, ramp(2)}, {"fp32", "t", 3, ramp(1)}});
  expect_rejected({{"fp32", "t", 0, ramp(4)}, {"fp32", "t", 3, ramp(1)}});
  expect_rejected({{"fp32", "t", 0, ramp(4)}, {"fp32", "t", 9, ramp(1)}});
}

TEST(StoredState, NamesWhatIsMissing) {
  const TemporaryFolder folder;
  EXPECT_FALSE(StoredState::is_in(folder.path()));
  write_state(folder.path(), {{{"fp32", "t", 0, ramp(4)}}});
  EXPECT_TRUE(StoredState::is_in(folder.path()));
  EXPECT_ERROR(StoredState(folder.path()).elements(kSecondMoment, "t", {4}), ErrorKind::kData,
               "has no exp_avg_sq of t");
  fs::remove(folder.path() / "state/shard-00000-of-00001.safetensors");
  EXPECT_ERROR(StoredState(folder.path()), ErrorKind::kFile, "shard-00000-of-00001.safetensors");
  fs::remove(folder.path() / "state/state.json");
  EXPECT_ERROR(StoredState(folder.path()), ErrorKind::kFile, "state.json");
}

TEST(StoredState, RefusesWhatIsNoPiece) {
  const TemporaryFolder folder;
  write_state(folder.path(), {{{"master", "t", 0, ramp(4)}}});
  EXPECT_ERROR(StoredState(folder.path()), ErrorKind::kData, "'master:t:0', which is no piece");
}

}  // namespace
}  // namespace borealis::testing
