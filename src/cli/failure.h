// What ends a command, as the line that tells it and the exit code.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace borealis {

struct Failure {
  std::string line;
  int exit_code = 0;
};
// `command`: whose memory the remedy is for. `whose` stands before what is wrong: "rank 3: ".
Failure failure_of(const std::exception& error, std::string_view command,
                   std::string_view whose = "");

// Of an output that nobody could read.
Failure lost_output();

}  // namespace borealis
