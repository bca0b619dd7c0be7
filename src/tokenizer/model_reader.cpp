#include "tokenizer/model_reader.h"

#include "base/log.h"

namespace borealis {
namespace {

using simdjson::dom::array;
using simdjson::dom::object;

// A larger id is a mistake: it would take gigabytes, or most ids would stand for nothing.
constexpr int64_t kMaxId = 1 << 24;
constexpr int64_t kUnusedIds = 1 << 16;

}  // namespace

void ModelReader::read_model(JsonFile::Element model) {
  file_.as<object>(model, "model");
  check_options(model);
  const auto vocabulary = file_.at_as<object>(model, "vocab");
  const auto merges = file_.at_as<array>(model, "merges");
  definition_.byte_fallback = file_.value(model, "byte_fallback", false);
  definition_.ignore_merges = file_.value(model, "ignore_merges", false);
  definition_.fuse_unknown = file_.value(model, "fuse_unk", false);
  read_vocabulary(vocabulary);
  read_merges(merges);
  if (const auto unknown = file_.find(model, "unk_token")) {
    const auto piece = file_.as<std::string_view>(*unknown, "unk_token");
    const int32_t id = ids_.find(piece);
    if (id == PieceTable::kNone) {
      file_.refuse_damage(
          fmt::format("has \"{}\" as the unk_token, but not in its vocabulary", piece));
    }
    definition_.unknown_id = id;
  }
}

void ModelReader::check_options(JsonFile::Element model) const {
  const bool has_merges = file_.find(model, "merges").has_value();
  const std::string type = std::string(
      file_.value<std::string_view>(model, "type", has_merges ? "BPE" : "without a type"));
  if (type != "BPE") file_.refuse_part(fmt::format("a model of type {}", type));
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto text = file_.value<std::string_view>(model, affix, "");
    if (!text.empty()) file_.refuse_part(fmt::format("the {} \"{}\"", affix, text));
  }
  if (file_.value<double>(model, "dropout", 0.0) != 0) file_.refuse_part("dropout in its merges");
}

void ModelReader::put_piece(std::string_view piece, int64_t id) {
  if (id < 0 || id > kMaxId) {
    file_.refuse(fmt::format("gives \"{}\" the id {}", piece, id), "ids start at 0, without gaps");
  }
  const auto place = static_cast<size_t>(id);
  if (definition_.pieces.size() <= place) {
    if (id > kUnusedIds + 4 * static_cast<int64_t>(entries_)) {
      file_.refuse(
          fmt::format("gives \"{}\" the id {}, but has {} entries only", piece, id, entries_),
          "ids start at 0, without gaps");
    }
    definition_.pieces.resize(place + 1);
  }
  std::string& slot = definition_.pieces[place];
  if (!slot.empty() && slot != piece) {
    file_.refuse(fmt::format("gives the id {} to both \"{}\" and \"{}\"", id, slot, piece),
                 "ids must be unique");
  }
  slot = piece;
}

void ModelReader::read_vocabulary(object vocabulary) {
  for (const auto& field : vocabulary) {
    static_cast<void>(field);
    ++entries_;
  }
  ids_.reserve(entries_);
  definition_.pieces.reserve(entries_);
  for (const auto& [piece, value] : vocabulary) {
    const auto id = file_.as<int64_t>(value, "vocab");
    put_piece(piece, id);
    if (ids_.find(piece) != PieceTable::kNone) {
      file_.refuse_damage(fmt::format("lists \"{}\" twice in its vocabulary", piece));
    }
    ids_.insert(piece, static_cast<int32_t>(id));
  }
}

void ModelReader::read_merges(array merges) {
  size_t count = 0;
  for (const JsonFile::Element merge : merges) {
    static_cast<void>(merge);
    ++count;
  }
  definition_.merges.reserve(count);
  size_t rank = 0;
  for (const JsonFile::Element merge : merges) read_merge(merge, rank++);
}

// Either ["left", "right"] or "left right", whose pieces never hold an ASCII space themselves.
void ModelReader::read_merge(JsonFile::Element merge, size_t rank) {
  std::string_view text;
  if (!merge.get<std::string_view>().get(text)) {
    const size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
      file_.refuse_damage(
          fmt::format("has the merge {} \"{}\", not two pieces and a space", rank, text));
    }
    add_merge(text.substr(0, space), text.substr(space + 1), rank);
    return;
  }
  array pair;
  std::string_view left;
  std::string_view right;
  if (merge.get<array>().get(pair) || pair.size() != 2 ||
      pair.at(0).get<std::string_view>().get(left) ||
      pair.at(1).get<std::string_view>().get(right)) {
    file_.refuse_damage(fmt::format("has a merge {} that is neither a string nor a pair", rank));
  }
  add_merge(left, right, rank);
}

void ModelReader::add_merge(std::string_view left, std::string_view right, size_t rank) {
  joined_ = left;
  joined_ += right;
  definition_.merges.push_back({piece_id(left, rank, "a part"), piece_id(right, rank, "a part"),
                                piece_id(joined_, rank, "the result")});
}

int32_t ModelReader::piece_id(std::string_view piece, size_t rank, const char* role) const {
  const int32_t id = ids_.find(piece);
  if (id == PieceTable::kNone) {
    file_.refuse_damage(
        fmt::format("has \"{}\" as {} of merge {}, but not in its vocabulary", piece, role, rank));
  }
  return id;
}

void ModelReader::read_added_tokens(JsonFile::Element root) {
  const auto tokens = file_.find(root, "added_tokens");
  if (!tokens) return;
  for (const JsonFile::Element token : file_.as<array>(*tokens, "added_tokens")) {
    read_added_token(token);
  }
}

void ModelReader::read_added_token(JsonFile::Element token) {
  AddedToken added{.id = 0,
                   .content = file_.text_at(token, "content"),
                   .single_word = file_.value(token, "single_word", false),
                   .lstrip = file_.value(token, "lstrip", false),
                   .rstrip = file_.value(token, "rstrip", false),
                   .normalized = file_.value(token, "normalized", false),
                   .special = file_.value(token, "special", false)};
  const auto id = file_.at_as<int64_t>(token, "id");
  if (added.content.empty()) return;  // matches nothing
  // A text that is a piece already has that piece's id, whatever is said here.
  if (const int32_t own = ids_.find(added.content); own != PieceTable::kNone) {
    added.id = own;
  } else {
    ++entries_;
    put_piece(added.content, id);
    added.id = static_cast<int32_t>(id);
    definition_.added_only_ids.push_back(added.id);
  }
  definition_.added_tokens.push_back(std::move(added));
}

}  // namespace borealis
