// Any bytes as the transaction log of Weights & Biases: records and a measured run, or an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "publish/trainer_log.h"
#include "publish/wandb_source.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto run = borealis::parse_wandb_log(bytes, "run.wandb", 0);
    CHECK(!run.steps.empty() && run.model.num_hidden_layers > 0);
  } catch (const borealis::Error&) {
  }
  try {  // the other record of a run that is not ours
    CHECK(!borealis::parse_trainer_log(bytes, "job.log", 0).steps.empty());
  } catch (const borealis::Error&) {
  }
  return 0;
}
