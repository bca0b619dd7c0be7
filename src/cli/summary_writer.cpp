#include "cli/summary_writer.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/log.h"

namespace borealis {

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
  write_run_summary(run_dir_, summary);  // where this fails as well, it tells it
  if (fault_of_first.empty()) return;
  log_warning(fmt::format("the run's folder had no summary until now: {}", fault_of_first));
}

}  // namespace borealis
