// What `borealis doctor` prints.
#pragma once

#include <string>
#include <vector>

#include "doctor/diagnosis.h"
#include "doctor/link_probe.h"
#include "doctor/rank_probe.h"

namespace borealis {

struct DoctorReport {
  std::vector<RankProbe> ranks;
  double start_s = 0;    // of the slowest rank, from its program's start to the first barrier
  double barrier_s = 0;  // median
  std::vector<AllReduceRate> sums;  // none with one rank
  bool sums_between_gpus = false;
  Diagnosis diagnosis;
};

std::string doctor_text(const DoctorReport& report);
std::string doctor_json(const DoctorReport& report);

}  // namespace borealis
