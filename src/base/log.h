// The program's log: one line a message, "[date time,micros][I][file:line:function] text", as the
// reference trainer prints it, or, on a terminal, the text alone behind a word for what is not
// plain information. Goes to stdout (or stderr, where stdout carries a JSON document) and, once a
// run has a folder, also to its output.log.
#pragma once

#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>

namespace borealis {

enum class LogStream { kStdout, kStderr };
// What the lines of that stream look like; files and listeners always get the reference's.
enum class LogStyle { kReference, kShort };

// Where messages go; call once at start. Level from LOG_LEVEL: DEBUG, INFO, WARNING, ERROR.
void log_open(LogStream stream, std::string_view level, LogStyle style = LogStyle::kReference);
// Also append to this file from now on (throws Error(kFile) if it cannot be opened).
void log_add_file(const std::string& path);

// Is given every line of the log from now on, with its newline, for as long as it lives. Lines come
// from any thread, one at a time; the function must not log.
class LogListener {
 public:
  explicit LogListener(std::function<void(std::string_view line)> on_line);
  ~LogListener();
  LogListener(const LogListener&) = delete;
  LogListener& operator=(const LogListener&) = delete;

 private:
  class Sink;
  std::shared_ptr<Sink> sink_;
};

void log_debug(std::string_view message,
               const std::source_location& where = std::source_location::current());
void log_info(std::string_view message,
              const std::source_location& where = std::source_location::current());
// The same with another wording, `brief`, for a stream in the short style. An empty text is left
// out.
void log_info_or_brief(std::string_view message, std::string_view brief,
                       const std::source_location& where = std::source_location::current());
void log_warning(std::string_view message,
                 const std::source_location& where = std::source_location::current());
void log_error(std::string_view message,
               const std::source_location& where = std::source_location::current());

}  // namespace borealis
