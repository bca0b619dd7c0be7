// The numbers of a saved training state by tensor, for those who look at a checkpoint or convert
// it. A run that resumes reads them in one pass, verified (state_pieces.h); here the files are
// mapped and only what is asked for is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/run_state.h"
#include "checkpoint/safetensors_file.h"
#include "checkpoint/tensor_elements.h"

namespace borealis {

class StoredState {
 public:
  static bool is_in(const std::filesystem::path& folder);  // a step's

  // Throws Error(kFile) or Error(kData) naming the file that is missing or damaged.
  explicit StoredState(const std::filesystem::path& folder);

  const RunState& state() const { return state_; }
  int64_t bytes() const;  // of all pieces
  // The tensor of this kind (kMasterWeight, ...) as f32; refers to this object. Throws Error(kData)
  // unless its pieces cover this shape, every element once.
  TensorElements elements(std::string_view kind, const std::string& tensor,
                          const std::vector<int64_t>& shape) const;

 private:
  struct Piece {
    const SafetensorsFile* file = nullptr;
    const TensorView* view = nullptr;
    int64_t begin = 0;  // elements of the tensor
    int64_t end = 0;
  };
  using Pieces = std::vector<Piece>;

  void add_pieces_of(const SafetensorsFile& file);
  void require_cover(const Pieces& pieces, const std::string& name, int64_t elements) const;
  static void read(const Pieces& pieces, int64_t begin, std::span<float> out);

  std::filesystem::path folder_;
  RunState state_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::pair<std::string, std::string>, Pieces> pieces_;  // by kind and tensor, ascending
};

}  // namespace borealis
