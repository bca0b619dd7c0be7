#include <fmt/format.h>

#include "base/log.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/open_backend.h"
#include "cli/plan_machine.h"
#include "cli/run_setup.h"
#include "config/run_config_loader.h"
#include "launch/launch_layout.h"
#include "planner/planner.h"

namespace borealis {

int run_plan_command(const std::vector<std::string>& arguments) {
  if (is_machine_plan(arguments)) return run_machine_plan(arguments);
  const RankLayout ranks = plan_launch(process_environment()).layout;
  LoadOptions options = options_of_ranks(ranks);
  options.command = "plan";
  options.needs_data = false;
  RunConfig config;
  try {
    config = load_run_config(process_environment(), arguments, options);
  } catch (const HelpRequested& help) {
    fmt::print("{}\n{}", help.text, machine_plan_help());
    return 0;
  }
  log_open(LogStream::kStderr, config.log_level);
  share_host(ranks.ranks_per_host, config.machine);
  const int threads = prepare_machine(config.machine);
  const OpenedBackend backend = open_backend(config.machine, config.parallel);
  if (!backend.warning.empty()) log_warning(backend.warning);
  const PlannedData data = planned_data(config);
  const Prediction prediction =
      predict(config, fitting_layout(config, threads, backend.get().gpu()), data.bytes,
              program_bytes_of_rank(ranks.ranks()));
  if (!data.note.empty()) config.notes.push_back(data.note);
  if (config.output.json) {
    fmt::print("{}\n", prediction_json(config, prediction));
    return 0;
  }
  for (const std::string& line : architecture_lines(config)) fmt::print("{}\n", line);
  if (!config.model.note.empty()) fmt::print("note: {}\n", config.model.note);
  if (!data.note.empty()) fmt::print("note: {}\n", data.note);
  fmt::print("\nparameters         {}  ({:.2f} B)\n", format_count(prediction.parameters),
             static_cast<double>(prediction.parameters) * 1e-9);
  fmt::print("FLOPs per token    {}  ({})\n",
             format_count(static_cast<int64_t>(prediction.flops_per_token)), kFlopsFormulaName);
  if (ranks.ranks() > 1) {
    fmt::print("ranks              {}; what follows is of one\n", layout_text(ranks));
  }
  fmt::print("\nmemory\n{}\n", memory_table(prediction, config.dtype));
  if (prediction.gpu) {
    fmt::print("the host needs {} beside the GPU, of {} ({})\n",
               format_bytes(prediction.memory.host_bytes()),
               format_bytes(prediction.host_limit.bytes), prediction.host_limit.source);
  }
  if (prediction.fits && !prediction.fits_on_host) {
    fmt::print("It does not fit: {}; {}\n", host_shortfall(prediction), kHostRemedy);
    return 0;
  }
  if (prediction.fits) {
    const std::string saving = saving_line(config, prediction);
    fmt::print("It fits.{}{}\n", saving.empty() ? "" : "\n", saving);
    return 0;
  }
  fmt::print("It does not fit.");
  const std::vector<std::string> ways = ways_to_fit(config, prediction, threads);
  fmt::print("{}\n", ways.empty() ? "" : " Any one of these makes it fit:");
  for (const std::string& way : ways) fmt::print("  {}\n", way);
  return 0;
}

}  // namespace borealis
