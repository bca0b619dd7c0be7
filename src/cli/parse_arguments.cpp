#include "cli/parse_arguments.h"

#include <fmt/format.h>

#include "base/error.h"

namespace borealis {

bool parse_arguments(CLI::App& app, const std::vector<std::string>& arguments) {
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    const auto subcommands = app.get_subcommands();
    fmt::print("{}", subcommands.empty() ? app.help() : subcommands.front()->help());
    return false;
  } catch (const CLI::ParseError& fault) {
    throw Error(ErrorKind::kUsage, fault.what(), fmt::format("see `{} --help`", app.get_name()));
  }
  return true;
}

}  // namespace borealis
