#include "cli/text_input_options.h"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file_pattern.h"
#include "base/log.h"
#include "base/process.h"
#include "base/units.h"
#include "cli/parse_arguments.h"

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
                 "text: plain text; jsonl: JSON Lines, a line is a document; auto: .jsonl, .ndjson "
                 "and .json (and those with .gz or .zst behind) are JSON Lines")
      ->check(CLI::IsMember({"auto", "text", "jsonl"}))
      ->capture_default_str();
  app.add_option("--document-per", document_per,
                 "what is a document of plain text: a file, every line that is not blank, or "
                 "every paragraph (lines up to a blank one)")
      ->check(CLI::IsMember({"file", "line", "paragraph"}))
      ->capture_default_str();
  app.add_option("--on-bad-record", on_bad_record,
                 "what a JSON line without a text, or text that is not UTF-8, does: fail ends the "
                 "run, skip leaves the record out, repair mends invalid UTF-8, lone surrogates, "
                 "NaN and Infinity and leaves out what cannot be mended")
      ->check(CLI::IsMember({"fail", "skip", "repair"}))
      ->capture_default_str();
  app.add_option("--json-key", json_key, "key of the text in a JSON line")->capture_default_str();
  app.add_option("--max-document-bytes", max_document_bytes,
                 "refuse longer documents; a thread needs up to 16 bytes of memory for each byte "
                 "of its document")
      ->capture_default_str();
}

void TextInputOptions::add_run_to(CLI::App& app) {
  app.add_option("--threads", threads, "threads; 0: every core that this process may use")
      ->check(whole_number(0, 1024))
      ->capture_default_str();
  app.add_flag("--json", json, "print one JSON document about what was done");
}

DocumentFiles TextInputOptions::open() const {
  DocumentRules rules{.json_key = json_key};
  rules.format = format == "text"    ? TextFormat::kText
                 : format == "jsonl" ? TextFormat::kJsonLines
                                     : TextFormat::kAuto;
  rules.unit = document_per == "line"        ? DocumentUnit::kLine
               : document_per == "paragraph" ? DocumentUnit::kParagraph
                                             : DocumentUnit::kFile;
  rules.on_bad_record = on_bad_record == "skip"     ? BadRecordPolicy::kSkip
                        : on_bad_record == "repair" ? BadRecordPolicy::kRepair
                                                    : BadRecordPolicy::kFail;
  rules.bad_record_remedy =
      ", or go on without such records with --on-bad-record skip, or with mended ones with "
      "--on-bad-record repair";
  const std::optional<int64_t> most = parse_bytes(max_document_bytes);
  if (!most || *most <= 0) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--max-document-bytes {} is no amount of text", max_document_bytes),
                "write it as 1GiB or 512M");
  }
  rules.max_document_bytes = *most;
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
  return DocumentFiles(paths, rules);
}

void TextInputOptions::report(const BadRecordCounts& bad) {
  if (bad.all() > 0) log_warning(bad_records_text(bad));
}

int TextInputOptions::thread_count() const { return threads > 0 ? threads : usable_cores(); }

}  // namespace borealis
