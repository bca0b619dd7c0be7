#include <fmt/chrono.h>
#include <fmt/format.h>
#include <langinfo.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/stopwatch.h"
#include "base/terminal.h"
#include "cli/command.h"
#include "cli/parse_arguments.h"
#include "config/run_config_loader.h"
#include "train/signals.h"
#include "watch/run_json.h"
#include "watch/run_list.h"
#include "watch/screen.h"
#include "watch/view.h"

namespace borealis {
namespace {

constexpr int kSnapshotRows = 32;     // of one run
constexpr int kTickMs = 250;          // how soon a signal is answered
constexpr double kSearchEveryS = 10;  // for runs that have begun

struct WatchArguments {
  std::vector<std::string> folders;
  bool once = false;
  bool json = false;
  double interval_s = 2;
};

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string time_of_day() { return fmt::format("{:%H:%M:%S}", fmt::localtime(std::time(nullptr))); }

// How text is written, alone: numbers in files and messages stay as they are.
bool writes_unicode() {
  std::setlocale(LC_CTYPE, "");
  return std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
}

bool has_screen() { return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1; }

void print_snapshot(RunList& list, bool json, bool unicode) {
  while (list.update(seconds_since_1970())) {
  }
  if (json) {
    if (list.left_out() > 0) {
      log_warning(fmt::format("{} runs are told of, {} older ones are left out", RunList::kMostRuns,
                              list.left_out()));
    }
    for (const WatchedRun* run : list.runs()) fmt::print("{}\n", watched_run_json(*run));
    return;
  }
  const int columns = terminal_columns(STDOUT_FILENO).value_or(kColumnsOfNoTerminal);
  const ViewOptions options{
      .width = columns, .height = kSnapshotRows, .unicode = unicode, .left_out = list.left_out()};
  for (const StyledLine& line : render_snapshot(list.runs(), options)) {
    const std::string text = plain_text(line);
    fmt::print("{}\n", std::string_view(text).substr(0, text.find_last_not_of(' ') + 1));
  }
}

// The chosen run stays so, wherever it stands then.
void look_for_new_runs(RunList& list, ViewChoice& choice) {
  const std::vector<const WatchedRun*> before = list.runs();
  list.look_for_new_runs();
  const std::vector<const WatchedRun*> runs = list.runs();
  const auto chosen = std::ranges::find(runs, before[std::min(choice.selected, before.size() - 1)]);
  choice.selected = static_cast<size_t>(chosen - runs.begin());
}

// Until q or a signal, whose exit code it returns.
int watch_live(RunList& list, double interval_s, bool unicode) {
  const Environment environment = process_environment();
  const SignalWatch signals;
  // Ctrl-\ would leave the terminal as the screen has it.
  std::signal(SIGQUIT, [](int) { std::raise(SIGTERM); });
  Screen screen(environment("TERM").value_or(""), environment("NO_COLOR").value_or("").empty());
  ViewChoice choice;
  Stopwatch since_search;
  while (true) {
    if (since_search.elapsed_s() >= kSearchEveryS) {
      look_for_new_runs(list, choice);
      since_search = {};
    }
    const bool more = list.update(seconds_since_1970());
    const Stopwatch since_update;
    bool is_drawn = false;
    do {
      const std::vector<const WatchedRun*> runs = list.runs();
      const ViewOptions options{.width = screen.width(),
                                .height = screen.height(),
                                .unicode = unicode,
                                .time = time_of_day(),
                                .left_out = list.left_out()};
      if (!is_drawn) screen.draw(render_view(runs, choice, options));
      const double left_ms = more ? 0 : interval_s * 1e3 - since_update.elapsed_ms();
      const auto key = screen.wait_for_key(std::clamp(static_cast<int>(left_ms), 0, kTickMs));
      if (signals.received() != nullptr) return signal_exit_code(signals.received());
      if (screen.is_gone()) return 0;
      if (key) choice.take(*key, runs.size());
      if (choice.quit) return 0;
      is_drawn = !key && screen.width() == options.width && screen.height() == options.height;
    } while (!more && since_update.elapsed_ms() < interval_s * 1e3);
  }
}

}  // namespace

int run_watch_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Show how one or several runs are going, on a screen that is kept up to date. The runs are "
      "read from their folders and do not notice. Keys: q quits, arrows choose a run, enter shows "
      "it whole, ? helps.",
      "borealis watch");
  WatchArguments given;
  app.add_option("DIR", given.folders,
                 "folder of a run (logs/<prefix>/<stamp>, or its --run-dir), or one with runs in "
                 "it, of a sweep, say: all of them, the newest first")
      ->required();
  app.add_flag("--once", given.once,
               "print how they are now and end; so it is, too, where the standard input or output "
               "is no terminal");
  app.add_flag("--json", given.json, "with --once: one JSON object a run, a line each");
  app.add_option("--interval", given.interval_s, "seconds between two looks at the files")
      ->check(real_number(0.1, 86400))
      ->capture_default_str();
  if (!parse_arguments(app, arguments)) return 0;
  if (given.json && !given.once) {
    throw Error(ErrorKind::kUsage, "--json is for snapshots", "give --once as well");
  }
  log_open(LogStream::kStderr, "INFO");
  const bool unicode = writes_unicode();
  RunList list({given.folders.begin(), given.folders.end()});
  if (!given.once && has_screen()) return watch_live(list, given.interval_s, unicode);
  print_snapshot(list, given.json, unicode);
  return 0;
}

}  // namespace borealis
