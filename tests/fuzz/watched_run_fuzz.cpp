// Any bytes as the files of a run that is watched: the first chooses the screen and which file it
// is, the rest is the file, which comes in two parts. Whatever it is, the view keeps its size.
#include <array>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "base/check.h"
#include "base/file.h"
#include "support/temporary_folder.h"
#include "watch/followed_run.h"
#include "watch/run_json.h"
#include "watch/view.h"

namespace {

using namespace borealis;

constexpr std::array kFiles = {kMetricsFileName, kSystemFileName, kValidationFileName,
                               kCheckpointsFileName, kSummaryFileName};

void look(FollowedRun& run, const ViewOptions& options) {
  while (run.update(2e9)) {
  }
  const std::array<const WatchedRun*, 2> runs = {&run.run(), &run.run()};
  for (const bool whole : {false, true}) {
    const auto lines = render_view(runs, {.whole = whole}, options);
    CHECK(lines.size() <= static_cast<size_t>(options.height));
    for (const StyledLine& line : lines) CHECK(line_columns(line) <= options.width);
  }
  CHECK(!watched_run_json(run.run()).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TemporaryFolder folder;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (const char* name : kFiles) std::filesystem::remove(folder.path() / name);
  const std::filesystem::path path = folder.path() / kFiles[data[0] % kFiles.size()];
  const ViewOptions options{
      .width = 1 + data[0] % 160, .height = 1 + data[0] % 40, .unicode = data[0] % 2 == 0};
  FollowedRun run(folder.path(), "run");
  append_text_file(path, text.substr(0, text.size() / 2));
  look(run, options);
  append_text_file(path, text.substr(text.size() / 2));
  look(run, options);
  return 0;
}
