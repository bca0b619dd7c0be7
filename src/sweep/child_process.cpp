#include "sweep/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "base/error.h"
#include "base/file.h"

namespace borealis {
namespace {

constexpr int kPollMs = 50;
constexpr int kMercyMs = 2000;

std::vector<std::string> changed_environment(const std::vector<EnvironmentChange>& changes) {
  std::vector<std::string> variables;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry = *at;
    const std::string_view name = entry.substr(0, entry.find('='));
    if (std::ranges::find(changes, name, &EnvironmentChange::first) == changes.end()) {
      variables.emplace_back(entry);
    }
  }
  for (const auto& [name, value] : changes) {
    if (value) variables.push_back(fmt::format("{}={}", name, *value));
  }
  return variables;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In the child, where only system calls are allowed until the other program begins.
[[noreturn]] void become(pid_t parent, int input, int output, int errors, const char* program,
                         char* const* arguments, char* const* environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before it was watched
  const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0) {
    (void)!::write(score, "1000", 4);
    ::close(score);
  }
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  ::execvpe(program, arguments, environment);
  ::_exit(127);
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

int open_to_write(const std::filesystem::path& path) {
  const int number = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (number < 0) throw file_error("write", path, errno);
  return number;
}

// A file in memory, without a place in any folder.
class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : file_{::memfd_create(name, MFD_CLOEXEC)} {
    if (file_.number < 0) throw file_error("make", name, errno);
  }
  std::filesystem::path path() const { return fmt::format("/proc/self/fd/{}", file_.number); }

 private:
  Descriptor file_;
};

// poll() would do, but a signal has to end the wait as well.
void sleep_ms(int ms) {
  const timespec time{.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1'000'000L};
  ::nanosleep(&time, nullptr);
}

}  // namespace

ChildProcess::ChildProcess(const ChildCommand& command) {
  constexpr const char* kThisProgram = "/proc/self/exe";
  std::vector<std::string> arguments = command.launcher;
  // A launcher starts our program elsewhere, by its name.
  arguments.push_back(arguments.empty() ? "borealis"
                                        : std::filesystem::read_symlink(kThisProgram).string());
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  std::vector<std::string> environment = changed_environment(command.environment);
  const std::vector<char*> argv = pointers_to(arguments), envp = pointers_to(environment);
  const Descriptor null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  if (null.number < 0) throw file_error("open", "/dev/null", errno);
  const Descriptor errors{open_to_write(command.stderr_path)};
  const Descriptor output{command.stdout_path.empty() ? -1 : open_to_write(command.stdout_path)};
  const pid_t parent = ::getpid();
  id_ = ::fork();
  if (id_ == 0) {
    const bool is_launched = !command.launcher.empty();
    become(parent, null.number, output.number < 0 ? null.number : output.number, errors.number,
           is_launched ? argv.front() : kThisProgram, argv.data(), envp.data());
  }
  if (id_ < 0) {
    throw Error(ErrorKind::kMemory,
                fmt::format("the system refused another process: {}", std::strerror(errno)),
                "raise the limits (ulimit -u), or free memory");
  }
}

ChildProcess::~ChildProcess() { stop(); }

std::optional<ChildEnd> ChildProcess::wait(int most_ms) {
  for (int waited_ms = 0; !end_; waited_ms += kPollMs) {
    int status = 0;
    if (::waitpid(id_, &status, WNOHANG) == id_) {
      const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      end_ =
          ChildEnd{.exit_code = signal != 0 ? 128 + signal : WEXITSTATUS(status), .signal = signal};
    } else if (waited_ms >= most_ms) {
      break;
    } else {
      sleep_ms(kPollMs);
    }
  }
  return end_;
}

void ChildProcess::stop() {
  if (end_) return;
  ::kill(id_, SIGTERM);
  if (wait(kMercyMs)) return;
  ::kill(id_, SIGKILL);
  while (!wait(kMercyMs)) {
  }
}

ChildAnswer answer_of_child(ChildCommand command) {
  constexpr int kTickMs = 1000;
  const MemoryFile output("output of a child"), errors("errors of a child");
  command.stdout_path = output.path();
  command.stderr_path = errors.path();
  ChildProcess child(command);
  std::optional<ChildEnd> end;
  while (!end) end = child.wait(kTickMs);
  return {*end, read_text_file(output.path()), read_text_file(errors.path())};
}

}  // namespace borealis
