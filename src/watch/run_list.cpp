#include "watch/run_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr int kDeepest = 5;  // logs/<prefix>/<stamp>, <sweep>/points/<point>/<repeat>
constexpr const char* kRemedy = "name the folder of a run, logs/<prefix>/<stamp> or its --run-dir";

// The last component, also of "runs/a/" and of ".".
std::string last_name(const fs::path& folder) {
  std::error_code unknown;
  fs::path path = folder.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.filename() == "." || path.filename() == "..") path = fs::canonical(path, unknown);
  return unknown ? folder.string() : path.filename().string();
}

// When the run was started: config.json is written then and stays.
int64_t start_of(const fs::path& folder) {
  for (const char* name : {"config.json", kSummaryFileName}) {
    try {
      return file_stamp(folder / name).modified_ns;
    } catch (const Error&) {
      continue;
    }
  }
  return 0;
}

std::vector<FoundRun> runs_beneath(const fs::path& folder) {
  std::vector<FoundRun> found;
  std::error_code fault;
  fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, fault);
  for (; !fault && at != fs::recursive_directory_iterator(); at.increment(fault)) {
    std::error_code unknown;
    if (!at->is_directory(unknown)) continue;
    const bool is_run = is_run_folder(at->path());
    if (is_run) {
      const fs::path& run = at->path();
      found.push_back({run, run.lexically_relative(folder).string(), start_of(run)});
    }
    if (is_run || at.depth() + 1 >= kDeepest) at.disable_recursion_pending();
  }
  std::ranges::sort(found, [](const FoundRun& a, const FoundRun& b) {
    return a.start_ns != b.start_ns ? a.start_ns > b.start_ns : a.name < b.name;
  });
  return found;
}

std::vector<FoundRun> runs_of(const fs::path& folder) {
  if (is_run_folder(folder)) return {{folder, last_name(folder), start_of(folder)}};
  return runs_beneath(folder);
}

}  // namespace

std::vector<FoundRun> find_runs(const fs::path& folder) {
  std::error_code unknown;
  if (folder.empty()) throw Error(ErrorKind::kUsage, "an empty name is no folder", kRemedy);
  if (!fs::exists(folder, unknown)) {
    throw Error(ErrorKind::kFile, fmt::format("{} does not exist", folder.string()), kRemedy);
  }
  if (!fs::is_directory(folder, unknown)) {
    throw Error(ErrorKind::kFile, fmt::format("{} is no folder", folder.string()), kRemedy);
  }
  const fs::directory_iterator readable(folder, unknown);
  if (unknown) throw file_error("open the folder", folder, unknown.value());
  std::vector<FoundRun> found = runs_of(folder);
  if (found.empty()) {
    throw Error(ErrorKind::kFile,
                fmt::format("there is no run in {}, or it has not begun", folder.string()),
                kRemedy);
  }
  return found;
}

RunList::RunList(std::vector<fs::path> folders) : folders_(std::move(folders)) {
  add_all(find_runs);
}

void RunList::look_for_new_runs() { add_all(runs_of); }

void RunList::add_all(const std::function<std::vector<FoundRun>(const fs::path&)>& find) {
  std::set<fs::path> all;
  for (size_t i = 0; i < folders_.size(); ++i) add(i, find(folders_[i]), all);
  for (const Entry& entry : entries_) all.erase(entry.real_folder);
  left_out_ = std::ssize(all);
}

void RunList::add(size_t source, const std::vector<FoundRun>& found, std::set<fs::path>& all) {
  for (const FoundRun& one : found) {
    std::error_code unknown;
    fs::path real = fs::canonical(one.folder, unknown);
    if (unknown) continue;  // removed since
    all.insert(real);
    if (std::ranges::find(entries_, real, &Entry::real_folder) != entries_.end()) continue;
    if (entries_.size() >= kMostRuns && !make_room_for(one)) continue;
    const bool taken = std::ranges::any_of(
        entries_, [&](const Entry& entry) { return entry.run->run().name == one.name; });
    auto run = std::make_unique<FollowedRun>(one.folder, taken ? one.folder.string() : one.name);
    entries_.push_back({source, one.start_ns, std::move(real), std::move(run)});
  }
  std::ranges::stable_sort(entries_, [](const Entry& a, const Entry& b) {
    return a.source != b.source ? a.source < b.source : a.start_ns > b.start_ns;
  });
}

// The oldest of those that nobody named goes, if it is older.
bool RunList::make_room_for(const FoundRun& one) {
  const bool named = is_named(one.folder);
  auto oldest = entries_.end();
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    if (is_named(at->run->folder())) continue;
    if (oldest == entries_.end() || at->start_ns < oldest->start_ns) oldest = at;
  }
  if (oldest == entries_.end() || (!named && oldest->start_ns >= one.start_ns)) return false;
  entries_.erase(oldest);
  return true;
}

bool RunList::is_named(const fs::path& folder) const {
  return std::ranges::find(folders_, folder) != folders_.end();
}

bool RunList::update(double now_s) {
  // Of all runs together as much as of one: keys wait for it.
  constexpr size_t kLeastBytes = size_t{64} << 10;
  const size_t bytes =
      std::max(kLeastBytes, FollowedRun::kMetricsBytes / std::max<size_t>(1, entries_.size()));
  bool more = false;
  for (const Entry& entry : entries_) more = entry.run->update(now_s, bytes) || more;
  return more;
}

std::vector<const WatchedRun*> RunList::runs() const {
  std::vector<const WatchedRun*> runs;
  for (const Entry& entry : entries_) runs.push_back(&entry.run->run());
  return runs;
}

}  // namespace borealis
