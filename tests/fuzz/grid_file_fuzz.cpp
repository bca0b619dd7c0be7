// Any text as a file of grids: points with names that are names of folders, problems, or an Error.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/error.h"
#include "sweep/grid_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace borealis;
  try {
    Problems problems;
    const auto grids = parse_grids(std::string(data, data + size), "grid.yaml", problems);
    for (const PointSettings& settings : grid_points(grids, problems)) {
      CHECK(!settings.empty());
      const std::string name = point_name(settings);
      CHECK(!name.empty() && name.size() < 200 && name.front() != '.', name);
      CHECK(name.find('/') == std::string::npos && name.find('\n') == std::string::npos, name);
    }
  } catch (const Error&) {
  }
  return 0;
}
