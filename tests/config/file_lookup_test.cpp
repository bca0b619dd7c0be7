// Where tokenizers and data lists are found.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "config/data_list_lookup.h"
#include "config/support.h"
#include "config/tokenizer_lookup.h"
#include "config/tokenizer_types.h"
#include "support/expect_error.h"
#include "support/sentencepiece_bytes.h"

namespace borealis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Three pieces and two added tokens, one of them beyond the base vocabulary.
constexpr const char* kTokenizer = R"({"version":"1.0","added_tokens":[
  {"id":2,"content":"</s>","special":true},{"id":300,"content":"<|x|>","special":true}],
  "normalizer":{"vocab":{"not":1,"this":2}},
  "model":{"type":"BPE","vocab":{"a":0,"b":1,"</s>":2},"merges":[["a","b"],"a b"]}})";

TokenizerLookup look_up(const std::string& model, const Variables& variables = {},
                        const std::string& home = "") {
  return find_tokenizer({.model = model}, home, environment_of(variables));
}

// The file that was found; "" if none was.
std::string path_of(const TokenizerLookup& found) { return found.source ? found.source->path : ""; }

TEST(TokenizerLookup, TakesAFileOrItsFolder) {
  const WorkingFolder folder;
  folder.write("tok/tokenizer.json", kTokenizer);
  for (const char* name : {"tok/tokenizer.json", "tok", "tok/"}) {
    const TokenizerLookup found = look_up(name);
    EXPECT_TRUE(fs::equivalent(path_of(found), "tok/tokenizer.json")) << name;
    EXPECT_EQ(found.base_vocab_size, 3);
    EXPECT_EQ(found.vocab_size, 301);
  }
}

TEST(TokenizerLookup, FallsBackToTheRepositoryFolder) {
  const WorkingFolder folder;
  folder.write("home/data/tokenizer.json", kTokenizer);
  const std::string home = (folder.path() / "home").string();
  EXPECT_EQ(path_of(look_up("data/tokenizer.json", {}, home)), home + "/data/tokenizer.json");
  const RunConfig run = load_as_given(
      {{"BOREALIS_HOME", home}, {"TOKENIZER_MODEL", "data/tokenizer.json"}}, {"--mock-data"});
  EXPECT_EQ(run.model.vocab_size, 384);
  EXPECT_EQ(run.data.tokenizer_path, home + "/data/tokenizer.json");
}

TEST(TokenizerLookup, CountsUnigramPieces) {
  const WorkingFolder folder;
  folder.write("tokenizer.json",
               R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1.5]]}})");
  EXPECT_EQ(look_up("tokenizer.json").vocab_size, 2);
}

TEST(TokenizerLookup, ReadsTheHubCache) {
  const WorkingFolder folder;
  folder.write("hub/models--some--model/refs/main", "abc123\n");
  folder.write("hub/models--some--model/snapshots/abc123/tokenizer.json", kTokenizer);
  folder.write("hub/models--some--model/snapshots/other/tokenizer.json", "{}");
  const std::string root = folder.path().string();
  const std::string expected = root + "/hub/models--some--model/snapshots/abc123/tokenizer.json";
  EXPECT_EQ(path_of(look_up("some/model", {{"HF_HUB_CACHE", root + "/hub"}})), expected);
  EXPECT_EQ(path_of(look_up("some/model", {{"HUGGINGFACE_HUB_CACHE", root + "/hub"}})), expected);
  EXPECT_EQ(path_of(look_up("some/model", {{"HF_HOME", root}})), expected);
  EXPECT_EQ(path_of(look_up("some/model", {{"HF_HOME", "~"}, {"HOME", root}})), expected);
  EXPECT_EQ(path_of(look_up("some/model", {{"HF_HUB_CACHE", "${BASE}/hub"}, {"BASE", root}})),
            expected);
  EXPECT_EQ(path_of(look_up("some/model", {{"HF_HUB_CACHE", "/nonexistent"}, {"HF_HOME", root}})),
            "")
      << "the first variable that is set names the only root";
}

TEST(TokenizerLookup, ReadsTheDefaultHubCacheOfAUser) {
  const WorkingFolder folder;
  const std::string root = folder.path().string();
  folder.write(".cache/huggingface/hub/models--m/snapshots/only/tokenizer.json", kTokenizer);
  EXPECT_EQ(path_of(look_up("m", {{"HOME", root}})),
            root + "/.cache/huggingface/hub/models--m/snapshots/only/tokenizer.json");
  folder.write("xdg/huggingface/hub/models--m/snapshots/one/tokenizer.json", kTokenizer);
  EXPECT_EQ(path_of(look_up("m", {{"XDG_CACHE_HOME", root + "/xdg"}, {"HOME", root}})),
            root + "/xdg/huggingface/hub/models--m/snapshots/one/tokenizer.json");
}

TEST(TokenizerLookup, NeverPicksOneOfSeveralSnapshots) {
  const WorkingFolder folder;
  folder.write("models--m/snapshots/one/tokenizer.json", kTokenizer);
  folder.write("models--m/snapshots/two/tokenizer.json", kTokenizer);
  const Variables cache = {{"HF_HUB_CACHE", folder.path().string()}};
  EXPECT_ERROR(look_up("m", cache), ErrorKind::kFile,
               "models--m has the snapshots one, two and no refs/main to choose one");
  const Variables variables = {{"HF_HUB_CACHE", folder.path().string()}, {"TOKENIZER_MODEL", "m"}};
  EXPECT_THAT(refusal_as_given(variables, {"--mock-data"}).text, HasSubstr("TOKENIZER_MODEL=m: /"));
  EXPECT_EQ(look_up(folder.path() / "models--m/snapshots/two", cache).vocab_size, 301);
}

TEST(TokenizerLookup, FindsTheFilesOfItsType) {
  const WorkingFolder folder;
  folder.write("all/tokenizer.json", kTokenizer);
  folder.write("all/tokenizer.model", sentencepiece_model({"<unk>", "<s>", "</s>", "a", "b"}));
  folder.write("all/vocab.json", R"({"a": 0, "b": 1, "<|endoftext|>": 2, "ab": 3})");
  folder.write("all/merges.txt", "a b");
  folder.write("spm/tokenizer.model", sentencepiece_model({"<unk>", "<s>", "</s>", "a", "b"}));
  folder.write("spm/tokenizer_config.json", R"({"added_tokens_decoder": {"40": {}}})");
  folder.write("gpt2/gpt2-vocab.json", R"({"a": 0, "<|endoftext|>": 1})");
  folder.write("gpt2/gpt2-merges.txt", "");
  const auto find = [](TokenizerType type, const std::string& model) {
    return find_tokenizer({.type = type, .model = model}, "", environment_of({}));
  };
  using enum TokenizerType;
  EXPECT_EQ(path_of(find(kHuggingFace, "all")), "all/tokenizer.json");
  EXPECT_EQ(path_of(find(kGpt2, "all")), "all/vocab.json");
  EXPECT_EQ(find(kGpt2, "all").vocab_size, 4);
  EXPECT_EQ(path_of(find(kLlama2, "all")), "all/tokenizer.model");
  EXPECT_EQ(path_of(find(kHuggingFace, "spm")), "spm/tokenizer.model");
  EXPECT_EQ(find(kHuggingFace, "spm").base_vocab_size, 5);
  EXPECT_EQ(find(kHuggingFace, "spm").vocab_size, 41);
  EXPECT_EQ(find(kGptSentencePiece, "spm/tokenizer.model").vocab_size, 5);
  EXPECT_EQ(find(kSentencePiece, "spm").vocab_size, 10) << "<CLS> <SEP> <EOD> <MASK> <PAD> more";
  const TokenizerLookup gpt2 = find(kGpt2, "gpt2");
  EXPECT_EQ(gpt2.source->merges, "gpt2/gpt2-merges.txt");
  EXPECT_EQ(gpt2.vocab_size, 2);
  EXPECT_EQ(find(kHuggingFace, "gpt2").source->format(), TokenizerFormat::kGpt2);
  EXPECT_EQ(find(kLlama2, "gpt2").source, std::nullopt);
  EXPECT_THAT(find(kLlama2, "gpt2").tried, ElementsAre("gpt2/tokenizer.model"));
  EXPECT_ERROR(find(kGpt2, "all/vocab.json"), ErrorKind::kConfig, "needs two files");
  EXPECT_ERROR(find(kLlama2, "all/tokenizer.json"), ErrorKind::kData,
               "is not a SentencePiece model");
}

TEST(TokenizerLookup, FindsAModelInTheHubCache) {
  const WorkingFolder folder;
  folder.write("models--google--gemma-7b/refs/main", "c");
  folder.write("models--google--gemma-7b/snapshots/c/tokenizer.model",
               sentencepiece_model({"<unk>", "<s>", "</s>"}));
  EXPECT_EQ(look_up("google/gemma-7B", {{"HF_HUB_CACHE", folder.path().string()}}).vocab_size, 3);
}

TEST(TokenizerLookup, ReadsGpt2FromTheDataFolder) {
  const WorkingFolder folder;
  folder.write("data/gpt2-vocab.json", R"({"a": 0, "<|endoftext|>": 1})");
  folder.write("data/gpt2-merges.txt", "");
  for (const char* type : {"gpt2", "GPT", "GPT2BPETokenizer"}) {
    const RunConfig run =
        load_as_given({{"TOKENIZER_TYPE", type}, {"DATA_PARENT", "data"}}, {"--mock-data"});
    EXPECT_EQ(run.data.tokenizer_path, "data/gpt2-vocab.json");
    EXPECT_EQ(run.data.tokenizer_merges_path, "data/gpt2-merges.txt");
    EXPECT_EQ(run.data.tokenizer_type, "GPT2BPETokenizer");
    EXPECT_EQ(run.data.tokenizer_vocab_size, 2);
  }
  const RunConfig run = load_as_given({{"TOKENIZER_TYPE", "gpt2"}},
                                      {"--mock-data", "--vocab-file", "data/gpt2-vocab.json",
                                       "--merge-file", "data/gpt2-merges.txt"});
  EXPECT_EQ(run.data.tokenizer_path, "data/gpt2-vocab.json");
  EXPECT_THAT(refusal_as_given({{"TOKENIZER_TYPE", "gpt2"}},
                               {"--mock-data", "--vocab-file", "data/gpt2-vocab.json"})
                  .text,
              HasSubstr("only one is given"));
}

TEST(TokenizerLookup, SizesAVocabularyOfNumbers) {
  const WorkingFolder folder;
  const RunConfig run =
      load_as_given({{"TOKENIZER_TYPE", "NullTokenizer"}}, {"--mock-data", "--vocab-size", "786"});
  EXPECT_EQ(run.data.tokenizer_vocab_size, 787);
  EXPECT_EQ(run.model.vocab_size, 896);
  EXPECT_EQ(tokenizer_source(run.data)->size, 786);
  EXPECT_THAT(refusal_as_given({{"TOKENIZER_TYPE", "NullTokenizer"}}, {"--mock-data"}).text,
              HasSubstr("TOKENIZER_TYPE=NullTokenizer needs --vocab-size N"));
  folder.write("model/tokenizer_config.json",
               R"({"tokenizer_class": "NullTokenizer", "vocab_size": 786})");
  EXPECT_EQ(look_up("model").source->size, 786);
  folder.write("model/tokenizer_config.json", R"({"tokenizer_class": "NullTokenizer"})");
  EXPECT_ERROR(look_up("model"), ErrorKind::kData, "has no vocab_size");
}

// The script's default is spelled with a capital B, the repository is not.
TEST(TokenizerLookup, KnowsGemmaInAnySpelling) {
  const WorkingFolder folder;
  for (const char* name : {"google/gemma-7b", "google/gemma-7B", "Google/Gemma-7B"}) {
    EXPECT_EQ(known_vocab_size(name), 256000) << name;
    const TokenizerLookup absent = look_up(name);
    EXPECT_EQ(path_of(absent), "");
    EXPECT_EQ(absent.vocab_size, 256000);
  }
  folder.write("models--google--gemma-7b/refs/main", "c");
  folder.write("models--google--gemma-7b/snapshots/c/tokenizer.json", kTokenizer);
  EXPECT_EQ(look_up("google/gemma-7B", {{"HF_HUB_CACHE", folder.path().string()}}).vocab_size, 301);
}

TEST(TokenizerLookup, ListsAllPlacesWhenAbsent) {
  const WorkingFolder folder;
  const Refusal refused = refusal_as_given({{"TOKENIZER_MODEL", "nobody/nothing"},
                                            {"BOREALIS_HOME", "/nonexistent/home"},
                                            {"HF_HUB_CACHE", "/nonexistent/hub"}},
                                           {"--mock-data"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.text,
              AllOf(HasSubstr("TOKENIZER_MODEL=nobody/nothing was not found"),
                    HasSubstr("tried nobody/nothing, /nonexistent/home/nobody/nothing, "
                              "/nonexistent/hub/models--nobody--nothing"),
                    HasSubstr("--vocab-size")));
}

TEST(TokenizerLookup, RefusesOtherFiles) {
  const WorkingFolder folder;
  folder.write("broken.json", R"({"model":{"vocab":{"a":0,)");
  folder.write("other.json", R"({"model":{"type":"BPE"}})");
  folder.write("list.json", "[1,2,3]");
  folder.write("empty.json", "");
  folder.write("none.json", R"({"model":{"vocab":{}}})");
  for (const char* name : {"broken.json", "other.json", "list.json", "empty.json", "none.json"}) {
    const Refusal refused = refusal_as_given({{"TOKENIZER_MODEL", name}}, {"--mock-data"});
    EXPECT_THAT(refused.text, HasSubstr("cannot be read as a tokenizer.json")) << name;
    EXPECT_EQ(refused.exit_code, 2);
  }
  EXPECT_THAT(refusal_as_given({{"TOKENIZER_MODEL", "other.json"}}, {"--mock-data"}).text,
              HasSubstr("it has no model.vocab"));
}

TEST(TokenizerLookup, TheVocabularyHoldsEveryIdOfTheTokenizer) {
  const WorkingFolder folder;
  folder.write("tokenizer.json", kTokenizer);
  folder.write("list.txt", "1 data corpus\n");
  const Variables variables = {{"TOKENIZER_MODEL", "tokenizer.json"},
                               {"DATA_FILE_LIST", "list.txt"}};
  const RunConfig run = load_as_given(variables);
  EXPECT_EQ(run.data.tokenizer_vocab_size, 301);
  EXPECT_EQ(run.model.vocab_size, 384);
  EXPECT_TRUE(run.warnings.empty());
  EXPECT_TRUE(
      holds(run.notes, "holds all 301 ids of the tokenizer; the reference takes its 3 base"));
  const RunConfig small = load_as_given(variables, {"--vocab-size", "3"});
  EXPECT_EQ(small.model.vocab_size, 128);
  EXPECT_TRUE(holds(small.warnings,
                    "has token ids up to 300, the model's vocabulary is 128; data that holds "
                    "larger ids needs --vocab-size 301"));
}

// An id that no model has room for must not turn into a size.
TEST(TokenizerLookup, RefusesIdsBeyondAllModels) {
  const WorkingFolder folder;
  for (const char* id : {"9223372036854775807", "18446744073709551615", "2147483648"}) {
    folder.write("tokenizer.json", fmt::format(R"({{"added_tokens": [{{"id": {}}}],)"
                                               R"( "model": {{"vocab": {{"a": 0}}}}}})",
                                               id));
    EXPECT_ERROR(look_up("tokenizer.json"), ErrorKind::kData, "an added token has the id");
  }
}

TEST(TokenizerLookup, ReleasedModelsKeepTheirVocabulary) {
  const WorkingFolder folder;
  folder.write("tokenizer.json", kTokenizer);
  const RunConfig run = load_as_given(
      {{"MODEL_ARCH", "Llama-3.2-1B"}, {"TOKENIZER_MODEL", "tokenizer.json"}}, {"--mock-data"});
  EXPECT_EQ(run.model.vocab_size, 128256);
}

TEST(TokenizerLookup, PlanningNeedsNoPreparedCorpus) {
  const WorkingFolder folder;
  const RunConfig run = load_as_given({}, {}, /*needs_data=*/false);
  EXPECT_EQ(run.model.vocab_size, 4096);
  EXPECT_EQ(run.data.data_file_list, "");
  const Refusal refused = refusal_as_given({});
  EXPECT_THAT(refused.text,
              AllOf(HasSubstr("2 problems"), HasSubstr("data/bible-kjv/tokenizer.json"),
                    HasSubstr("DATA_FILE_LIST=ALCF/data-lists/books.txt (default) was not found"),
                    HasSubstr("`bash train_alcf.sh` prepares the default corpus")));
}

TEST(TokenizerLookup, CountsTheRealOnes) {
  for (const auto& [name, size] :
       std::map<std::string, int64_t>{{"/work/shared/tokenizers/gemma-7b", 256000},
                                      {"/work/shared/tokenizers/llama-3", 128256}}) {
    if (!fs::exists(name)) GTEST_SKIP() << name << " is not on this machine";
    EXPECT_EQ(look_up(name).vocab_size, size) << name;
  }
}

TEST(DataListLookup, TakesThePathAsGiven) {
  const WorkingFolder folder;
  folder.write("lists/aurora/books.txt", "");
  folder.write("lists/books.txt", "");
  EXPECT_EQ(find_data_list("lists/aurora/books.txt", "").path, "lists/aurora/books.txt");
  EXPECT_FALSE(find_data_list("lists/aurora/books.txt", "").without_machine);
}

TEST(DataListLookup, SaysWhatIsThereInsteadOfAFile) {
  const WorkingFolder folder;
  fs::create_directories("lists/books.txt");
  EXPECT_EQ(find_data_list("lists/books.txt", "").unusable, "lists/books.txt is a folder");
  EXPECT_EQ(find_data_list("/dev/null", "").unusable, "/dev/null is not a regular file");
  EXPECT_EQ(find_data_list("lists/none.txt", "").unusable, "");
}

// $(ezpz_get_machine_name) gives this machine's own name, or nothing where the command is absent.
TEST(DataListLookup, DropsAnUnknownMachine) {
  const WorkingFolder folder;
  folder.write("ALCF/data-lists/books.txt", "");
  const DataListLookup other = find_data_list("ALCF/data-lists/laptop/books.txt", "");
  EXPECT_EQ(other.path, "ALCF/data-lists/books.txt");
  EXPECT_TRUE(other.without_machine);
  const DataListLookup doubled = find_data_list("ALCF/data-lists//books.txt", "");
  EXPECT_EQ(doubled.path, "ALCF/data-lists/books.txt");
  EXPECT_FALSE(doubled.without_machine);
}

TEST(DataListLookup, FallsBackToTheRepositoryFolder) {
  const WorkingFolder folder;
  folder.write("home/ALCF/data-lists/books.txt", "");
  const std::string home = (folder.path() / "home").string();
  const std::string expected = home + "/ALCF/data-lists/books.txt";
  EXPECT_EQ(find_data_list("ALCF/data-lists/books.txt", home).path, expected);
  EXPECT_EQ(find_data_list("ALCF/data-lists/laptop/books.txt", home).path, expected);
  EXPECT_EQ(find_data_list("/ALCF/data-lists/books.txt", home).path, "");
}

TEST(DataListLookup, NamesEveryPathTried) {
  const WorkingFolder folder;
  EXPECT_THAT(
      find_data_list("a/b/c.txt", "/nonexistent").tried,
      ElementsAre("a/b/c.txt", "/nonexistent/a/b/c.txt", "a/c.txt", "/nonexistent/a/c.txt"));
  EXPECT_THAT(find_data_list("c.txt", "").tried, ElementsAre("c.txt"));
  const Refusal refused =
      refusal_as_given({{"DATA_FILE_LIST", "a/b/c.txt"}}, {"--vocab-size", "100"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.text, HasSubstr("DATA_FILE_LIST=a/b/c.txt was not found (tried a/b/c.txt, "
                                      "a/c.txt); name a list of data sets, or use --mock-data"));
}

TEST(DataListLookup, ResolvesTheReportsCommand) {
  const WorkingFolder folder;
  folder.write("ALCF/data-lists/books.txt", "1 x y\n");
  const RunConfig run = load_as_given({{"DATA_FILE_LIST", "ALCF/data-lists/laptop/books.txt"}},
                                      {"--vocab-size", "100"});
  EXPECT_EQ(run.data.data_file_list, "ALCF/data-lists/books.txt");
  EXPECT_TRUE(holds(run.notes,
                    "ALCF/data-lists/laptop/books.txt does not exist; using "
                    "ALCF/data-lists/books.txt"));
}

}  // namespace
}  // namespace borealis::testing
