#include "cli/failure.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <new>
#include <optional>
#include <system_error>

#include "base/error.h"

namespace borealis {
namespace {

constexpr int kInternalError = 70;

// What a command can do with less memory.
std::string_view memory_remedy(std::string_view command) {
  if (command == "train" || command == "plan") {
    return "lower the model, the sequence or the micro batch, or see `borealis plan`";
  }
  if (command == "data" || command == "tokenizer") {
    return "give fewer --threads, or cut documents that are long (--max-document-bytes tells them)";
  }
  if (command == "generate" || command == "eval") {
    return "give a smaller --batch-size, shorter texts, or a --memory-limit to see what is needed";
  }
  return "free some memory, or use a machine with more";
}

// None where it is no fault of the user's or the world's.
std::optional<Error> as_error(const std::exception& error, std::string_view command,
                              std::string_view whose) {
  const auto of = [&](ErrorKind kind, std::string_view text, std::string_view remedy = "") {
    return Error(kind, fmt::format("{}{}", whose, text), std::string(remedy));
  };
  if (const auto* known = dynamic_cast<const Error*>(&error)) {
    return of(known->kind(), known->text());
  }
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return of(ErrorKind::kMemory, "the system refused an allocation", memory_remedy(command));
  }
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error)) {
    const std::string path = file->path1().empty() ? "a folder" : file->path1().string();
    return of(ErrorKind::kFile, file_error("read", path, file->code().value()).text());
  }
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  if (system != nullptr && system->code() == std::errc::resource_unavailable_try_again) {
    return of(ErrorKind::kMemory, "the system refused a thread",
              "lower --threads, or raise the limits (ulimit -u, ulimit -v, or the container's of "
              "processes)");
  }
  return std::nullopt;
}

}  // namespace

Failure failure_of(const std::exception& error, std::string_view command, std::string_view whose) {
  if (const auto known = as_error(error, command, whose)) {
    return {known->what(), error_exit_code(known->kind())};
  }
  const bool of_output = dynamic_cast<const std::system_error*>(&error) != nullptr;
  if (of_output && std::ferror(stdout) != 0) return lost_output();
  return {fmt::format("internal error: {}{}", whose, error.what()), kInternalError};
}

Failure lost_output() {
  const Error error(ErrorKind::kFile,
                    "the standard output could not be written: it is closed, or its disk is full");
  return {error.what(), error_exit_code(error.kind())};
}

}  // namespace borealis
