// How Borealis reports what is the user's or the world's fault: a bad option, a missing or corrupt
// file, a full disk, a model that does not fit. Such an Error is thrown where it is found and
// caught once, in cli/main.cpp, which prints one line and exits with the code of its kind. What is
// our own fault is a CHECK (check.h) instead.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace borealis {

enum class ErrorKind {
  kUsage,   // exit 1: the command line itself is wrong
  kConfig,  // exit 2: a value of the run's configuration is wrong, or values contradict each other
  kFile,    // exit 3: a file cannot be found, opened, read or written (full disk, no permission)
  kData,    // exit 4: a file was read but its content is wrong (truncated index, foreign token id)
  kMemory,  // exit 5: the run does not fit in memory
  kNumerics,  // exit 6: training, evaluation or generation produced non-finite values
  kRanks,     // exit 7: a rank of the run is lost, or ranks that must agree do not
  kDevice,    // exit 8: the accelerator that was asked for is missing, or failed
};

std::string_view error_kind_name(ErrorKind kind);  // "config", "file", ...
int error_exit_code(ErrorKind kind);

class Error : public std::runtime_error {
 public:
  // `problem` names the subject and says what is wrong with it; `remedy` what to do about it.
  // what() reads "kind: problem; remedy".
  Error(ErrorKind kind, const std::string& problem, const std::string& remedy = "");
  ErrorKind kind() const { return kind_; }
  std::string_view text() const;  // what() behind the kind

 private:
  ErrorKind kind_;
};

// An Error of kind kFile with the text of `error_number` (an errno value) and what to do about it,
// which depends on `action`: "open", "read", "examine", "map" and "open the folder" are reading,
// any other is writing.
Error file_error(const std::string& action, const std::string& path, int error_number);

}  // namespace borealis
