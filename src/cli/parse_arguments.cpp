#include "cli/parse_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "config/nearest.h"

namespace borealis {
namespace {

// What is wrong with the text as a number within the bounds; "" if nothing is. CLI11 puts the
// option's name and a colon before it.
template <typename Number>
std::string number_fault(const std::string& text, Number least, Number most, const char* kind) {
  Number number = 0;
  const char* last = text.data() + text.size();
  const auto [end, code] = std::from_chars(text.data(), last, number);
  const bool is_number = code != std::errc::invalid_argument && end == last;
  if (!is_number || std::isnan(static_cast<double>(number))) {
    return fmt::format("{} is not a {}", text, kind);
  }
  if (code == std::errc::result_out_of_range || std::isinf(static_cast<double>(number))) {
    return fmt::format("{} is too large or too small a number", text);
  }
  if (number < least) return fmt::format("{} is too small: it must be at least {}", text, least);
  if (number > most) return fmt::format("{} is too large: it must be at most {}", text, most);
  return "";
}

// CLI11 reads such a whole number as an octal one.
bool has_leading_zero(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0';
}

template <typename Number>
CLI::Validator number_within(Number least, Number most, const char* kind) {
  const std::string bounds = most == std::numeric_limits<Number>::max()
                                 ? fmt::format("{} or more", least)
                                 : fmt::format("{} to {}", least, most);
  return {[=](std::string& text) {
            if (std::is_integral_v<Number> && has_leading_zero(text)) {
              return fmt::format("{} begins with a zero", text);
            }
            return number_fault(text, least, most, kind);
          },
          bounds};
}

}  // namespace

CLI::Validator whole_number(int64_t least, int64_t most) {
  return number_within(least, most, "whole number");
}

CLI::Validator real_number(double least, double most) {
  return number_within(least, most, "number");
}

namespace {

// "" is the working directory to some calls and nothing to others.
void refuse_empty_places(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    if (name != "--output" && name != "--output-prefix" && name != "--from" && name != "--model") {
      continue;
    }
    for (const std::string& value : option->results()) {
      if (!value.empty()) continue;
      throw Error(ErrorKind::kUsage, fmt::format("{} is empty", name),
                  fmt::format("see `{} --help`", app.get_name()));
    }
  }
}

// What stands between the two in the text; none if it does not begin and end with them.
std::optional<std::string_view> framed(std::string_view text, std::string_view before,
                                       std::string_view after) {
  if (!text.starts_with(before) || !text.ends_with(after)) return std::nullopt;
  if (text.size() < before.size() + after.size()) return std::nullopt;
  return text.substr(before.size(), text.size() - before.size() - after.size());
}

// "; did you mean --temperature?", of what is nearly an option of the command that was given.
std::string suggestion(const CLI::App& app, std::string_view name) {
  std::vector<std::string_view> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& spelling : option->get_lnames()) known.push_back(spelling);
  }
  const auto near = nearest_name(name.substr(std::min<size_t>(2, name.size())), known);
  return near ? fmt::format("; did you mean --{}?", *near) : "";
}

// What looks like an option and is none: a value that was meant for it says less.
std::optional<std::string> unknown_option(const CLI::App& app) {
  if (app.get_allow_extras()) return std::nullopt;
  for (const std::string& rest : app.remaining()) {
    if (!rest.starts_with("--") || rest == "--") continue;
    const std::string name = rest.substr(0, rest.find('='));
    return fmt::format("{} is not an option of this command{}", name, suggestion(app, name));
  }
  return std::nullopt;
}

// The sentences of the library that a user meets, in our words; another as it is.
std::string argument_fault(std::string_view text) {
  constexpr std::string_view kOneOf = "Exactly 1 option from [";
  if (const auto options = framed(text, kOneOf, "] is required")) {
    return fmt::format("one of {} has to be given", *options);
  }
  if (const auto rest = framed(text, kOneOf, " were given")) {
    return fmt::format("only one of {} can be given", rest->substr(0, rest->find(']')));
  }
  if (const auto name = framed(text, "The following argument was not expected: ", "")) {
    return fmt::format("{} is not an argument or option of this command", *name);
  }
  if (const auto names = framed(text, "The following arguments were not expected: ", "")) {
    return fmt::format("{} are not arguments or options of this command", *names);
  }
  if (const auto name = framed(text, "", " is required"))
    return fmt::format("{} is missing", *name);
  if (const size_t at = text.find(": 1 required "); at != text.npos && text.ends_with(" missing")) {
    return fmt::format("{} needs a value", text.substr(0, at));
  }
  constexpr std::string_view kExcludes = " excludes ";
  if (const size_t at = text.find(kExcludes); at != text.npos) {
    return fmt::format("{} and {} cannot be given together", text.substr(0, at),
                       text.substr(at + kExcludes.size()));
  }
  return std::string(text);
}

}  // namespace

bool parse_arguments(CLI::App& app, const std::vector<std::string>& arguments) {
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return false;
  } catch (const CLI::ParseError& fault) {
    throw Error(ErrorKind::kUsage, unknown_option(app).value_or(argument_fault(fault.what())),
                fmt::format("see `{} --help`", app.get_name()));
  }
  refuse_empty_places(app);
  return true;
}

}  // namespace borealis
