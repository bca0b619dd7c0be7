#include "config/log_format.h"

#include "config/settings.h"

namespace borealis {

bool wants_short_log(const Environment& environment, const std::vector<std::string>& arguments,
                     bool on_terminal) {
  Problems problems;
  const Settings settings = read_settings(environment, arguments, "train", problems);
  if (problems.any()) problems.raise();
  const std::string format = settings.text("LOG_FORMAT");
  if (format != "auto") return format == "short";
  return on_terminal && !settings.given("TIMING_LOG_LEVEL");
}

}  // namespace borealis
