// Says what a run needs and refuses what cannot fit, before anything of it is allocated.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/memory.h"
#include "config/run_config.h"
#include "model/accounting.h"

namespace borealis {

struct Prediction {
  int64_t parameters = 0;
  double flops_per_token = 0;
  MemoryPlan memory;
  MemoryLimit limit;
  bool fits = false;
  std::optional<GpuProfile> gpu = {};  // of a run on one: memory and limit are its own
  MemoryLimit host_limit = {};         // and the host's, which has the copy that is saved
  bool fits_on_host = true;
  // Of a run that saves while it trains: a copy of its state fits besides, so that it is saved in
  // the background.
  bool saves_in_background = false;
  // It does not where, of several ranks, this one has no memory for the copy.
  std::optional<int64_t> rank_without_copy = {};
};

// data_bytes: sample index and batches; program_bytes: what is resident already.
// layout: the run's own (make_run_layout). loads: it starts from a checkpoint.
Prediction predict(const RunConfig& config, const RunLayout& layout, int64_t data_bytes,
                   int64_t program_bytes, bool loads = false);
inline constexpr const char* kHostRemedy = "run with --no-save, or on a host with more memory";
// What a run on a GPU needs of its host, where that does not have it; "": it fits there.
std::string host_shortfall(const Prediction& prediction);
// What the plan says of saving: one line, empty where the run does not save while it trains.
std::string saving_line(const RunConfig& config, const Prediction& prediction);

// The same for texts that a model only looks at (`shape.forward_only`); data_bytes: their tokens
// and a batch.
Prediction predict_forward(const DecoderShape& shape, DType dtype, int64_t data_bytes,
                           int64_t program_bytes, std::optional<int64_t> memory_limit_bytes);

// The same for texts that a model continues.
Prediction predict_generation(const GenerationShape& shape, DType dtype, int64_t data_bytes,
                              int64_t program_bytes, std::optional<int64_t> memory_limit_bytes);

// The plan as an aligned table, one class a line, with its total and the limit.
std::string memory_table(const Prediction& prediction, DType dtype);

// Lines of settings, each of which would make the run fit, with the bytes it would need: single
// ones, and, where there are none but a smaller vocabulary, several together.
std::vector<std::string> ways_to_fit(const RunConfig& config, const Prediction& prediction,
                                     int threads);

// The run's layout, on the GPU if there is one, with as few rows of logits at a time as it takes to
// fit there.
RunLayout fitting_layout(const RunConfig& config, int threads, const GpuProfile* gpu);

// Throws Error(kMemory) with the table, the shortfall and the ways to fit, unless the run fits.
void require_fit(const RunConfig& config, const Prediction& prediction, int threads);
void require_forward_fit(const DecoderShape& shape, DType dtype, const Prediction& prediction);
// longest_prompt: the tokens that more room for new ones cannot do without.
void require_generation_fit(const GenerationShape& shape, DType dtype, int64_t longest_prompt,
                            const Prediction& prediction);

// The same run with another depth.
RunConfig with_layers(RunConfig config, int64_t layers);
inline constexpr const char* kGpuLimit = "the GPU's memory";  // source of a limit
// With ZERO_STAGE=0 one rank saves for all: of what the ranks of a host share, its copy of the
// state takes this for each of them.
int64_t snapshot_share_bytes(const RunConfig& config, const MemoryLimit& limit,
                             int64_t snapshot_bytes);
// What a plan may fill of a limit, which is not the last byte.
int64_t usable_bytes(const MemoryLimit& limit);
// The largest value in [1, largest] for which `fits` holds, 0 if none; `fits` is monotone.
int64_t largest_fitting(int64_t largest, const std::function<bool(int64_t)>& fits);

// The document of `plan --json`.
std::string prediction_json(const RunConfig& config, const Prediction& prediction);

}  // namespace borealis
