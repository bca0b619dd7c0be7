#include "base/program_output.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

namespace borealis {
namespace {

constexpr std::chrono::seconds kMostTime(5);
constexpr size_t kMostOutput = size_t{1} << 20;

// What comes out of a pipe until its writers have closed it or the time is over.
std::string read_until_closed(int pipe) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + kMostTime;
  std::string text;
  std::array<char, 4096> part{};
  while (text.size() < kMostOutput) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    pollfd waiting{.fd = pipe, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) {
      if (left.count() > 0 && errno == EINTR) continue;
      break;
    }
    const ssize_t bytes = ::read(pipe, part.data(), part.size());
    if (bytes <= 0) break;
    text.append(part.data(), static_cast<size_t>(bytes));
  }
  return text;
}

}  // namespace

std::optional<std::string> program_output(std::vector<std::string> command) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return std::nullopt;
  std::vector<char*> arguments;
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, pipe[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, pipe[1], STDERR_FILENO);
  pid_t id = 0;
  const int fault =
      ::posix_spawnp(&id, arguments.front(), &files, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::close(pipe[1]);
  std::string text;
  if (fault == 0) {
    text = read_until_closed(pipe[0]);
    ::kill(id, SIGKILL);  // of one that has ended by itself nothing is left to kill
    int status = 0;
    while (::waitpid(id, &status, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(pipe[0]);
  if (fault != 0 || text.empty()) return std::nullopt;
  return text;
}

}  // namespace borealis
