// The runs that folders stand for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "watch/followed_run.h"

namespace borealis {

struct FoundRun {
  std::filesystem::path folder;
  std::string name;      // its last component, or its path in a folder of several
  int64_t start_ns = 0;  // since 1970
};

// A folder of a run, or all runs in a folder of several (of a sweep, logs, logs/<prefix>), those
// that were started last first. Throws Error(kFile) if the folder does not exist, or has no run.
std::vector<FoundRun> find_runs(const std::filesystem::path& folder);

class RunList {
 public:
  static constexpr size_t kMostRuns = 200;

  // Throws as find_runs.
  explicit RunList(std::vector<std::filesystem::path> folders);

  // Looks for runs that have begun in folders of several; those that are known stay, also where
  // their folders are gone.
  void look_for_new_runs();
  // Reads what is new of each; true: there is more, and the next call goes on.
  bool update(double now_s);

  // In the order of the folders. They live as long as this.
  std::vector<const WatchedRun*> runs() const;
  int64_t left_out() const { return left_out_; }  // runs beyond kMostRuns, older than those

 private:
  struct Entry {
    size_t source;  // of folders_
    int64_t start_ns;
    std::filesystem::path real_folder;
    std::unique_ptr<FollowedRun> run;
  };
  // `find`: the runs of one of folders_.
  void add_all(const std::function<std::vector<FoundRun>(const std::filesystem::path&)>& find);
  // `all`: gets the real folders of what was found.
  void add(size_t source, const std::vector<FoundRun>& found, std::set<std::filesystem::path>& all);
  bool make_room_for(const FoundRun& one);
  bool is_named(const std::filesystem::path& folder) const;

  std::vector<std::filesystem::path> folders_;
  std::vector<Entry> entries_;
  int64_t left_out_ = 0;
};

}  // namespace borealis
