#include "cli/text_input_options.h"

#include "base/process.h"

namespace borealis {

void TextInputOptions::add_to(CLI::App& app) {
  app.add_option("--input", files, "text or JSON Lines files")->required()->type_name("FILE");
  add_format_to(app);
  add_run_to(app);
}

void TextInputOptions::add_format_to(CLI::App& app) {
  app.add_option("--format", format,
                 "text: a file is a document; jsonl: a line is one; auto: .jsonl, .ndjson and "
                 ".json are JSON Lines")
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
  return DocumentFiles({files.begin(), files.end()}, wanted, json_key);
}

int TextInputOptions::thread_count() const { return threads > 0 ? threads : usable_cores(); }

}  // namespace borealis
