#include "data/data_record.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/json_excerpt.h"
#include "base/json_number.h"

namespace borealis {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr const char* kFormat = "borealis tokenized text";
constexpr int kFormatVersion = 1;

OrderedJson source_json(const DataSource& source) {
  OrderedJson json = {{"path", source.path},
                      {"file_bytes", source.file_bytes},
                      {"modified_ns", source.modified_ns},
                      {"from_byte", source.from_byte},
                      {"to_byte", nullptr}};
  if (source.to_byte) json["to_byte"] = *source.to_byte;
  return json;
}

DataSource parse_source(const OrderedJson& json) {
  DataSource source{.path = json.at("path").get<std::string>(),
                    .file_bytes = whole_number(json.at("file_bytes")),
                    .modified_ns = whole_number(json.at("modified_ns")),
                    .from_byte = whole_number(json.at("from_byte")),
                    .to_byte = std::nullopt};
  if (!json.at("to_byte").is_null()) source.to_byte = whole_number(json.at("to_byte"));
  return source;
}

OrderedJson tokenizer_json_of(const DataRecord& record) {
  const TokenizerIdentity& tokenizer = record.tokenizer;
  OrderedJson json = {{"kind", tokenizer.kind},
                      {"path", record.tokenizer_path},
                      {"sha256", tokenizer.sha256},
                      {"vocab_size", tokenizer.vocab_size},
                      {"end_token", nullptr},
                      {"document_prefix", tokenizer.document_prefix},
                      {"document_suffix", tokenizer.document_suffix}};
  if (tokenizer.end_token) json["end_token"] = *tokenizer.end_token;
  return json;
}

std::vector<int32_t> parse_ids(const OrderedJson& json) {
  std::vector<int32_t> ids;
  for (const OrderedJson& id : json) ids.push_back(whole_number<int32_t>(id));
  return ids;
}

TokenizerIdentity parse_tokenizer(const OrderedJson& json) {
  TokenizerIdentity tokenizer{.kind = json.at("kind").get<std::string>(),
                              .sha256 = json.at("sha256").get<std::string>(),
                              .vocab_size = whole_number(json.at("vocab_size")),
                              .end_token = std::nullopt,
                              .document_prefix = parse_ids(json.at("document_prefix")),
                              .document_suffix = parse_ids(json.at("document_suffix"))};
  if (!json.at("end_token").is_null())
    tokenizer.end_token = whole_number<int32_t>(json.at("end_token"));
  return tokenizer;
}

TokenType parse_type(const std::string& name) {
  for (const TokenType type : {TokenType::kU8, TokenType::kI8, TokenType::kI16, TokenType::kU16,
                               TokenType::kI32, TokenType::kI64}) {
    if (token_type_name(type) == name) return type;
  }
  throw std::runtime_error(fmt::format("the dtype '{}' is not known", name));
}

// Throws std::exception.
DataRecord parse_checked(const std::string& text) {
  const OrderedJson json = OrderedJson::parse(text);
  if (json.at("format") != kFormat) throw std::runtime_error("it has another format");
  if (json.at("format_version") != kFormatVersion) {
    throw std::runtime_error(
        fmt::format("version {} is not known", json_excerpt(json.at("format_version"))));
  }
  DataRecord record{.tokenizer = parse_tokenizer(json.at("tokenizer")),
                    .tokenizer_path = json.at("tokenizer").at("path").get<std::string>(),
                    .end_token_appended = json.at("end_token_appended").get<bool>(),
                    .type = parse_type(json.at("dtype").get<std::string>()),
                    .documents = whole_number(json.at("documents")),
                    .tokens = whole_number(json.at("tokens")),
                    .program = json.at("program").get<std::string>(),
                    .sources = {}};
  for (const OrderedJson& source : json.at("sources"))
    record.sources.push_back(parse_source(source));
  return record;
}

}  // namespace

std::filesystem::path data_record_path(const std::filesystem::path& prefix) {
  return prefix.string() + ".meta.json";
}

std::string data_record_json(const DataRecord& record) {
  OrderedJson json = {{"format", kFormat},
                      {"format_version", kFormatVersion},
                      {"program", record.program},
                      {"tokenizer", tokenizer_json_of(record)},
                      {"end_token_appended", record.end_token_appended},
                      {"dtype", token_type_name(record.type)},
                      {"documents", record.documents},
                      {"tokens", record.tokens},
                      {"sources", OrderedJson::array()}};
  for (const DataSource& source : record.sources) json["sources"].push_back(source_json(source));
  // A path need not be UTF-8.
  return json_text(json, 2) + "\n";
}

DataRecord parse_data_record(const std::string& json, const std::string& name) {
  try {
    return parse_checked(json);
  } catch (const std::exception& error) {
    throw DatasetError(
        DatasetFault::kDamagedRecord,
        fmt::format("{} is not a record of tokenized data: {}", name, fault_text(error)),
        "tokenize the text again, or remove the file to go without");
  }
}

std::optional<DataRecord> read_data_record(const std::filesystem::path& prefix) {
  const std::filesystem::path path = data_record_path(prefix);
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown)) return std::nullopt;
  return parse_data_record(read_json_text(path), path.string());
}

std::string describe_tokenizer(const TokenizerIdentity& tokenizer) {
  std::string text = fmt::format("{} with {} entries", tokenizer.kind, tokenizer.vocab_size);
  text += tokenizer.end_token ? fmt::format(", end token {}", *tokenizer.end_token)
                              : ", without an end token";
  if (!tokenizer.sha256.empty()) {
    text += fmt::format(", SHA-256 {}", tokenizer.sha256.substr(0, 12));
  }
  return text;
}

std::string named_tokenizer(const std::string& path, const TokenizerIdentity& tokenizer) {
  return fmt::format("{} ({})", path.empty() ? "NullTokenizer" : "the tokenizer " + path,
                     describe_tokenizer(tokenizer));
}

}  // namespace borealis
