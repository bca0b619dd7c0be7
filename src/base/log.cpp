#include "base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <exception>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace borealis {
namespace {

constexpr const char* kPattern = "[%Y-%m-%d %H:%M:%S,%f][%L][%s:%#:%!] %v";

spdlog::sink_ptr short_console;  // the sink of the short style; null: it has the reference's

// The text alone, behind "warning: " or the like.
class ShortFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const auto append = [&line](std::string_view text) {
      line.append(text.data(), text.data() + text.size());
    };
    if (message.level == spdlog::level::warn) append("warning: ");
    if (message.level >= spdlog::level::err) append("error: ");
    append(std::string_view(message.payload.data(), message.payload.size()));
    append("\n");
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<ShortFormatter>();
  }
};

std::string_view short_function_name(std::string_view name) {
  // "void borealis::Trainer::run(int)" -> "run"
  const size_t open = name.find('(');
  name = name.substr(0, open);
  const size_t colon = name.rfind("::");
  if (colon != std::string_view::npos) return name.substr(colon + 2);
  const size_t space = name.rfind(' ');
  return space == std::string_view::npos ? name : name.substr(space + 1);
}

void log_at(spdlog::level::level_enum level, std::string_view message,
            const std::source_location& where) {
  const std::string function(short_function_name(where.function_name()));
  spdlog::default_logger_raw()->log(
      spdlog::source_loc{where.file_name(), static_cast<int>(where.line()), function.c_str()},
      level, "{}", printable(message));
}

}  // namespace

void log_open(LogStream stream, std::string_view level, LogStyle style) {
  spdlog::sink_ptr sink;
  if (stream == LogStream::kStdout) {
    sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  auto logger = std::make_shared<spdlog::logger>("borealis", sink);
  // A line that cannot be written is told once, by main(), as the standard output's error.
  logger->set_error_handler([](const std::string&) {});
  spdlog::set_default_logger(logger);
  logger->set_pattern(kPattern);
  short_console = style == LogStyle::kShort ? sink : nullptr;
  if (short_console) short_console->set_formatter(std::make_unique<ShortFormatter>());
  logger->flush_on(spdlog::level::info);
  if (level == "DEBUG") logger->set_level(spdlog::level::debug);
  if (level == "WARNING" || level == "WARN") logger->set_level(spdlog::level::warn);
  if (level == "ERROR" || level == "CRITICAL") logger->set_level(spdlog::level::err);
}

void log_add_file(const std::string& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
    sink->set_pattern(kPattern);
    spdlog::default_logger_raw()->sinks().push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex&) {
    throw file_error("open the log file", path, errno);
  }
}

class LogListener::Sink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit Sink(std::function<void(std::string_view)> on_line) : on_line_(std::move(on_line)) {}
  // The logger's list of sinks may be in use by another thread: the sink stays in it, deaf.
  void end() {
    const std::lock_guard lock(mutex_);
    on_line_ = nullptr;
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (!on_line_) return;
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    on_line_(std::string_view(line.data(), line.size()));
  }
  void flush_() override {}

  std::function<void(std::string_view)> on_line_;
};

LogListener::LogListener(std::function<void(std::string_view)> on_line)
    : sink_(std::make_shared<Sink>(std::move(on_line))) {
  sink_->set_pattern(kPattern);
  spdlog::default_logger_raw()->sinks().push_back(sink_);
}

LogListener::~LogListener() { sink_->end(); }

void log_debug(std::string_view message, const std::source_location& where) {
  log_at(spdlog::level::debug, message, where);
}
void log_info(std::string_view message, const std::source_location& where) {
  log_at(spdlog::level::info, message, where);
}
void log_info_or_brief(std::string_view message, std::string_view brief,
                       const std::source_location& where) {
  spdlog::logger& logger = *spdlog::default_logger_raw();
  if (!logger.should_log(spdlog::level::info)) return;
  const std::string function(short_function_name(where.function_name()));
  const spdlog::source_loc place{where.file_name(), static_cast<int>(where.line()),
                                 function.c_str()};
  const std::string full_text = printable(message), brief_text = printable(brief);
  spdlog::details::log_msg record(place, logger.name(), spdlog::level::info, {});  // one time
  for (const spdlog::sink_ptr& sink : logger.sinks()) {
    const std::string& text = sink == short_console ? brief_text : full_text;
    if (text.empty()) continue;
    try {
      record.payload = text;
      sink->log(record);
      sink->flush();
    } catch (const std::exception&) {  // a full disk, say: as the logger's own error handler
    }
  }
}
void log_warning(std::string_view message, const std::source_location& where) {
  log_at(spdlog::level::warn, message, where);
}
void log_error(std::string_view message, const std::source_location& where) {
  log_at(spdlog::level::err, message, where);
}

}  // namespace borealis
