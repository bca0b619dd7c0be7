// Puts a run's summary.json in its folder.
#pragma once

#include <string>

#include "base/side_task.h"
#include "telemetry/run_summary.h"

namespace borealis {

class SummaryWriter {
 public:
  explicit SummaryWriter(std::string run_dir);
  // The first, which the folder has from before the first step on. Written beside what the run does
  // meanwhile: its start need not wait for the disk.
  void begin(const RunSummary& summary);
  // One that replaces those before. Throws Error(kFile); a first one that failed is a warning.
  void write(const RunSummary& summary);

 private:
  std::string run_dir_;
  SideTask first_;
  bool told_ = false;  // that the first one failed
};

}  // namespace borealis
