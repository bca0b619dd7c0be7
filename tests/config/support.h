// Loading a configuration from a map instead of the process's environment.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/run_config_loader.h"

namespace borealis::testing {

using Variables = std::map<std::string, std::string>;
using Arguments = std::vector<std::string>;

inline Environment environment_of(const Variables& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    if (at == variables.end()) return std::nullopt;
    return at->second;
  };
}

// Nothing on the disk is needed: random data and a vocabulary by number.
inline Arguments without_files(const Arguments& arguments) {
  Arguments all = {"--mock-data", "--vocab-size", "8192"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

inline RunConfig load_as_given(const Variables& variables, const Arguments& arguments = {},
                               bool needs_data = true) {
  LoadOptions options;
  options.needs_data = needs_data;
  options.stamp = "20260102-030405";
  options.host_name = "node7";
  return load_run_config(environment_of(variables), arguments, options);
}

inline RunConfig load(const Variables& variables, const Arguments& arguments = {}) {
  return load_as_given(variables, without_files(arguments));
}

// The message of the error, and its exit code; "" and 0 if the configuration loads.
struct Refusal {
  std::string text;
  int exit_code = 0;
};

inline Refusal refusal_as_given(const Variables& variables, const Arguments& arguments = {}) {
  try {
    load_as_given(variables, arguments);
  } catch (const Error& error) {
    return {error.what(), error_exit_code(error.kind())};
  }
  return {};
}

inline Refusal refusal(const Variables& variables, const Arguments& arguments = {}) {
  return refusal_as_given(variables, without_files(arguments));
}

inline bool holds(const std::vector<std::string>& lines, const std::string& part) {
  for (const std::string& line : lines) {
    if (line.find(part) != std::string::npos) return true;
  }
  return false;
}

// A folder of its own, gone at the end of the test; the working directory while it lives.
class WorkingFolder {
 public:
  WorkingFolder() : before_(std::filesystem::current_path()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "borealis-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
    std::filesystem::current_path(path_);
  }
  ~WorkingFolder() {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(path_);
  }
  WorkingFolder(const WorkingFolder&) = delete;
  WorkingFolder& operator=(const WorkingFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

 private:
  std::filesystem::path before_;
  std::filesystem::path path_;
};

}  // namespace borealis::testing
