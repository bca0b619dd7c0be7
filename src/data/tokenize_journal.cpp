#include "data/tokenize_journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/json_excerpt.h"
#include "base/json_number.h"
#include "base/log.h"
#include "tokenizer/utf8.h"

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

Json counts_json(const InputCounts& counts) {
  return {
      {"empty_documents", counts.empty_documents},
      {"text_bytes", counts.text_bytes},
      {"bad_records",
       {counts.bad_records.skipped, counts.bad_records.repaired, counts.bad_records.invalid_utf8}}};
}

InputCounts parse_counts(const Json& json) {
  const Json& bad = json.at("bad_records");
  return {whole_number(json.at("empty_documents")),
          whole_number(json.at("text_bytes")),
          {whole_number(bad.at(0)), whole_number(bad.at(1)), whole_number(bad.at(2))}};
}

Json shard_json(const ShardSummary& shard) {
  const PairChecksums& sums = shard.checksums;
  return {
      {"documents", shard.documents},        {"tokens", shard.tokens},
      {"first", position_json(shard.first)}, {"end", position_json(shard.end)},
      {"before", counts_json(shard.before)}, {"checksums", {sums.tokens, sums.index, sums.record}}};
}

ShardSummary parse_shard(const Json& json) {
  const auto sums = json.at("checksums").get<std::array<std::string, 3>>();
  return {whole_number(json.at("documents")), whole_number(json.at("tokens")),
          parse_position(json.at("first")),   parse_position(json.at("end")),
          parse_counts(json.at("before")),    {sums[0], sums[1], sums[2]}};
}

Json progress_json(const TokenizeProgress& progress) {
  Json json = {{"position", position_json(progress.position)},
               {"counts", counts_json(progress.counts)},
               {"open", shard_json(progress.open)},
               {"closing", progress.closing},
               {"shards", Json::array()}};
  for (const ShardSummary& shard : progress.shards) json["shards"].push_back(shard_json(shard));
  return json;
}

TokenizeProgress parse_progress(const Json& json) {
  TokenizeProgress progress{.position = parse_position(json.at("position")),
                            .counts = parse_counts(json.at("counts")),
                            .shards = {},
                            .open = parse_shard(json.at("open")),
                            .closing = json.at("closing").get<bool>()};
  for (const Json& shard : json.at("shards")) progress.shards.push_back(parse_shard(shard));
  return progress;
}

std::string checksum_of(const Json& json) {
  const std::string text = json_text(json);
  Checksum sum;
  sum.add(std::as_bytes(std::span(text)));
  return sum.hex();
}

void write_checked(const fs::path& path, const Json& content) {
  const Json json = {{"content", content}, {"xxh3_128", checksum_of(content)}};
  write_file_atomically(path, json_text(json) + "\n");
}

// nullopt, with a warning, for a file that is not as it was written.
template <typename Parse>
auto read_checked(const fs::path& path, Parse parse)
    -> std::optional<decltype(parse(std::declval<const Json&>()))> {
  std::string problem = "its checksum does not fit";
  try {
    const Json json = Json::parse(read_json_text(path));
    const Json& content = json.at("content");
    if (json.at("xxh3_128").get<std::string>() == checksum_of(content)) return parse(content);
  } catch (const std::exception& error) {
    problem = fault_text(error);
  }
  log_warning(fmt::format("{} is damaged ({}): the text is tokenized again from its beginning",
                          path.string(), replace_invalid_utf8(problem)));
  return std::nullopt;
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
    return fmt::format("{} was {}, now it is {}", key, json_text(old), json_text(value));
  }
  return "";
}

// What lies there is removed at the end.
void require_ours(const fs::path& folder) {
  std::error_code unknown;
  if (!fs::is_directory(folder, unknown) || fs::exists(folder / "request.json", unknown)) return;
  for (const auto& entry : fs::directory_iterator(folder, unknown)) {
    // Of a run that was killed while it wrote that file.
    if (entry.path().filename().string().starts_with("request.json.")) continue;
    throw Error(ErrorKind::kFile,
                fmt::format("{} holds {}, which no unfinished run left", folder.string(),
                            entry.path().filename().string()),
                "move it away, or choose another --output-prefix");
  }
}

}  // namespace

void TokenizeProgress::return_to(size_t shard) {
  const ShardSummary first = shard < shards.size() ? shards[shard] : open;
  shards.resize(std::min(shard, shards.size()));
  position = first.first;
  counts = first.before;
  open = {};
  closing = false;
}

fs::path tokenize_journal_folder(const fs::path& output_prefix) {
  return output_prefix.string() + ".tokenizing";
}

TokenizeJournal::TokenizeJournal(const fs::path& output_prefix, const Json& asked, bool start_over)
    : folder_(tokenize_journal_folder(output_prefix)) {
  require_ours(folder_);
  borealis::create_directories(folder_);
  lock_ = FolderLock::try_hold(folder_);
  if (!lock_) {
    throw Error(ErrorKind::kFile,
                fmt::format("another process is making {} at this moment", output_prefix.string()),
                "wait for it, or choose another --output-prefix");
  }
  // As it will be read: names of files need not be UTF-8.
  const Json request = Json::parse(json_text(asked));
  std::error_code ignored;
  if (start_over) fs::remove(folder_ / "progress.json", ignored);
  if (fs::exists(folder_ / "progress.json")) {
    worth_keeping_ = true;
    if (read_earlier(request)) return;
    // Progress of nobody knows what; that of this request stays until it is replaced.
    if (!same_request_) fs::remove(folder_ / "progress.json", ignored);
  }
  write_checked(folder_ / "request.json", request);
}

TokenizeJournal::~TokenizeJournal() {
  if (!worth_keeping_) remove();
}

bool TokenizeJournal::read_earlier(const Json& request) {
  const auto before =
      read_checked(folder_ / "request.json", [](const Json& content) { return content; });
  if (!before) return false;
  const std::string changed = difference(*before, request);
  if (!changed.empty()) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("{} holds an unfinished run of another request: {}", folder_.string(), changed),
        kStartOver);
  }
  same_request_ = true;
  const auto earlier = read_checked(folder_ / "progress.json", parse_progress);
  if (!earlier) return false;
  earlier_ = *earlier;
  resumed_ = true;
  return true;
}

void TokenizeJournal::save(const TokenizeProgress& progress) {
  write_checked(folder_ / "progress.json", progress_json(progress));
  worth_keeping_ = true;
}

// What tells that the rest is ours goes last: whatever a kill leaves, the next command knows it.
void TokenizeJournal::remove() {
  std::error_code ignored;
  const fs::path progress = folder_ / "progress.json", request = folder_ / "request.json";
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    if (entry.path() != progress && entry.path() != request) fs::remove_all(entry, ignored);
  }
  fs::remove(progress, ignored);
  fs::remove_all(folder_, ignored);
  worth_keeping_ = true;  // nothing is left to be removed
}

}  // namespace borealis
