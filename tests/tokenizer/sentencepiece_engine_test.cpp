#include "tokenizer/sentencepiece_engine.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "config/sentencepiece_model.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"
#include "tokenizer/open_tokenizer.h"
#include "tokenizer/small_sentencepiece.h"
#include "tokenizer/utf8.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const char* const kSentences[] = {"the cat sat on the mat",
                                  " two  spaces   three\n\nlines\ttabs \r\n",
                                  "na\u00efve caf\u00e9 \u2014 \u6771\u4eac\u90fd",
                                  "\U0001F44D\U0001F3FD \u0645\u0631\u062d\u0628\u0627",
                                  "\u2581 is \u2581\u2581 the space",
                                  "<s> </s> <unk> <0x41>",
                                  "   ",
                                  ""};

Tokenizer plain_tokenizer(const std::filesystem::path& path) {
  SentencePieceOptions options;
  options.part_bytes = 300;
  return Tokenizer(std::make_unique<SentencePieceEngine>(path, options), {});
}

class SentencePieceTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& text, const char* name = "tokenizer.model") {
    write_file_atomically(folder_.path() / name, text);
    return folder_.path() / name;
  }
  Tokenizer open(TokenizerType type) const {
    return open_tokenizer({.type = type, .path = (folder_.path() / "tokenizer.model").string()});
  }
  Tokenizer open_with(const std::string& config) {
    write(config, "tokenizer_config.json");
    return open(TokenizerType::kHuggingFace);
  }
  TemporaryFolder folder_;
};

// The library is the witness: ids of a text, and the text of ids, in whatever order they come.
TEST_F(SentencePieceTest, EncodesAndDecodesAsTheLibraryDoes) {
  std::mt19937 random(1);
  for (const std::string& model :
       {llama2_like_model(), plain_unigram_model(), gemma_like_model()}) {
    write(model);
    const Tokenizer tokenizer = open(TokenizerType::kGptSentencePiece);
    sentencepiece::SentencePieceProcessor library;
    ASSERT_TRUE(library.LoadFromSerializedProto(model).ok());
    ASSERT_EQ(tokenizer.vocab_size(), library.GetPieceSize());
    for (const char* text : kSentences)
      EXPECT_EQ(tokenizer.encode(text), library.EncodeAsIds(text));

    std::vector<int> bytes;
    for (int id = 0; id < library.GetPieceSize(); ++id) {
      if (library.IsByte(id)) bytes.push_back(id);
    }
    for (int round = 0; round < 3000; ++round) {
      std::vector<int> ids;
      for (auto count = random() % 12; count > 0; --count) {
        const bool byte = !bytes.empty() && random() % 2 == 0;
        ids.push_back(
            static_cast<int>(byte ? bytes[random() % bytes.size()]
                                  : random() % (round % 2 == 0 ? 12 : library.GetPieceSize())));
      }
      ASSERT_EQ(tokenizer.decode(ids), library.DecodeIds(ids)) << ::testing::PrintToString(ids);
    }
  }
}

TEST_F(SentencePieceTest, DecodesBytesOfEveryKindAsTheLibraryDoes) {
  const std::string model = llama2_like_model();
  write(model);
  const Tokenizer tokenizer = open(TokenizerType::kGptSentencePiece);
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(model).ok());
  const int first = library.PieceToId("<0x00>");
  // Starts and middles of sequences, overlong and beyond Unicode among them.
  constexpr std::array<int, 16> kBytes = {0x41, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc3,
                                          0xe0, 0xe6, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff};
  std::mt19937 random(2);
  for (int round = 0; round < 20000; ++round) {
    std::vector<int> ids(1 + random() % 6);
    for (int& id : ids) id = first + kBytes[random() % kBytes.size()];
    ASSERT_EQ(tokenizer.decode(ids), library.DecodeIds(ids)) << ::testing::PrintToString(ids);
  }
}

TEST_F(SentencePieceTest, StreamsWholeCharacters) {
  write(llama2_like_model());
  const Tokenizer tokenizer = open(TokenizerType::kLlama2);
  for (const char* text : kSentences) {
    StreamDecoder decoder(tokenizer);
    std::string whole;
    for (const int32_t id : tokenizer.encode_document(text)) {
      const std::string part = decoder.add(id);
      EXPECT_TRUE(is_valid_utf8(part));
      whole += part;
    }
    // U+2581 itself cannot be told from a space: the one thing that is lost.
    const bool lossy = std::string_view(text).find("\u2581") != std::string_view::npos;
    EXPECT_EQ(whole + decoder.finish(), lossy ? "  is    the space" : text);
  }
  const auto byte = [&](const char* name) { return tokenizer.token_id(name).value(); };
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.add(tokenizer.token_id("\u2581the").value()), "the") << "the space is ours";
  EXPECT_EQ(decoder.add(tokenizer.token_id("\u2581the").value()), " the");
  EXPECT_EQ(decoder.add(byte("<0xF0>")), "");
  EXPECT_EQ(decoder.add(byte("<0x9F>")), "");
  EXPECT_EQ(decoder.add(byte("<0x91>")), "");
  EXPECT_EQ(decoder.add(99999), "") << "the padding of a vocabulary";
  EXPECT_EQ(decoder.add(byte("<0x8D>")), "\U0001F44D");
  EXPECT_EQ(decoder.add(byte("<0xE6>")), "");
  EXPECT_EQ(decoder.add(byte("<0x9D>")), "");
  EXPECT_EQ(decoder.add(tokenizer.token_id("\u2581the").value()), "\ufffd\ufffd the");
  EXPECT_EQ(decoder.add(byte("<0xE6>")), "");
  EXPECT_EQ(decoder.finish(), "\ufffd");
  EXPECT_EQ(decoder.add(tokenizer.token_id("\u2581the").value()), "the") << "a text of its own";
}

// A text of several parts has the ids that the library gives to all of it at once.
TEST_F(SentencePieceTest, EncodesLongTextsAsTheLibraryDoes) {
  std::mt19937 random(7);
  const char* const words[] = {"the",          "cat", "sat,", "beginning", "na\u00efve",
                               "\u6771\u4eac", "12",  "  a",  "x"};
  std::string text;
  while (text.size() < (20'000)) {
    text.append(words[random() % std::size(words)]).append(random() % 9 == 0 ? "\n" : " ");
  }
  for (const TrainerOptions& options :
       {TrainerOptions{{"model_type", "bpe"}},
        TrainerOptions{{"model_type", "bpe"}, {"remove_extra_whitespaces", "false"}},
        TrainerOptions{{"model_type", "bpe"}, {"add_dummy_prefix", "false"}},
        TrainerOptions{{"model_type", "bpe"}, {"treat_whitespace_as_suffix", "true"}},
        TrainerOptions{{"model_type", "bpe"}, {"split_by_whitespace", "false"}},
        TrainerOptions{{"model_type", "unigram"}}}) {
    const auto path = write(train_sentencepiece(options));
    sentencepiece::SentencePieceProcessor library;
    ASSERT_TRUE(library.Load(path.string()).ok());
    std::vector<int> expected;
    ASSERT_TRUE(library.Encode(text, &expected).ok());
    EXPECT_EQ(plain_tokenizer(path).encode(text), expected);
  }
}

TEST_F(SentencePieceTest, RefusesAWordThatTheLibraryHasNoMemoryFor) {
  const Tokenizer tokenizer = plain_tokenizer(write(train_sentencepiece({{"model_type", "bpe"}})));
  const std::string word((size_t{16} << 20) + 1, '0');
  EXPECT_ERROR(tokenizer.encode("a " + word + " b"), ErrorKind::kData,
               "16777217 bytes without white space", "cut the text");
}

TEST_F(SentencePieceTest, PutsAroundADocumentWhatTheTypeSays) {
  write(llama2_like_model());
  const Tokenizer gpt = open(TokenizerType::kGptSentencePiece);
  const std::vector<int32_t> bare = gpt.encode("the cat");
  EXPECT_EQ(gpt.encode_document("the cat"), bare);
  EXPECT_EQ(gpt.end_of_text(), 2);
  const auto between = [&](std::vector<int32_t> ids, std::vector<int32_t> after) {
    ids.insert(ids.end(), bare.begin(), bare.end());
    ids.insert(ids.end(), after.begin(), after.end());
    return ids;
  };
  const Tokenizer llama2 = open(TokenizerType::kLlama2);
  EXPECT_EQ(llama2.encode_document("the cat"), between({1}, {}));
  EXPECT_EQ(llama2.end_of_text(), 2);
  EXPECT_TRUE(llama2.is_special(1));
  EXPECT_FALSE(llama2.is_special(0)) << "<unk> stands for text";
  EXPECT_EQ(llama2.decode(std::vector<int32_t>{1, bare[0]}), "the");
  EXPECT_EQ(llama2.decode(std::vector<int32_t>{1, bare[0]}, false), "<s>the");

  EXPECT_EQ(open(TokenizerType::kHuggingFace).encode_document("the cat"), between({1}, {}));
  EXPECT_EQ(
      open_with(R"({"add_bos_token": false, "add_eos_token": true})").encode_document("the cat"),
      between({}, {2}));
  const Tokenizer other = open_with(R"({"eos_token": {"content": "<s>"}, "bos_token": "</s>"})");
  EXPECT_EQ(other.encode_document("the cat"), between({2}, {}));
  EXPECT_EQ(other.end_of_text(), 1);
}

TEST_F(SentencePieceTest, ReadsAModelThatPutsNoSpaceFirst) {
  write(gemma_like_model());
  const Tokenizer tokenizer = open(TokenizerType::kHuggingFace);
  EXPECT_EQ(tokenizer.end_of_text(), 1);
  EXPECT_THAT(tokenizer.document_prefix(), ElementsAre(2));
  EXPECT_NE(tokenizer.encode("the"), tokenizer.encode(" the"));
  for (const char* text : {"the", " the", "  the "}) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode_document(text)), text);
  }
}

TEST_F(SentencePieceTest, FindsMegatronsOwnTokens) {
  write(llama2_like_model());
  const Tokenizer plain = open(TokenizerType::kGptSentencePiece);
  const Tokenizer tokenizer = open(TokenizerType::kSentencePiece);
  const auto size = static_cast<int32_t>(plain.vocab_size());
  EXPECT_EQ(tokenizer.vocab_size(),
            size + 5);  // <CLS> <SEP> <EOD> <MASK> <PAD>; <s>, </s> are pieces
  EXPECT_EQ(tokenizer.end_of_text(), size + 2);
  EXPECT_EQ(tokenizer.token_id("<PAD>"), size + 4);
  EXPECT_EQ(tokenizer.token_id("<nothing>"), std::nullopt);
  std::vector<int32_t> expected = plain.encode("the cat");
  expected.push_back(size + 2);
  for (const int32_t id : plain.encode(" the")) expected.push_back(id);
  expected.push_back(2);
  EXPECT_EQ(tokenizer.encode_document("the cat<EOD> the</s>"), expected);
  EXPECT_EQ(tokenizer.decode(expected), "the cat the");
  EXPECT_EQ(tokenizer.decode(expected, false), "the cat<EOD> the</s>");
}

TEST_F(SentencePieceTest, TakesAddedTokensFromTheConfiguration) {
  write(llama2_like_model());
  const Tokenizer plain = open(TokenizerType::kGptSentencePiece);
  const Tokenizer tokenizer = open_with(R"({"eos_token": "<|end|>", "add_bos_token": false,
      "added_tokens_decoder": {"2": {"content": "</s>", "special": true},
                               "400": {"content": "<|end|>", "special": true},
                               "401": {"content": "<tool>"}}})");
  EXPECT_EQ(tokenizer.vocab_size(), 402);
  EXPECT_EQ(tokenizer.end_of_text(), 400);
  std::vector<int32_t> expected = {401};
  for (const int32_t id : plain.encode("cat")) expected.push_back(id);
  expected.insert(expected.end(), {2, 400});
  EXPECT_EQ(tokenizer.encode("<tool>cat</s><|end|>"), expected);
  EXPECT_EQ(tokenizer.decode(expected), "<tool>cat");
}

TEST_F(SentencePieceTest, NamesWhatIsDamagedOrContradictory) {
  const std::string good = llama2_like_model();
  const auto refuse = [&](TokenizerType type, const char* what) {
    EXPECT_ERROR(open(type), ErrorKind::kData, what);
  };
  for (const std::string& text :
       {std::string(), std::string("{}"), good.substr(0, good.size() / 2)}) {
    write(text);
    refuse(TokenizerType::kLlama2, "tokenizer.model is not a SentencePiece model");
  }
  write(train_sentencepiece({{"model_type", "bpe"}, {"vocab_size", "60"}, {"bos_id", "-1"}}));
  refuse(TokenizerType::kLlama2, "has no bos piece");
  EXPECT_THAT(open(TokenizerType::kHuggingFace).document_prefix(), IsEmpty());
  write(R"({"add_bos_token": true})", "tokenizer_config.json");
  refuse(TokenizerType::kHuggingFace, "wants bos around a text");

  write(good);
  const auto refuse_config = [&](const char* config, const char* what) {
    write(config, "tokenizer_config.json");
    refuse(TokenizerType::kHuggingFace, what);
  };
  refuse_config("[", "tokenizer_config.json is not a JSON object");
  refuse_config(R"({"add_bos_token": "yes"})", "is not laid out as a tokenizer_config.json");
  refuse_config(R"({"add_eos_token": true, "eos_token": "<x>"})",
                "wants eos around a text, \"<x>\"");
  refuse_config(R"({"added_tokens_decoder": {"2": {"content": "<x>"}}})",
                "calls the id 2 \"<x>\", the model calls it \"</s>\"");
  refuse_config(R"({"added_tokens_decoder": {"-1": {"content": "<x>"}}})", "with the id \"-1\"");
}

TEST_F(SentencePieceTest, RefusesAModelThatRewritesItsText) {
  // A denormalizer with compiled rules: field 5, in it field 2.
  write(llama2_like_model() + "\x2a\x03\x12\x01x");
  EXPECT_ERROR(open(TokenizerType::kGptSentencePiece), ErrorKind::kData, "rewrites decoded text");
}

TEST_F(SentencePieceTest, ReadsWhatTheModelSaysAboutItself) {
  const SentencePieceFacts llama2 = read_sentencepiece_facts(write(llama2_like_model()));
  EXPECT_EQ(llama2.algorithm, "bpe");
  EXPECT_EQ(llama2.bos, "<s>");
  EXPECT_EQ(llama2.eos, "</s>");
  EXPECT_EQ(llama2.pad, "");
  EXPECT_EQ(static_cast<int64_t>(llama2.pieces.size()), open(TokenizerType::kLlama2).vocab_size());
  const SentencePieceFacts gemma = read_sentencepiece_facts(write(gemma_like_model()));
  EXPECT_EQ(gemma.bos, "<bos>");
  EXPECT_EQ(gemma.eos, "<eos>");
  EXPECT_EQ(gemma.pad, "<pad>");
  EXPECT_EQ(read_sentencepiece_facts(write(plain_unigram_model())).algorithm, "unigram");
}

}  // namespace
}  // namespace borealis
