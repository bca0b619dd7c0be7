#include "tokenizer/sentencepiece_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "config/sentencepiece_model.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

constexpr std::string_view kSpaceSymbol = "\u2581";

// The library takes 20 bytes of memory for a byte of text, and 150 for one of a long word.
constexpr size_t kLongestWord = size_t{16} << 20;

bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The first place from there on of a space between two letters; the end if there is none.
size_t space_between_letters(std::string_view text, size_t from) {
  for (size_t at = text.find(' ', from); at != std::string_view::npos;
       at = text.find(' ', at + 1)) {
    if (at > 0 && at + 1 < text.size() && is_ascii_letter(text[at - 1]) &&
        is_ascii_letter(text[at + 1])) {
      return at;
    }
  }
  return text.size();
}

void require_short_words(std::string_view text) {
  for (size_t begin = 0; text.size() - begin > kLongestWord;) {
    const size_t end = std::min(text.find_first_of(" \n\t", begin), text.size());
    if (end - begin > kLongestWord) {
      throw Error(ErrorKind::kData,
                  fmt::format("a text has {} bytes without white space; SentencePiece takes 150 "
                              "bytes of memory for each of them, and {} at most are encoded",
                              end - begin, kLongestWord),
                  "cut the text into smaller documents, or leave it out");
    }
    if (end == text.size()) return;
    begin = end + 1;
  }
}

std::string with_spaces(std::string_view piece) {
  std::string text;
  for (size_t at; (at = piece.find(kSpaceSymbol)) != std::string_view::npos;) {
    text.append(piece.substr(0, at)).append(" ");
    piece.remove_prefix(at + kSpaceSymbol.size());
  }
  return text.append(piece);
}

// Of a byte piece, "<0x0A>".
char byte_of(std::string_view piece) {
  CHECK(piece.size() == 6);
  unsigned value = 0;
  std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  return static_cast<char>(value);
}

}  // namespace

class SentencePieceEngine::Encoder final : public TextEncoder {
 public:
  explicit Encoder(const SentencePieceEngine& engine) : engine_(engine) {}

  void encode(std::string_view text, std::vector<int32_t>& ids) override {
    engine_.finder_.split(
        text, [&](std::string_view part) { encode_text(part, ids); },
        [&](int32_t id) { ids.push_back(id); });
  }

 private:
  // A long text in parts, where the model has no piece across a space.
  void encode_text(std::string_view text, std::vector<int32_t>& ids) {
    require_short_words(text);
    const size_t most = engine_.options_.part_bytes;
    while (engine_.cuts_at_spaces_ && text.size() > most) {
      const size_t space = space_between_letters(text, most);
      if (space == text.size()) break;
      encode_part(text.substr(0, space), ids);
      text.remove_prefix(space + 1);  // the part has a space of its own in front
    }
    encode_part(text, ids);
  }

  void encode_part(std::string_view part, std::vector<int32_t>& ids) {
    const auto status = engine_.processor_.Encode(part, &part_ids_);
    if (!status.ok()) {
      throw Error(ErrorKind::kData, "SentencePiece cannot encode a text: " + status.ToString());
    }
    ids.insert(ids.end(), part_ids_.begin(), part_ids_.end());
  }

  const SentencePieceEngine& engine_;
  std::vector<int> part_ids_;
};

class SentencePieceEngine::Decoder final : public TextDecoder {
 public:
  Decoder(const SentencePieceEngine& engine, bool skip_special)
      : engine_(engine), skip_special_(skip_special) {}

  std::string add(int32_t id) override {
    if (!engine_.is_piece(id)) return add_other(id);
    if (engine_.processor_.IsByte(id)) return add_byte(byte_of(engine_.processor_.IdToPiece(id)));
    std::string text = end_bytes();
    if (engine_.processor_.IsControl(id)) {
      if (!skip_special_) text += engine_.processor_.IdToPiece(id);
    } else {
      text += at_start_ ? add_first(id) : engine_.piece_text(id);
    }
    return text;
  }

  std::string finish() override {
    std::string text = end_bytes();
    start_again();
    return text;
  }

 private:
  void start_again() {
    at_start_ = true;
    start_.clear();
  }

  // Added tokens stand between texts of their own.
  std::string add_other(int32_t id) {
    const AddedToken* token = engine_.added_token(id);
    if (token == nullptr) return "";
    std::string text = finish();
    if (!(skip_special_ && token->special)) text += token->content;
    return text;
  }

  // Which spaces at the start of a text are the tokenizer's depends on flags of the model: the
  // library is asked until there is some text.
  std::string add_first(int32_t id) {
    start_.push_back(id);
    std::string text;
    const auto status = engine_.processor_.Decode(start_, &text);
    CHECK(status.ok());
    at_start_ = text.empty();
    return text;
  }

  std::string add_byte(char byte) {
    at_start_ = false;
    bytes_ += byte;
    std::string text;
    while (!bytes_.empty()) {
      const Utf8Sequence first = first_utf8_sequence(bytes_);
      if (first.status == Utf8Sequence::Status::kIncomplete) break;
      const bool valid = first.status == Utf8Sequence::Status::kValid;
      text += valid ? std::string_view(bytes_).substr(0, first.length) : kReplacementCharacter;
      bytes_.erase(0, valid ? first.length : 1);
    }
    return text;
  }

  std::string end_bytes() {
    std::string text;
    for (size_t i = 0; i < bytes_.size(); ++i) text += kReplacementCharacter;
    bytes_.clear();
    return text;
  }

  const SentencePieceEngine& engine_;
  bool skip_special_;
  bool at_start_ = true;
  std::vector<int> start_;  // ids so far, while they make no text
  std::string bytes_;       // of the run of byte pieces that may still become a character
};

SentencePieceEngine::SentencePieceEngine(const std::filesystem::path& model,
                                         SentencePieceOptions options)
    : options_(std::move(options)), finder_(options_.added_tokens) {
  const MappedFile file(model);
  const auto status = processor_.LoadFromSerializedProto(
      {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
  if (!status.ok()) {
    throw Error(ErrorKind::kData,
                fmt::format("{} cannot be loaded: {}", model.string(), status.ToString()),
                "give a SentencePiece model; fetch it again if it is cut");
  }
  vocab_size_ = processor_.GetPieceSize();
  for (const AddedToken& token : options_.added_tokens) {
    vocab_size_ = std::max(vocab_size_, int64_t{token.id} + 1);
  }
  CHECK(processor_.Decode(std::vector<int>{processor_.unk_id()}, &unknown_text_).ok());
  const SentencePieceFacts facts = read_sentencepiece_facts(model);
  cuts_at_spaces_ = facts.algorithm == "bpe" && may_cut_at_spaces(facts.pieces);
}

// Spaces begin words, and each part of a text begins as a word does. Of unigram models the scores
// of a whole text are rounded sums, which the parts' are not.
bool SentencePieceEngine::may_cut_at_spaces(const std::vector<std::string>& pieces) const {
  for (std::string_view piece : pieces) {
    while (piece.starts_with(kSpaceSymbol)) piece.remove_prefix(kSpaceSymbol.size());
    if (piece.find(kSpaceSymbol) != std::string_view::npos) return false;
  }
  std::vector<int> whole, part;
  CHECK(processor_.Encode("a a", &whole).ok() && processor_.Encode("a", &part).ok());
  std::vector<int> twice = part;
  twice.insert(twice.end(), part.begin(), part.end());
  return processor_.PieceToId(kSpaceSymbol) != processor_.unk_id() && whole == twice;
}

std::optional<int32_t> SentencePieceEngine::token_id(std::string_view piece) const {
  for (const AddedToken& token : options_.added_tokens) {
    if (token.content == piece) return token.id;
  }
  const int id = processor_.PieceToId(piece);  // the unknown piece's if there is none
  if (processor_.IdToPiece(id) != piece) return std::nullopt;
  return id;
}

const AddedToken* SentencePieceEngine::added_token(int32_t id) const {
  const auto found = std::ranges::find(options_.added_tokens, id, &AddedToken::id);
  return found == options_.added_tokens.end() ? nullptr : &*found;
}

bool SentencePieceEngine::is_special(int32_t id) const {
  if (is_piece(id)) return processor_.IsControl(id);
  const AddedToken* token = added_token(id);
  return token != nullptr && token->special;
}

std::string SentencePieceEngine::piece_text(int32_t id) const {
  return processor_.IsUnknown(id) ? unknown_text_ : with_spaces(processor_.IdToPiece(id));
}

std::unique_ptr<TextEncoder> SentencePieceEngine::make_encoder() const {
  return std::make_unique<Encoder>(*this);
}

std::unique_ptr<TextDecoder> SentencePieceEngine::make_decoder(bool skip_special) const {
  return std::make_unique<Decoder>(*this, skip_special);
}

}  // namespace borealis
