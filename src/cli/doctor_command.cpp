#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/median.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/stopwatch.h"
#include "cli/command.h"
#include "cli/open_backend.h"
#include "cli/program_version.h"
#include "cli/run_ranks.h"
#include "cli/run_setup.h"
#include "comm/collectives.h"
#include "config/settings.h"
#include "doctor/doctor_report.h"
#include "parallel/join_group.h"

namespace borealis {
namespace {

constexpr int64_t kMostSummedBytes = int64_t{256} << 20;
constexpr int kBarriers = 50;

constexpr const char* kDoctorHelp =
    "Look at the ranks of a run before it is begun: versions, cores, memory, rates, the speed of "
    "sums,\n"
    "and what differs between ranks or is slow. Alone it looks at this process.\n\n"
    "usage: borealis launch doctor [options of train]\n"
    "       mpirun -n N borealis doctor [options of train]\n\n"
    "The exit code is that of lost ranks (7) where ranks differ in what they must have alike.\n"
    "  --json                print one JSON document\n"
    "  --help                this text\n";

double barrier_seconds(Communicator& ranks) {
  std::vector<double> times;
  for (int i = 0; i < kBarriers; ++i) {
    const Stopwatch watch;
    ranks.barrier("measuring barriers");
    times.push_back(watch.elapsed_s());
  }
  return median(times);
}

// The largest sum that every host, or GPU, has room for, of twice its size on each of its ranks.
int64_t affordable_bytes(const std::vector<RankProbe>& probes, bool on_gpus,
                         int64_t ranks_of_host) {
  int64_t bytes = kMostSummedBytes;
  for (const RankProbe& probe : probes) {
    const int64_t room = on_gpus ? probe.gpu_free_bytes : probe.available_bytes / ranks_of_host;
    bytes = std::min(bytes, room / 4);
  }
  return bytes;
}

// By the way that training takes, as far as it is one: what ranks that share a GPU add up passes
// through their hosts, whose speed it is.
void measure_sums(RunRanks& ranks, const RunConfig& config, Backend& backend,
                  DoctorReport& report) {
  Communicator& all = ranks.all();
  report.barrier_s = barrier_seconds(all);
  const std::vector<int64_t> on_hosts = all_values(all, ranks.on_this_host(), "counting ranks");
  // Ranks of which some have no GPU, or no way between them, would wait for each other for ever.
  report.sums_between_gpus =
      report.diagnosis.faults.empty() && backend.gpu() != nullptr && backend.gpu()->has_group;
  const int64_t most =
      affordable_bytes(report.ranks, report.sums_between_gpus, *std::ranges::max_element(on_hosts));
  if (!report.sums_between_gpus) {
    report.sums = measure_all_reduce(all, most);
    return;
  }
  report.sums = measure_all_reduce(
      all, backend.device(), join_group(backend, all, 60 * config.parallel.timeout_minutes), most);
}

// Without one, no data at hand is no fault.
bool names_a_data_list(const std::vector<std::string>& arguments) {
  return set_value(process_environment(), "DATA_FILE_LIST").has_value() ||
         std::ranges::any_of(arguments, [](const std::string& argument) {
           return argument.starts_with("--data-file-list");
         });
}

int examine(RunRanks& ranks, const std::vector<std::string>& arguments) {
  Communicator& all = ranks.all();
  if (std::ranges::find(arguments, "--help") != arguments.end() ||
      std::ranges::find(arguments, "-h") != arguments.end()) {
    if (ranks.is_first()) fmt::print("{}", kDoctorHelp);
    return 0;
  }
  DoctorReport report;
  const std::vector<double> starts = all_values(all, process_age_s(), "starting");
  report.start_s = *std::ranges::max_element(starts);
  LoadOptions options = ranks.load_options();
  options.command = "doctor";
  options.needs_data = names_a_data_list(arguments);
  RunConfig config;
  together(all, "reading the configuration",
           [&] { config = load_run_config(process_environment(), arguments, options); });
  ranks.set_time_limit(60 * config.parallel.timeout_minutes);
  log_open(LogStream::kStderr, ranks.is_first() ? config.log_level : "ERROR");
  ranks.share_machine(config.machine);
  const int threads = prepare_machine(config.machine);
  OpenedBackend opened;
  together(all, "looking for a GPU",
           [&] { opened = open_backend(config.machine, config.parallel); });
  Backend& backend = opened.get();
  report.ranks = probe_ranks(all, ranks.of_host(), config,
                             {.program = program_version(),
                              .library = ranks.library_version(),
                              .threads = threads,
                              .core_sharers = ranks.host_cores().sharers},
                             backend);
  report.diagnosis = diagnose(report.ranks);
  if (!opened.warning.empty()) report.diagnosis.remarks.push_back(opened.warning);
  try {
    ranks.require_same(config);
  } catch (const AgreedError& error) {
    report.diagnosis.faults.emplace_back(error.text());
  }
  if (all.size() > 1) measure_sums(ranks, config, backend, report);
  if (ranks.is_first()) {
    fmt::print("{}", config.output.json ? doctor_json(report) : doctor_text(report));
  }
  return report.diagnosis.faults.empty() ? 0 : error_exit_code(ErrorKind::kRanks);
}

}  // namespace

int run_doctor_command(const std::vector<std::string>& arguments) {
  return on_all_ranks("doctor", [&](RunRanks& ranks) { return examine(ranks, arguments); });
}

}  // namespace borealis
