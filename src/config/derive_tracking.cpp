#include <fmt/format.h>

#include <algorithm>

#include "config/derive.h"

namespace borealis {
namespace {

constexpr size_t kLongestProject = 128;
// Our limit: it stands twice in the path of a file.
constexpr size_t kLongestRunId = 64;

bool holds_any_of(std::string_view text, std::string_view characters) {
  const bool control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  return control || text.find_first_of(characters) != std::string_view::npos;
}

void validate_names(const Settings& settings, std::string_view project_key,
                    const TrackingConfig& tracking, Problems& problems) {
  if (tracking.wandb_project.size() > kLongestProject ||
      holds_any_of(tracking.wandb_project, R"(/\#?%:)")) {
    problems.settings.push_back(
        fmt::format(R"({} is no name of a project: none of / \ # ? % : and at most {} bytes)",
                    settings.spelled(project_key), kLongestProject));
  }
  const std::string& id = tracking.wandb_run_id;
  if (id.size() > kLongestRunId || holds_any_of(id, R"(:;,#?/'\)")) {
    problems.settings.push_back(
        fmt::format(R"({} is no id of a run: none of : ; , # ? / ' \ and at most {} bytes)",
                    settings.spelled("WANDB_RUN_ID"), kLongestRunId));
  }
}

}  // namespace

void derive_tracking(const Settings& settings, RunConfig& run, Problems& problems) {
  constexpr std::string_view kMode = "WANDB_MODE";
  TrackingConfig& tracking = run.tracking;
  const std::string_view project = settings.given("WB_PROJECT") ? "WB_PROJECT" : "WANDB_PROJECT";
  const std::string mode = settings.text(kMode);
  tracking.wandb = mode.empty() ? settings.given(project) : mode != "disabled";
  if (!tracking.wandb) return;
  tracking.wandb_online = mode == "online";
  tracking.wandb_project = settings.given(project) ? settings.text(project) : "AuroraGPT";
  validate_names(settings, project, tracking, problems);
}

}  // namespace borealis
