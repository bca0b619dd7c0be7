#include "config/run_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/environment.h"
#include "config/settings.h"

namespace borealis {
namespace {

// Where tokenizers are looked for (hub_cache.cpp), and what OpenMP does with threads.
constexpr std::array<std::string_view, 6> kBesidesTheContract = {
    "HF_HOME",        "HF_HUB_CACHE",  "HUGGINGFACE_HUB_CACHE",
    "XDG_CACHE_HOME", "OMP_PROC_BIND", "OMP_PLACES"};

// A report is passed around.
bool is_secret(std::string_view variable) {
  return variable.ends_with("_KEY") || variable.ends_with("_SECRET") ||
         variable.ends_with("_PASSWORD");
}

bool is_plain(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') ||
         std::string_view("_-+=./:,@%").find(byte) != std::string_view::npos;
}

bool is_control(char byte) { return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f; }

std::vector<std::string_view> variables_of_runs() {
  std::vector<std::string_view> names;
  for (const OptionGroup& group : option_groups()) {
    for (const OptionRow& row : group.rows) {
      if (!row.variable.empty()) names.push_back(row.variable);
      names.insert(names.end(), row.aliases.begin(), row.aliases.end());
    }
  }
  names.insert(names.end(), kBesidesTheContract.begin(), kBesidesTheContract.end());
  std::erase_if(names, is_secret);
  return names;
}

// A flag and what follows it stand on one line.
bool begins_line(const std::string& argument) { return argument.starts_with("--"); }

}  // namespace

std::string shell_quoted(std::string_view text) {
  if (!text.empty() && std::ranges::all_of(text, is_plain)) return std::string(text);
  const bool has_control = std::ranges::any_of(text, is_control);
  std::string quoted = has_control ? "$'" : "'";
  for (const char byte : text) {
    if (is_control(byte)) {
      quoted += fmt::format("\\{:03o}", static_cast<unsigned char>(byte));
    } else if (byte == '\'') {
      quoted += has_control ? "\\'" : "'\\''";
    } else if (byte == '\\' && has_control) {
      quoted += "\\\\";
    } else {
      quoted += byte;
    }
  }
  return quoted + "'";
}

std::string run_command(const Environment& environment, const std::vector<std::string>& arguments,
                        const std::filesystem::path& folder, int64_t ranks) {
  std::string command = "cd " + shell_quoted(folder.string()) + " &&\n";
  for (const std::string_view name : variables_of_runs()) {
    if (const auto value = set_value(environment, name)) {
      command += fmt::format("{}={} \\\n", name, shell_quoted(*value));
    }
  }
  if (ranks > 1 && !set_value(environment, "NGPU_PER_HOST") &&
      !set_value(environment, "WORLD_SIZE")) {
    command += fmt::format("WORLD_SIZE={} \\\n", ranks);
  }
  command += ranks > 1 ? "borealis launch train" : "borealis train";
  for (const std::string& argument : arguments) {
    command += begins_line(argument) ? " \\\n  " : " ";
    command += shell_quoted(argument);
  }
  return command + "\n";
}

}  // namespace borealis
