// This program once more, in a process of its own.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace borealis {

// A variable and its value; none: it is taken out of the environment.
using EnvironmentChange = std::pair<std::string, std::optional<std::string>>;

struct ChildCommand {
  // The program that runs ours, found as a shell does, and its arguments before ours: "srun -n 1".
  // Empty: ours runs by itself.
  std::vector<std::string> launcher = {};
  std::vector<std::string> arguments;          // behind the program's name
  std::vector<EnvironmentChange> environment;  // to this process's own
  std::filesystem::path stderr_path;           // replaced
  std::filesystem::path stdout_path = {};      // likewise; empty: it goes nowhere
};

struct ChildEnd {
  int exit_code = 0;  // as shells count it: 128 + signal of one that a signal ended
  int signal = 0;     // that ended it; 0: it ended by itself
};

// It reads nothing, and it dies with this process. Where the system runs out of memory, it is the
// first that the kernel ends.
class ChildProcess {
 public:
  // Throws Error(kFile) if the file cannot be made, Error(kMemory) if there is no room for another
  // process.
  explicit ChildProcess(const ChildCommand& command);
  ~ChildProcess();  // stops it
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Waits up to `most_ms`, less if a signal arrives here; none: it runs.
  std::optional<ChildEnd> wait(int most_ms);
  // SIGTERM, and SIGKILL if it has not ended after two seconds.
  void stop();
  pid_t id() const { return id_; }

 private:
  pid_t id_ = -1;
  std::optional<ChildEnd> end_;
};

// What a short one had to say.
struct ChildAnswer {
  ChildEnd end;
  std::string output, errors;
};
// Waits for it; its paths are not used. Throws as ChildProcess.
ChildAnswer answer_of_child(ChildCommand command);

}  // namespace borealis
