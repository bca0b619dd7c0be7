#include "tokenizer/small_tokenizers.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Refusals : public ::testing::Test {
 protected:
  // What is said of a good file with one part replaced by other JSON, or without it.
  std::string with(const char* part, const char* value) const {
    json file = good_;
    file[json::json_pointer(part)] = json::parse(value);
    return refusal(file);
  }
  std::string without(const char* parent, const char* key) const {
    json file = good_;
    file[json::json_pointer(parent)].erase(key);
    return refusal(file);
  }
  const json good_ = small_tokenizer({{"a", "b"}}, {{{"content", "<x>"}}});
};

TEST_F(Refusals, NameWhatIsNotSupported) {
  EXPECT_EQ(refusal(good_), "no error");
  EXPECT_THAT(with("/model/type", R"("Unigram")"), HasSubstr("a model of type Unigram"));
  EXPECT_THAT(with("/model/dropout", "0.1"), HasSubstr("dropout"));
  EXPECT_THAT(with("/model/continuing_subword_prefix", R"("##")"),
              HasSubstr("continuing_subword_prefix"));
  EXPECT_THAT(with("/model/end_of_word_suffix", R"("</w>")"), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(with("/model/byte_fallback", "true"), HasSubstr("byte_fallback beside"));
  EXPECT_THAT(with("/post_processor", R"({"type": "BertProcessing"})"),
              HasSubstr("the post-processor BertProcessing"));
  EXPECT_THAT(with("/post_processor", R"({"type": "TemplateProcessing", "special_tokens": {},
                                          "single": []})"),
              HasSubstr("a template without the text"));
  const char* const twice = R"({"type": "TemplateProcessing", "special_tokens": {},
      "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]})";
  EXPECT_THAT(with("/post_processor", twice), HasSubstr("a template that repeats the text"));
}

TEST_F(Refusals, NameNormalizersAndPreTokenizers) {
  EXPECT_THAT(with("/normalizer", R"({"type": "Lowercase"})"),
              HasSubstr("the normalizer Lowercase"));
  EXPECT_THAT(with("/normalizer", R"({"type": "Sequence", "normalizers": [{"type": "Nmt"}]})"),
              HasSubstr("the normalizer Nmt"));
  EXPECT_THAT(
      with("/normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})"),
      HasSubstr("an empty pattern in Replace"));
  EXPECT_THAT(with("/pre_tokenizer", R"({"type": "Whitespace"})"),
              HasSubstr("the pre-tokenizer Whitespace"));
  EXPECT_THAT(with("/pre_tokenizer",
                   R"({"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Often"})"),
              HasSubstr("the behavior \"Often\""));
  EXPECT_THAT(with("/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [
      {"type": "ByteLevel"}, {"type": "Digits"}]})"),
              HasSubstr("Digits after ByteLevel"));
  EXPECT_THAT(with("/pre_tokenizer",
                   R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})"),
              HasSubstr("the prepend_scheme last"));
  EXPECT_THAT(with("/pre_tokenizer", R"({"type": "Metaspace", "replacement": "__"})"),
              HasSubstr("\"replacement\" of Metaspace is not one character"));
  const char* const contradiction = R"({"type": "Metaspace", "replacement": "_",
      "add_prefix_space": false, "prepend_scheme": "first"})";
  EXPECT_THAT(with("/pre_tokenizer", contradiction), HasSubstr("contradict each other"));
  json many = json::array();
  for (int i = 0; i < 65; ++i) many.push_back({{"type", "Digits"}});
  json file = good_;
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", many}};
  EXPECT_THAT(refusal(file), HasSubstr("a pre-tokenizer of more than 64 steps"));
}

TEST_F(Refusals, NameDecoders) {
  EXPECT_THAT(with("/decoder", R"({"type": "WordPiece"})"), HasSubstr("the decoder WordPiece"));
  EXPECT_THAT(with("/decoder", R"({"type": "Replace", "pattern": {"Regex": "x"}, "content": ""})"),
              HasSubstr("an expression in the decoder Replace"));
  EXPECT_THAT(with("/decoder", R"({"type": "Sequence", "decoders": [
      {"type": "Fuse"}, {"type": "ByteFallback"}]})"),
              HasSubstr("the decoder ByteFallback after another that joins tokens"));
  EXPECT_THAT(with("/decoder", R"({"type": "Strip", "content": "", "start": 1, "stop": 0})"),
              HasSubstr("\"content\" of Strip is not one character"));
  EXPECT_THAT(with("/decoder", R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})"),
              HasSubstr("\"start\" has the wrong type"));
}

TEST_F(Refusals, NameDamagedFiles) {
  EXPECT_THAT(refusal(std::string("{")), HasSubstr("is not JSON"));
  EXPECT_THAT(refusal(std::string("")), HasSubstr("is empty"));
  EXPECT_THAT(refusal(std::string("{\"model\": \"\xff\"}")), HasSubstr("is not JSON"));
  EXPECT_THAT(refusal("{\"model\": " + std::string(3000, '[') + std::string(3000, ']') + "}"),
              HasSubstr("is not JSON"));
  EXPECT_THAT(refusal(std::string("{}")), HasSubstr("has no \"model\""));
  EXPECT_THAT(refusal(std::string("[1]")), HasSubstr("has no \"model\""));
  EXPECT_THAT(refusal(std::string("{\"model\": 3}")), HasSubstr("\"model\" has the wrong type"));
  EXPECT_THAT(without("/model", "vocab"), HasSubstr("no \"vocab\""));
  EXPECT_THAT(without("/model", "merges"), HasSubstr("no \"merges\""));
  EXPECT_THAT(with("/model/vocab", "[]"), HasSubstr("\"vocab\" has the wrong type"));
  EXPECT_THAT(with("/model/byte_fallback", "1"), HasSubstr("\"byte_fallback\" has the wrong type"));
  EXPECT_THAT(with("/added_tokens", "[{\"id\": 1}]"), HasSubstr("no \"content\""));
  EXPECT_THAT(with("/pre_tokenizer", "3"), HasSubstr("\"pretokenizers\" has the wrong type"));
  EXPECT_THAT(with("/decoder", R"({"type": "Replace", "content": ""})"),
              HasSubstr("no \"pattern\""));
  EXPECT_THAT(with("/post_processor", R"({"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "<s>"}}, {"Sequence": {}}], "special_tokens": {"<s>": {"ids": [900]}}})"),
              HasSubstr("puts the id 900 around a text, but the highest is 257"));
}

TEST_F(Refusals, NameDamagedMerges) {
  const auto with_merge = [&](const json& merge) {
    json file = good_;
    file["model"]["merges"].push_back(merge);
    return refusal(file);
  };
  EXPECT_THAT(with_merge("ab"), HasSubstr("the merge 1 \"ab\", not two pieces and a space"));
  EXPECT_THAT(with_merge("a b c"), HasSubstr("the merge 1 \"a b c\", not two pieces"));
  EXPECT_THAT(with_merge("a zz"),
              HasSubstr("\"zz\" as a part of merge 1, but not in its vocabulary"));
  EXPECT_THAT(with_merge("b a"), HasSubstr("\"ba\" as the result of merge 1"));
  EXPECT_THAT(with_merge(" a"), HasSubstr("\"\" as a part of merge 1"));
  EXPECT_THAT(with_merge(3), HasSubstr("merge 1 that is neither"));
  EXPECT_THAT(with_merge({"a"}), HasSubstr("merge 1 that is neither"));
  EXPECT_THAT(with_merge({"a", 3}), HasSubstr("merge 1 that is neither"));
}

TEST_F(Refusals, NameDamagedIds) {
  EXPECT_THAT(with("/model/vocab/ba", "256"), HasSubstr("the id 256 to both"));
  EXPECT_THAT(with("/model/vocab/ba", "-1"), HasSubstr("the id -1"));
  EXPECT_THAT(with("/model/vocab/ba", "1099511627776"), HasSubstr("the id 1099511627776"));
  EXPECT_THAT(with("/model/vocab/ba", "70000"),
              HasSubstr("gives \"ba\" the id 70000, but has 258 entries only"));
  EXPECT_THAT(with("/model/vocab/ba", R"("x")"), HasSubstr("\"vocab\" has the wrong type"));
  EXPECT_THAT(with("/model/vocab/ba", "1.5"), HasSubstr("\"vocab\" has the wrong type"));
  EXPECT_THAT(with("/model/unk_token", R"("<nope>")"), HasSubstr("\"<nope>\" as the unk_token"));
  EXPECT_THAT(with("/added_tokens/0/id", "3"), HasSubstr("the id 3 to both"));
  std::string twice = good_.dump();
  twice.insert(twice.find("\"vocab\":{") + 9, "\"z\":300,\"z\":301,");
  EXPECT_THAT(refusal(twice), HasSubstr("lists \"z\" twice"));
}

TEST(TokenizerReader, RefusesAnExpressionThatIsWrong) {
  json file = small_tokenizer({});
  file["pre_tokenizer"] = json::parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}, {"type": "ByteLevel"}]})");
  EXPECT_THROW(make_tokenizer(file), Error);
}

TEST(TokenizerReader, ReadsBothSpellingsOfMerges) {
  json file = small_tokenizer({{"a", "b"}, {" ", "c"}});
  const auto words = make_tokenizer(file).encode("ab c");
  json pairs = json::array();
  for (const std::string merge : file["model"]["merges"]) {
    const size_t space = merge.find(' ');
    pairs.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  file["model"]["merges"] = pairs;
  EXPECT_EQ(make_tokenizer(file).encode("ab c"), words);
}

TEST(TokenizerReader, LetsATokenThatIsAPieceKeepThePiecesId) {
  json file = small_tokenizer({{"a", "b"}});
  file["added_tokens"].push_back({{"id", 77}, {"content", "ab"}, {"special", true}});
  const Tokenizer tokenizer = make_tokenizer(file);
  EXPECT_THAT(tokenizer.encode("xab"), ElementsAre('x', 256));
  EXPECT_TRUE(tokenizer.is_special(256));
  EXPECT_FALSE(tokenizer.is_special(77));
}

}  // namespace
}  // namespace borealis
