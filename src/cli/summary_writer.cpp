#include "cli/summary_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/log.h"

namespace borealis {
namespace fs = std::filesystem;

namespace {

// Where the disk has no room for a second file, over the one that is there: what ended the run is
// told nowhere else in its folder. False where it cannot be done as a whole.
bool write_over(const fs::path& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const auto size = static_cast<off_t>(text.size());
  const bool is_written = ::posix_fallocate(file, 0, size) == 0 &&
                          ::pwrite(file, text.data(), text.size(), 0) == size &&
                          ::ftruncate(file, size) == 0 && ::fsync(file) == 0;
  ::close(file);
  return is_written;
}

}  // namespace

SummaryWriter::SummaryWriter(std::string run_dir) : run_dir_(std::move(run_dir)) {}

void SummaryWriter::begin(const RunSummary& summary) {
  try {
    first_.start([this, summary] { write_run_summary(run_dir_, summary); });
  } catch (const std::system_error&) {  // the system has no thread for it
    write_run_summary(run_dir_, summary);
  }
}

void SummaryWriter::write(const RunSummary& summary) {
  std::string fault_of_first;
  try {
    first_.settle();
  } catch (const Error& fault) {
    if (!std::exchange(told_, true)) fault_of_first = fault_text(fault);
  }
  try {
    write_run_summary(run_dir_, summary);  // where this fails as well, it tells it
  } catch (const Error&) {
    if (!write_over(fs::path(run_dir_) / kSummaryFileName, run_summary_json(summary))) throw;
  }
  if (fault_of_first.empty()) return;
  log_warning(fmt::format("the run's folder had no summary until now: {}", fault_of_first));
}

}  // namespace borealis
