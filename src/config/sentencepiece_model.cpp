#include "config/sentencepiece_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/protobuf_fields.h"

namespace borealis {
namespace {

// Field numbers of sentencepiece_model.proto.
namespace model_field {
constexpr uint32_t kPiece = 1, kTrainer = 2, kDenormalizer = 5;
}
namespace piece_field {
constexpr uint32_t kText = 1, kType = 3;
constexpr uint64_t kControl = 3;  // value of kType
}  // namespace piece_field
namespace trainer_field {
constexpr uint32_t kAlgorithm = 3, kBos = 46, kEos = 47, kPad = 48;
}
namespace normalizer_field {
constexpr uint32_t kRules = 2;  // compiled
}

constexpr std::array kAlgorithms = {"unigram", "bpe", "word", "char"};  // from 1

class Reader {
 public:
  explicit Reader(std::filesystem::path file) : file_(std::move(file)) {}

  SentencePieceFacts read(std::string_view bytes) {
    facts_ = {
        .pieces = {}, .algorithm = kAlgorithms[0], .bos = "<s>", .eos = "</s>", .pad = "<pad>"};
    require(for_each_protobuf_field(bytes, [this](const ProtobufField& field) { put(field); }));
    require(!facts_.pieces.empty() && has_trainer_);
    for (std::string* name : {&facts_.bos, &facts_.eos, &facts_.pad}) {
      if (!controls_.contains(*name)) name->clear();
    }
    return std::move(facts_);
  }

 private:
  void require(bool right) const {
    if (right) return;
    throw Error(
        ErrorKind::kData, fmt::format("{} is not a SentencePiece model", file_.string()),
        "give the tokenizer.model that belongs to the tokenizer; fetch it again if it is cut");
  }

  void put(const ProtobufField& field) {
    if (field.number == model_field::kPiece) put_piece(field.bytes);
    if (field.number == model_field::kTrainer) put_trainer(field.bytes);
    if (field.number != model_field::kDenormalizer) return;
    require(for_each_protobuf_field(field.bytes, [this](const ProtobufField& inner) {
      if (inner.number == normalizer_field::kRules) facts_.denormalizes |= !inner.bytes.empty();
    }));
  }

  void put_piece(std::string_view message) {
    std::string text;
    uint64_t type = 0;
    require(for_each_protobuf_field(message, [&](const ProtobufField& field) {
      if (field.number == piece_field::kText) text = field.bytes;
      if (field.number == piece_field::kType) type = field.value;
    }));
    require(!text.empty());
    if (type == piece_field::kControl) controls_.insert(text);
    facts_.pieces.push_back(std::move(text));
  }

  void put_trainer(std::string_view message) {
    has_trainer_ = true;
    require(for_each_protobuf_field(message, [this](const ProtobufField& field) {
      if (field.number == trainer_field::kAlgorithm) {
        require(field.value >= 1 && field.value <= kAlgorithms.size());
        facts_.algorithm = kAlgorithms[field.value - 1];
      }
      if (field.number == trainer_field::kBos) facts_.bos = field.bytes;
      if (field.number == trainer_field::kEos) facts_.eos = field.bytes;
      if (field.number == trainer_field::kPad) facts_.pad = field.bytes;
    }));
  }

  std::filesystem::path file_;
  SentencePieceFacts facts_;
  std::set<std::string> controls_;
  bool has_trainer_ = false;
};

}  // namespace

SentencePieceFacts read_sentencepiece_facts(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  return Reader(file).read({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::vector<SentencePieceToken> megatron_tokens(const SentencePieceFacts& facts) {
  std::vector<SentencePieceToken> tokens;
  auto next = static_cast<int32_t>(facts.pieces.size());
  const auto add = [&](const std::string& text) {
    const auto piece = std::ranges::find(facts.pieces, text);
    const bool is_piece = piece != facts.pieces.end();
    tokens.push_back(
        {text, is_piece ? static_cast<int32_t>(piece - facts.pieces.begin()) : next++});
  };
  for (const char* name : {"<CLS>", "<SEP>", "<EOD>", "<MASK>"}) add(name);
  add(facts.pad.empty() ? "<PAD>" : facts.pad);
  add(facts.bos.empty() ? "<BOS>" : facts.bos);
  add(facts.eos.empty() ? "<EOS>" : facts.eos);
  return tokens;
}

}  // namespace borealis
