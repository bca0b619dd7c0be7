#include "sweep/grid_file.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <iterator>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"

namespace borealis {
namespace {

constexpr const char* kForm =
    "write a list of grids, each an object of VARIABLE: value, [value, ...] or FIRST:LAST:STEP "
    "(docs/sweep.md)";

[[noreturn]] void refuse(const std::string& name, const YAML::Mark& mark,
                         const std::string& problem) {
  const std::string line = mark.is_null() ? "" : fmt::format(", line {}", mark.line + 1);
  throw Error(ErrorKind::kData, fmt::format("{}{}: {}", name, line, printable(problem)), kForm);
}

// Of a document that is only looked for.
class NoEvents : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// YAML::LoadAll never ends where a document begins with a comma (yaml-cpp 0.7).
bool has_two_documents(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  NoEvents events;
  return parser.HandleNextDocument(events) && parser.HandleNextDocument(events);
}

std::vector<std::string> values_of(const YAML::Node& node, const std::string& name,
                                   const std::string& variable, Problems& problems) {
  const std::string spelled =
      fmt::format("{}, line {}: {}", name, node.Mark().line + 1, printable(variable));
  if (node.IsScalar()) return expand_value(node.Scalar(), spelled, problems);
  if (!node.IsSequence()) {
    refuse(
        name, node.Mark(),
        fmt::format("{} has {}", variable, node.IsNull() ? "no value" : "an object as its value"));
  }
  if (node.size() == 0) refuse(name, node.Mark(), variable + " has no value");
  std::vector<std::string> values;
  for (const YAML::Node& one : node) {
    if (!one.IsScalar()) {
      refuse(name, one.Mark(), fmt::format("{} has a value that is no number or text", variable));
    }
    std::ranges::move(expand_value(one.Scalar(), spelled, problems), std::back_inserter(values));
    if (values.size() <= kMostPoints) continue;
    problems.settings.push_back(fmt::format("{} has more than {} values", spelled, kMostPoints));
    return {};
  }
  return values;
}

Grid grid_of(const YAML::Node& node, const std::string& name, size_t number, Problems& problems) {
  if (!node.IsMap() || node.size() == 0) {
    refuse(name, node.Mark(), fmt::format("grid {} is no object of variables", number));
  }
  Grid grid{.where = fmt::format("{}, grid {}", name, number), .axes = {}};
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) refuse(name, entry.first.Mark(), "a name is not a text");
    const std::string variable = entry.first.Scalar();
    grid.axes.push_back({variable, values_of(entry.second, name, variable, problems)});
  }
  return grid;
}

}  // namespace

std::vector<Grid> parse_grids(const std::string& text, const std::string& name,
                              Problems& problems) {
  try {
    if (has_two_documents(text)) refuse(name, {}, "there is more than one document");
    const YAML::Node root = YAML::Load(text);
    if (root.IsMap()) return {grid_of(root, name, 1, problems)};
    if (!root.IsSequence() || root.size() == 0) refuse(name, root.Mark(), "there is no grid");
    std::vector<Grid> grids;
    for (const YAML::Node& one : root) {
      grids.push_back(grid_of(one, name, grids.size() + 1, problems));
    }
    return grids;
  } catch (const YAML::Exception& fault) {
    refuse(name, fault.mark, "it is neither YAML nor JSON: " + fault.msg);
  }
}

std::vector<Grid> read_grid_file(const std::filesystem::path& path, Problems& problems) {
  return parse_grids(read_text_file(path), path.string(), problems);
}

}  // namespace borealis
