#include <fmt/format.h>

#include <map>
#include <set>

#include "report/audit_parts.h"
#include "report/published_fields.h"

namespace borealis {
namespace {

// A variable of the contract, and the tag that raw data has for it.
struct Tag {
  const char* variable;
  const char* mark;
  int64_t (*of)(const PublishedRun&);
};
constexpr Tag kTags[] = {
    {"MICRO_BATCH", "MB", [](const PublishedRun& run) { return run.micro_batch; }},
    {"GRAD_ACC_STEPS", "GAS", [](const PublishedRun& run) { return run.accumulation; }}};

class ConfigurationAudit {
 public:
  ConfigurationAudit(const AuditInput& input, std::vector<AuditFinding>& findings)
      : input_(input), findings_(findings) {}

  void run() {
    for (const PublishedList& list : input_.report.lists) {
      for (const PublishedRun& run : list.runs) {
        check_line(run);
        check_lists(run);
        check_row(run);
        check_common(run);
        check_batch(run);
      }
    }
    for (size_t row = 0; row < input_.report.rows.size(); ++row) {
      if (!input_.match.contradicts_architectures(row)) continue;
      const PublishedRow& one = input_.report.rows[row];
      find(fmt::format("{}: no architecture of the report is of that configuration", one.name()),
           one.tokens_per_gpu.line);
    }
    check_common_batch();
    for (auto& [text, lines] : found_) {
      findings_.push_back({"configuration", std::move(text), {lines.begin(), lines.end()}});
    }
  }

 private:
  // The tags of a line against what names its run.
  void check_line(const PublishedRun& run) {
    if (run.tagged_batch > 0 && run.tagged_batch != run.global_batch) {
      find(fmt::format("{}: GB:{} in its tags", run.name(), run.tagged_batch), run.value.line);
    }
    if (run.tagged_hosts > 0 && run.hosts > 0 && run.tagged_hosts != run.hosts) {
      find(fmt::format("{}: NHOST:{} in its tags, {} in its id", run.name(), run.tagged_hosts,
                       run.hosts),
           run.value.line);
    }
  }

  // Hosts and machine of one list against those of the first that says them.
  void check_lists(const PublishedRun& run) {
    const PublishedRunKey key = run_key(run);
    if (run.hosts > 0) {
      const PublishedRun* first = hosts_.emplace(key, &run).first->second;
      if (first->hosts != run.hosts) {
        find(fmt::format("{}: {} in one list, {} in another", run.name(), hosts_text(first->hosts),
                         run.hosts),
             run.value.line);
      }
      const auto ranks = input_.match.ranks_of(run, /*of_tags=*/true);
      if (first == &run && ranks && static_cast<double>(run.hosts) > *ranks) {
        find(fmt::format("{} cannot have {:.6g} ranks", hosts_text(run.hosts), *ranks),
             run.value.line);
      }
    }
    if (run.machine.empty()) return;
    const PublishedRun* first = machines_.emplace(key, &run).first->second;
    if (first->machine == run.machine) return;
    find(fmt::format("{}: machine {} in one list, {} in another", run.name(), first->machine,
                     run.machine),
         run.value.line);
  }

  // What the table says of a row against its run.
  void check_row(const PublishedRun& run) {
    const auto row = input_.match.row_of(run);
    if (!row) return;
    const PublishedRow& of = input_.report.rows[*row];
    const std::string machine = published_machine(of.configuration.machine);
    if (!machine.empty() && !run.machine.empty() && machine != run.machine) {
      find(fmt::format("{}: the raw data is of machine {}", of.name(), run.machine),
           run.value.line);
    }
    for (const Tag& tag : kTags) {
      const auto wanted = of.configuration.number(tag.variable);
      if (!wanted || tag.of(run) == 0 || tag.of(run) == *wanted) continue;
      find(fmt::format("{}: {}:{} in the raw data", of.name(), tag.mark, tag.of(run)),
           run.value.line);
    }
  }

  // What all runs are said to have in common against each.
  void check_common(const PublishedRun& run) {
    const auto check = [&](const char* variable, int64_t value) {
      const auto common = input_.report.common.find(variable);
      if (common == input_.report.common.end() || value == 0 || common->second.value == value) {
        return;
      }
      const std::string text = fmt::format("{} is {} for all runs, {} in the raw data", variable,
                                           common->second.value, value);
      find(text, common->second.line);
      find(text, run.value.line);
    };
    for (const Tag& tag : kTags) check(tag.variable, tag.of(run));
    check("GLOBAL_BATCH", run.global_batch);
  }

  void check_batch(const PublishedRun& run) {
    if (run.micro_batch < 1 || run.accumulation < 1) return;
    const auto ranks = input_.match.ranks_of(run, /*of_tags=*/false);
    const double unit = static_cast<double>(run.micro_batch) *
                        static_cast<double>(run.accumulation) / input_.match.model_parallel(&run);
    const double batch = unit * ranks.value_or(1);
    const auto global = static_cast<double>(run.global_batch);
    if (ranks && batch != global) {
      find(fmt::format("MB:{} x GAS:{} x {:.6g} ranks make a batch of {:.6g}, not {}",
                       run.micro_batch, run.accumulation, *ranks, batch, run.global_batch),
           run.value.line);
    } else if (!ranks && run.global_batch % run.micro_batch != 0) {
      find(fmt::format("a batch of {} is not a multiple of MB:{}", run.global_batch,
                       run.micro_batch),
           run.value.line);
    }
  }

  // Where no raw data has said it yet.
  void check_common_batch() {
    const auto value = [&](const char* name) {
      const auto found = input_.report.common.find(name);
      return found == input_.report.common.end() ? 0.0 : static_cast<double>(found->second.value);
    };
    const double batch = value("MICRO_BATCH") * value("GRAD_ACC_STEPS") * value("WORLD_SIZE") /
                         input_.match.model_parallel();
    if (!found_.empty() || batch == 0 || value("GLOBAL_BATCH") == 0 ||
        batch == value("GLOBAL_BATCH")) {
      return;
    }
    find(fmt::format("MICRO_BATCH x GRAD_ACC_STEPS x WORLD_SIZE make a batch of {:.6g}, not {:.6g}",
                     batch, value("GLOBAL_BATCH")),
         input_.report.common.at("GLOBAL_BATCH").line);
  }

  static std::string hosts_text(int64_t hosts) {
    return fmt::format("{} host{}", hosts, hosts == 1 ? "" : "s");
  }

  // One finding for all lines that it can be said of.
  void find(const std::string& text, int64_t line) {
    const auto same = places_.find(text);
    if (same == places_.end()) {
      places_.emplace(text, found_.size());
      found_.push_back({text, {line}});
      return;
    }
    found_[same->second].lines.insert(line);
  }

  struct Found {
    std::string text;
    std::set<int64_t> lines;
  };

  const AuditInput& input_;
  std::vector<AuditFinding>& findings_;
  std::map<PublishedRunKey, const PublishedRun*> hosts_, machines_;
  std::vector<Found> found_;
  std::map<std::string, size_t> places_;
};

}  // namespace

void audit_configuration(const AuditInput& input, std::vector<AuditFinding>& findings) {
  ConfigurationAudit(input, findings).run();
}

}  // namespace borealis
