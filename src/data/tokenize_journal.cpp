#include "data/tokenize_journal.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "data/json_numbers.h"

namespace borealis {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kStartOver =
    "repeat the earlier command to go on, or give --start-over to throw away what it has done";

Json position_json(const TextPosition& position) { return {position.file, position.offset}; }

TextPosition parse_position(const Json& json) {
  return {whole_number(json.at(0)), whole_number(json.at(1))};
}

Json shard_json(const ShardSummary& shard) {
  return {{"documents", shard.documents},
          {"tokens", shard.tokens},
          {"first", position_json(shard.first)},
          {"end", position_json(shard.end)}};
}

ShardSummary parse_shard(const Json& json) {
  return {whole_number(json.at("documents")), whole_number(json.at("tokens")),
          parse_position(json.at("first")), parse_position(json.at("end"))};
}

BadRecordCounts parse_counts(const Json& json) {
  return {whole_number(json.at(0)), whole_number(json.at(1)), whole_number(json.at(2))};
}

Json progress_json(const TokenizeProgress& progress) {
  Json json = {{"position", position_json(progress.position)},
               {"empty_documents", progress.empty_documents},
               {"bad_records",
                {progress.bad_records.skipped, progress.bad_records.repaired,
                 progress.bad_records.invalid_utf8}},
               {"text_bytes", progress.text_bytes},
               {"open", shard_json(progress.open)},
               {"closing", progress.closing},
               {"shards", Json::array()}};
  for (const ShardSummary& shard : progress.shards) json["shards"].push_back(shard_json(shard));
  return json;
}

TokenizeProgress parse_progress(const Json& json) {
  TokenizeProgress progress{.position = parse_position(json.at("position")),
                            .empty_documents = whole_number(json.at("empty_documents")),
                            .bad_records = parse_counts(json.at("bad_records")),
                            .text_bytes = whole_number(json.at("text_bytes")),
                            .shards = {},
                            .open = parse_shard(json.at("open")),
                            .closing = json.at("closing").get<bool>()};
  for (const Json& shard : json.at("shards")) progress.shards.push_back(parse_shard(shard));
  return progress;
}

[[noreturn]] void refuse_damaged(const fs::path& path, const std::exception& error) {
  throw Error(ErrorKind::kData, fmt::format("{} is damaged: {}", path.string(), error.what()),
              "give --start-over to throw away what the earlier run has done");
}

Json read_json(const fs::path& path) {
  try {
    return Json::parse(read_text_file(path));
  } catch (const Json::exception& error) {
    refuse_damaged(path, error);
  }
}

// The input files one by one: the user should not have to look for the one that changed.
std::string source_difference(const Json& before, const Json& now) {
  const size_t count = std::min(before.size(), now.size());
  for (size_t i = 0; i < count; ++i) {
    if (before[i] == now[i]) continue;
    const auto path = before[i].at("path").get<std::string>();
    if (path != now[i].at("path").get<std::string>()) {
      return fmt::format("input file {} was {}, now it is {}", i + 1, path,
                         now[i].at("path").get<std::string>());
    }
    return fmt::format("the input file {} has changed", path);
  }
  return fmt::format("there were {} input files, now there are {}", before.size(), now.size());
}

std::string difference(const Json& before, const Json& now) {
  for (const auto& [key, value] : now.items()) {
    const Json old = before.value(key, Json());
    if (old == value) continue;
    if (key == "sources" && old.is_array()) return source_difference(old, value);
    return fmt::format("{} was {}, now it is {}", key, old.dump(), value.dump());
  }
  return "";
}

}  // namespace

fs::path tokenize_journal_folder(const fs::path& output_prefix) {
  return output_prefix.string() + ".tokenizing";
}

TokenizeJournal::TokenizeJournal(const fs::path& output_prefix, const Json& asked, bool start_over)
    : folder_(tokenize_journal_folder(output_prefix)) {
  borealis::create_directories(folder_);
  lock_ = FolderLock::try_hold(folder_);
  if (!lock_) {
    throw Error(ErrorKind::kFile,
                fmt::format("another process is making {} at this moment", output_prefix.string()),
                "wait for it, or choose another --output-prefix");
  }
  const std::string text = asked.dump(2, ' ', false, Json::error_handler_t::replace);
  std::error_code ignored;
  if (start_over) fs::remove(folder_ / "progress.json", ignored);
  if (fs::exists(folder_ / "progress.json")) {
    worth_keeping_ = true;
    read_earlier(Json::parse(text));
    return;
  }
  write_file_atomically(folder_ / "request.json", text + "\n");
}

TokenizeJournal::~TokenizeJournal() {
  if (!worth_keeping_) remove();
}

void TokenizeJournal::read_earlier(const Json& request) {
  const std::string changed = difference(read_json(folder_ / "request.json"), request);
  if (!changed.empty()) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("{} holds an unfinished run of another request: {}", folder_.string(), changed),
        kStartOver);
  }
  const fs::path path = folder_ / "progress.json";
  try {
    earlier_ = parse_progress(read_json(path));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    refuse_damaged(path, error);
  }
  resumed_ = true;
}

void TokenizeJournal::save(const TokenizeProgress& progress) {
  write_file_atomically(folder_ / "progress.json", progress_json(progress).dump() + "\n");
  worth_keeping_ = true;
}

void TokenizeJournal::remove() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
  worth_keeping_ = true;  // nothing is left to be removed
}

}  // namespace borealis
