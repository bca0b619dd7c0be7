#include "cli/text_input_options.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "base/file_pattern.h"
#include "base/log.h"
#include "base/process.h"

namespace borealis {

void TextInputOptions::add_to(CLI::App& app) {
  app.add_option(
         "--input", files,
         "text or JSON Lines files, also .gz and .zst; a quoted pattern ('text/*.jsonl.zst') "
         "stands for the files that match it, sorted")
      ->required()
      ->type_name("FILE");
  add_format_to(app);
  add_run_to(app);
}

void TextInputOptions::add_format_to(CLI::App& app) {
  app.add_option("--format", format,
                 "text: a file is a document; jsonl: a line is one; auto: .jsonl, .ndjson and "
                 ".json (and those with .gz or .zst behind) are JSON Lines")
      ->check(CLI::IsMember({"auto", "text", "jsonl"}))
      ->capture_default_str();
  app.add_option("--json-key", json_key, "key of the text in a JSON line")->capture_default_str();
}

void TextInputOptions::add_run_to(CLI::App& app) {
  app.add_option("--threads", threads, "threads; 0: every core that this process may use")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_flag("--json", json, "print one JSON document about what was done");
}

DocumentFiles TextInputOptions::open() const {
  const TextFormat wanted = format == "text"    ? TextFormat::kText
                            : format == "jsonl" ? TextFormat::kJsonLines
                                                : TextFormat::kAuto;
  std::vector<std::filesystem::path> paths;
  for (const std::string& pattern : files) {
    for (std::filesystem::path& path : matching_files(pattern)) paths.push_back(std::move(path));
  }
  std::set<std::filesystem::path> seen;
  for (const std::filesystem::path& path : paths) {
    if (!seen.insert(path).second) {
      log_warning(fmt::format("{} is named twice and counts twice", path.string()));
    }
  }
  return DocumentFiles(paths, wanted, json_key);
}

int TextInputOptions::thread_count() const { return threads > 0 ? threads : usable_cores(); }

}  // namespace borealis
