#include "cli/command.h"

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "base/error.h"

namespace borealis {
namespace {

void print_usage(const CommandGroup& group, std::FILE* stream) {
  const std::string_view summary = group.summary;
  fmt::print(stream, "{}{}usage: {} <command> [options]\n\n", summary,
             summary.empty() ? "" : "\n\n", group.name);
  for (const Command& command : group.commands) {
    fmt::print(stream, "  {:<10} {}\n", command.name, command.summary);
  }
  fmt::print(stream, "\n{} <command> --help explains a command.\n", group.name);
}

}  // namespace

int run_group(const CommandGroup& group, const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    print_usage(group, stderr);
    return error_exit_code(ErrorKind::kUsage);
  }
  const std::string& name = arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    print_usage(group, stdout);
    return 0;
  }
  std::string known;
  for (const Command& command : group.commands) {
    if (name == command.name) return command.run({arguments.begin() + 1, arguments.end()});
    known += fmt::format(" {}", command.name);
  }
  // "data nonsense", as it was typed after the program's name.
  const std::string_view path = group.name;
  const size_t gap = path.find(' ');
  const std::string before =
      gap == std::string_view::npos ? "" : fmt::format("{} ", path.substr(gap + 1));
  throw Error(ErrorKind::kUsage, fmt::format("'{}{}' is not a command", before, name),
              fmt::format("choose one of:{}", known));
}

}  // namespace borealis
