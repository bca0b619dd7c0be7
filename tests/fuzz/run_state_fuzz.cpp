// Any text as a checkpoint's state.json: a state whose counts a run can go on with, and that comes
// back from what we write of it, or an Error.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "checkpoint/run_state.h"

namespace borealis {
namespace {

void check_order(const SplitOrder& order) {
  CHECK(order.begin >= 0);
  for (const DataSegment& segment : order.segments) {
    CHECK(segment.samples >= 0 && segment.train_samples >= 0);
  }
}

void read(std::string_view text) {
  try {
    const RunState state = parse_run_state(text, "state.json");
    CHECK(state.iteration >= 0 && state.consumed.train >= 0 && state.consumed.valid >= 0);
    CHECK(state.optimizer_steps >= 0);
    CHECK(state.skipped_iterations >= 0 && state.skipped_iterations <= state.iteration);
    CHECK(state.skipped_in_a_row >= 0 && state.shards >= 1);
    CHECK(std::ranges::all_of(state.recent_grad_norms, [](double x) { return std::isfinite(x); }));
    check_order(state.data_order.train);
    check_order(state.data_order.valid);
    const std::string written = run_state_text(state);
    const RunState again = parse_run_state(written, "state.json");
    CHECK(run_state_text(again) == written && again.data == state.data);
    CHECK(again.configuration == state.configuration);
    CHECK(!state_shard_name(state.shards - 1, state.shards).empty());
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace borealis

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  borealis::read({reinterpret_cast<const char*>(data), size});
  return 0;
}
