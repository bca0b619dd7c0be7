#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/utf8.h"
#include "tokenizer/word_splitter.h"

namespace borealis {
namespace {

using nlohmann::json;

constexpr int64_t kMaxId = 1 << 24;  // a larger one is a mistake, and would take gigabytes

// Reads one file; every complaint starts with its name.
class TokenizerReader {
 public:
  explicit TokenizerReader(std::string name) : name_(std::move(name)) {}

  TokenizerDefinition read(std::string_view text) {
    json file;
    try {
      file = json::parse(text);
    } catch (const json::exception& error) {
      refuse(replace_invalid_utf8(fmt::format("is not JSON: {}", error.what())),
             "fetch or write it again");
    }
    try {
      read_parts(file);
    } catch (const json::exception& error) {
      refuse(fmt::format("is not laid out as a tokenizer.json: {}", error.what()),
             "fetch or write it again");
    }
    return std::move(definition_);
  }

 private:
  [[noreturn]] void refuse(const std::string& problem, const std::string& remedy) const {
    throw Error(ErrorKind::kData, fmt::format("{} {}", name_, problem), remedy);
  }
  [[noreturn]] void refuse_part(const std::string& part) const {
    refuse(fmt::format("has {}, which is not supported", part),
           "use a byte-level BPE tokenizer (GPT-2, Llama 3, SmolLM), or one from `borealis "
           "tokenizer train`; data that is tokenized already needs none");
  }

  void read_parts(const json& file) {
    if (!file.is_object() || !file.contains("model")) {
      refuse("has no \"model\"", "give the tokenizer.json of a Hugging Face tokenizer");
    }
    if (file.contains("normalizer") && !file["normalizer"].is_null()) {
      refuse_part("the normalizer " + type_of(file["normalizer"]));
    }
    for (const char* part : {"truncation", "padding"}) {
      if (file.contains(part) && !file[part].is_null()) {
        log_warning(fmt::format("{} sets {}; texts are encoded whole instead", name_, part));
      }
    }
    read_model(file["model"]);
    for (const json& token : file.value("added_tokens", json::array())) read_added_token(token);
    read_pre_tokenizer(file.value("pre_tokenizer", json()));
    if (!has_byte_level_) refuse_part("no ByteLevel pre-tokenizer");
    read_post_processor(file.value("post_processor", json()));
    check_decoder(file.value("decoder", json()));
  }

  static std::string type_of(const json& part) { return part.value("type", "without a type"); }

  void read_model(const json& model) {
    const std::string type = model.contains("merges") ? model.value("type", "BPE") : type_of(model);
    if (type != "BPE") refuse_part("a model of type " + type);
    if (model.value("byte_fallback", false)) {
      refuse_part("byte_fallback (a SentencePiece-like BPE)");
    }
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (model.contains(affix) && model[affix].is_string() && model[affix] != "") {
        refuse_part(fmt::format("the {} \"{}\"", affix, model[affix].get<std::string>()));
      }
    }
    if (model.contains("dropout") && model["dropout"].is_number() && model["dropout"] != 0) {
      refuse_part("dropout in its merges");
    }
    read_vocabulary(model.at("vocab"));
    int64_t rank = 0;
    definition_.merges.reserve(model.at("merges").size());
    for (const json& merge : model.at("merges")) read_merge(merge, rank++);
    definition_.ignore_merges = model.value("ignore_merges", false);
    definition_.fuse_unknown = model.value("fuse_unk", false);
    if (model.contains("unk_token") && model["unk_token"].is_string()) {
      definition_.unknown_id = piece_id(model["unk_token"].get<std::string>(), "the unk_token");
    }
  }

  void put_piece(const std::string& piece, int64_t id) {
    if (id < 0 || id > kMaxId) {
      refuse(fmt::format("gives \"{}\" the id {}", piece, id), "ids start at 0, without gaps");
    }
    const auto place = static_cast<size_t>(id);
    if (definition_.pieces.size() <= place) definition_.pieces.resize(place + 1);
    std::string& slot = definition_.pieces[place];
    if (!slot.empty() && slot != piece) {
      refuse(fmt::format("gives the id {} to both \"{}\" and \"{}\"", id, slot, piece),
             "ids must be unique");
    }
    slot = piece;
  }

  void read_vocabulary(const json& vocabulary) {
    ids_.reserve(vocabulary.size());
    for (const auto& [piece, id] : vocabulary.items()) {
      put_piece(piece, id.get<int64_t>());
      ids_.emplace(piece, id.get<int32_t>());
    }
  }

  int32_t piece_id(const std::string& piece, const std::string& what) const {
    const auto found = ids_.find(piece);
    if (found == ids_.end()) {
      refuse(fmt::format("has \"{}\" as {}, but not in its vocabulary", piece, what),
             "the file is damaged; fetch or write it again");
    }
    return found->second;
  }

  // Either ["left", "right"] or "left right"; pieces never hold an ASCII space themselves.
  void read_merge(const json& merge, int64_t rank) {
    std::string left;
    std::string right;
    if (merge.is_array() && merge.size() == 2) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else if (merge.is_string()) {
      const auto text = merge.get<std::string>();
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        refuse(fmt::format("has the merge {} \"{}\", not two pieces and a space", rank, text),
               "the file is damaged; fetch or write it again");
      }
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else {
      refuse(fmt::format("has a merge {} that is neither a string nor a pair", rank),
             "the file is damaged; fetch or write it again");
    }
    const std::string what = fmt::format("a part of merge {}", rank);
    definition_.merges.push_back(
        {piece_id(left, what), piece_id(right, what),
         piece_id(left + right, fmt::format("the result of merge {}", rank))});
  }

  void read_added_token(const json& token) {
    AddedToken added{.id = token.at("id").get<int32_t>(),
                     .content = token.at("content").get<std::string>(),
                     .single_word = token.value("single_word", false),
                     .lstrip = token.value("lstrip", false),
                     .rstrip = token.value("rstrip", false),
                     .normalized = token.value("normalized", false),
                     .special = token.value("special", false)};
    if (added.content.empty()) return;  // matches nothing
    // A text that is a piece already has that piece's id, whatever is said here.
    if (const auto piece = ids_.find(added.content); piece != ids_.end()) added.id = piece->second;
    put_piece(added.content, added.id);
    definition_.added_tokens.push_back(std::move(added));
  }

  void read_pre_tokenizer(const json& part) {
    if (part.is_null()) return;
    const std::string type = type_of(part);
    if (has_byte_level_) refuse_part(fmt::format("the pre-tokenizer {} after ByteLevel", type));
    if (type == "Sequence") {
      for (const json& step : part.at("pretokenizers")) read_pre_tokenizer(step);
    } else if (type == "ByteLevel") {
      has_byte_level_ = true;
      WordStep step;
      if (part.value("use_regex", true)) step.pattern = kGpt2WordPattern;
      step.add_prefix_space = part.value("add_prefix_space", true);
      definition_.steps.push_back(step);
    } else if (type == "Split") {
      definition_.steps.push_back(split_step(part));
    } else if (type == "Digits") {
      const bool each = part.value("individual_digits", false);
      WordStep step;
      step.pattern = each ? "\\p{N}" : "\\p{N}+";
      definition_.steps.push_back(step);
    } else {
      refuse_part("the pre-tokenizer " + type);
    }
  }

  WordStep split_step(const json& split) const {
    const std::string behavior = split.value("behavior", "");
    // Inverted, the matches are the words, and what is between them would be removed.
    const bool inverted_removal = behavior == "Removed" && split.value("invert", false);
    if (behavior != "Isolated" && !inverted_removal) {
      refuse_part(fmt::format("a Split pre-tokenizer with the behavior {}", behavior));
    }
    const auto make_step = [inverted_removal](const std::string& expression) {
      WordStep step;
      step.pattern = expression;
      step.drop_gaps = inverted_removal;
      return step;
    };
    const json& pattern = split.at("pattern");
    if (pattern.contains("Regex")) {
      return make_step(pattern["Regex"].get<std::string>());
    }
    std::string escaped;
    for (const char c : pattern.at("String").get<std::string>()) {
      if (std::string_view("\\^$.[]|()?*+{}-&").find(c) != std::string_view::npos) escaped += '\\';
      escaped += c;
    }
    return make_step(escaped);
  }

  void read_post_processor(const json& part) {
    if (part.is_null()) return;
    const std::string type = type_of(part);
    if (type == "Sequence") {
      for (const json& step : part.at("processors")) read_post_processor(step);
    } else if (type == "TemplateProcessing") {
      read_template(part);
    } else if (type != "ByteLevel") {  // which only moves offsets
      refuse_part("the post-processor " + type);
    }
  }

  void read_template(const json& part) {
    bool before_text = true;
    std::vector<int32_t> prefix;
    std::vector<int32_t> suffix;
    for (const json& item : part.at("single")) {
      if (item.contains("Sequence")) {
        if (!before_text) refuse_part("a template that repeats the text");
        before_text = false;
        continue;
      }
      const auto name = item.at("SpecialToken").at("id").get<std::string>();
      const auto ids = part.at("special_tokens").at(name).at("ids").get<std::vector<int32_t>>();
      std::vector<int32_t>& side = before_text ? prefix : suffix;
      side.insert(side.end(), ids.begin(), ids.end());
    }
    if (before_text) refuse_part("a template without the text");
    definition_.prefix_ids.insert(definition_.prefix_ids.begin(), prefix.begin(), prefix.end());
    definition_.suffix_ids.insert(definition_.suffix_ids.end(), suffix.begin(), suffix.end());
  }

  void check_decoder(const json& part) const {
    if (part.is_null()) return;
    const std::string type = type_of(part);
    if (type == "Sequence") {
      for (const json& step : part.at("decoders")) check_decoder(step);
    } else if (type != "ByteLevel") {
      refuse_part("the decoder " + type);
    }
  }

  std::string name_;
  TokenizerDefinition definition_;
  std::unordered_map<std::string, int32_t> ids_;
  bool has_byte_level_ = false;
};

// eos_token of a tokenizer_config.json: a string, or an object with "content".
std::optional<std::string> configured_end_of_text(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const json config = json::parse(read_text_file(path), nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    throw Error(ErrorKind::kData, fmt::format("{} is not a JSON object", path.string()),
                "fetch or write it again");
  }
  if (!config.contains("eos_token")) return std::nullopt;
  const json& token = config["eos_token"];
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string()) {
    return token["content"].get<std::string>();
  }
  return std::nullopt;
}

}  // namespace

TokenizerDefinition parse_tokenizer_json(std::string_view text, const std::string& name) {
  return TokenizerReader(name).read(text);
}

TokenizerDefinition read_tokenizer(const std::filesystem::path& path) {
  const std::filesystem::path file =
      std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  if (!std::filesystem::exists(file)) {
    throw Error(ErrorKind::kFile, fmt::format("{} does not exist", file.string()),
                "give a tokenizer.json or its folder; `borealis tokenizer train` makes one");
  }
  TokenizerDefinition definition = parse_tokenizer_json(read_text_file(file), file.string());
  definition.end_of_text = configured_end_of_text(file.parent_path() / "tokenizer_config.json");
  return definition;
}

}  // namespace borealis
