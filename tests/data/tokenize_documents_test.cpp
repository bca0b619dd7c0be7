#include "data/tokenize_documents.h"

#include <algorithm>
#include <fstream>
#include <map>

#include "data/data_file_list.h"
#include "data/data_record.h"
#include "data/data_test_support.h"
#include "tokenizer/bpe_trainer.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

class TokenizeDocumentsTest : public ::testing::Test {
 protected:
  TokenizeDocumentsTest() {
    options_.output_prefix = folder_ / "out";
    options_.corpus = "label";
    options_.overwrite = true;
  }
  TokenizedCorpus tokenize(const Tokenizer& tokenizer, bool append_end, int threads = 2) {
    TokenizeOptions options = options_;
    options.append_end = append_end;
    options.threads = threads;
    const DocumentFiles files({input_});
    return tokenize_documents(files, tokenizer, options,
                              {.progress = nullptr, .should_stop = stop_});
  }
  // Stops after so many chunks.
  void stop_after(int chunks) {
    stop_ = [chunks, seen = 0]() mutable { return ++seen >= chunks; };
  }
  std::string bytes(const std::string& name) { return read_text_file(folder_ / name); }
  std::vector<std::string> names() {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      found.push_back(entry.path().filename());
    }
    std::ranges::sort(found);
    return found;
  }
  void write_lines(int count) {
    std::string lines;
    for (int i = 0; i < count; ++i) {
      lines += "{\"text\": \"" +
               (i % 50 == 9 ? "" : "document " + std::to_string(i) + " of the the") + "\"}\n";
    }
    write_file_atomically(input_, lines);
  }
  std::vector<int32_t> document(int64_t number) {
    const IndexedDataset data(folder_ / "out");
    std::vector<int32_t> ids(static_cast<size_t>(data.lengths()[number]));
    data.read(number, 0, data.lengths()[number], 1 << 20, ids.data());
    return ids;
  }
  TemporaryFolder folder_;
  std::filesystem::path input_ = folder_ / "in.jsonl";
  TokenizeOptions options_;
  std::function<bool()> stop_;
  Tokenizer tokenizer_{train_bpe({{" the", 5}, {"the", 3}}, {.vocab_size = 262}, nullptr)};
};

TEST_F(TokenizeDocumentsTest, WritesEveryDocumentWithItsEnd) {
  write_file_atomically(input_, "{\"text\": \"the the\"}\n{\"text\": \"\"}\n{\"text\": \"a\"}\n");
  const TokenizedCorpus corpus = tokenize(tokenizer_, true);
  EXPECT_EQ(corpus.documents, 2);
  EXPECT_EQ(corpus.empty_documents, 1);
  EXPECT_EQ(corpus.end_token, 0);
  EXPECT_EQ(corpus.type, TokenType::kU16);
  std::vector<int32_t> expected = tokenizer_.encode("the the");
  expected.push_back(0);  // counted in the length, unlike in the reference
  EXPECT_THAT(document(0), ElementsAreArray(expected));
  EXPECT_EQ(corpus.tokens, static_cast<int64_t>(expected.size()) + 2);
  tokenize(tokenizer_, false);
  EXPECT_THAT(document(0), ElementsAreArray(tokenizer_.encode("the the")));
}

TEST_F(TokenizeDocumentsTest, ThreadsDoNotChangeTheFiles) {
  std::string lines;
  for (int i = 0; i < 60000; ++i) {
    lines += "{\"text\": \"document " + std::to_string(i) + " of the the\"}\n";
  }
  write_file_atomically(input_, lines);
  const TokenizedCorpus corpus = tokenize(tokenizer_, true, 1);
  EXPECT_EQ(corpus.documents, 60000);
  const std::string tokens = read_text_file(folder_ / "out.bin");
  const std::string index = read_text_file(folder_ / "out.idx");
  tokenize(tokenizer_, true, 4);
  EXPECT_EQ(read_text_file(folder_ / "out.bin"), tokens);
  EXPECT_EQ(read_text_file(folder_ / "out.idx"), index);
}

TEST_F(TokenizeDocumentsTest, LeavesNothingBehindOnError) {
  write_file_atomically(input_, "{\"text\": \"a\"}\n{\"text\": 3}\n");
  EXPECT_ERROR_THAT(tokenize(tokenizer_, true), ErrorKind::kData, HasSubstr("in.jsonl:2"));
  write_file_atomically(input_, "{\"text\": \"\"}\n");
  EXPECT_ERROR_THAT(tokenize(tokenizer_, true), ErrorKind::kData,
                    HasSubstr("no documents with text"));
  write_file_atomically(input_, "{\"text\": \"a\"}\n");
  const Tokenizer endless(
      train_bpe({{"a", 1}}, {.vocab_size = 256, .special_tokens = {}}, nullptr));
  EXPECT_ERROR_THAT(tokenize(endless, true), ErrorKind::kConfig, HasSubstr("--no-append-eod"));
  EXPECT_EQ(tokenize(endless, false).documents, 1);
  EXPECT_THAT(names(), ElementsAre("in.jsonl", "out.bin", "out.idx", "out.meta.json"));
}

TEST_F(TokenizeDocumentsTest, AnEndTokenOfTheTokenizersOwnIsNotDoubled) {
  TokenizerDefinition definition = train_bpe({{"a", 1}}, {.vocab_size = 257}, nullptr);
  definition.suffix_ids = {0};
  write_file_atomically(input_, "{\"text\": \"aa\"}\n");
  const Tokenizer tokenizer(definition);
  ASSERT_EQ(tokenizer.end_of_text(), 0);
  tokenize(tokenizer, true);
  EXPECT_EQ(document(0).size(), 3u);
  EXPECT_EQ(document(0).back(), 0);
}

TEST_F(TokenizeDocumentsTest, RecordsTokenizerAndSources) {
  write_lines(100);
  tokenize(tokenizer_, true);
  const DataRecord record = read_data_record(folder_ / "out").value();
  EXPECT_EQ(record.tokenizer, tokenizer_identity(tokenizer_));
  EXPECT_TRUE(record.end_token_appended);
  EXPECT_EQ(record.documents, 98);
  EXPECT_EQ(record.tokens, IndexedDataset(folder_ / "out").token_count());
  ASSERT_EQ(record.sources.size(), 1u);
  EXPECT_EQ(record.sources[0].path, input_);
  EXPECT_EQ(record.sources[0].file_bytes, static_cast<int64_t>(read_text_file(input_).size()));
  EXPECT_EQ(record.sources[0].from_byte, 0);
  EXPECT_EQ(record.sources[0].to_byte, std::nullopt);
}

TEST_F(TokenizeDocumentsTest, ShardsHoldTheDocumentsInOrder) {
  write_lines(60000);
  const TokenizedCorpus whole = tokenize(tokenizer_, true);
  const std::string tokens = bytes("out.bin");
  options_.shard_tokens = whole.tokens / 3;
  options_.output_prefix = folder_ / "part";
  const TokenizedCorpus corpus = tokenize(tokenizer_, true);
  EXPECT_EQ(corpus.tokens, whole.tokens);
  EXPECT_EQ(corpus.documents, whole.documents);
  EXPECT_EQ(corpus.empty_documents, 1200);
  ASSERT_EQ(corpus.prefixes.size(), 4u);  // documents do not fill the first three to the brim
  EXPECT_EQ(bytes("part-00000.bin") + bytes("part-00001.bin") + bytes("part-00002.bin") +
                bytes("part-00003.bin"),
            tokens);
  const auto entries = read_data_file_list(corpus.list.value());
  ASSERT_EQ(entries.size(), 4u);
  std::optional<int64_t> last_byte = 0;
  for (size_t i = 0; i < 4; ++i) {
    const IndexedDataset shard(entries[i].prefix);
    EXPECT_EQ(entries[i].weight, static_cast<double>(shard.token_count()));
    EXPECT_EQ(entries[i].corpus, "label");
    EXPECT_LE(shard.token_count(), options_.shard_tokens);
    const DataRecord record = read_data_record(entries[i].prefix).value();
    EXPECT_EQ(record.sources.at(0).from_byte, last_byte);
    last_byte = record.sources[0].to_byte;
  }
  EXPECT_EQ(last_byte, std::nullopt);
  options_.shard_tokens = 1;  // every document is longer
  write_lines(3);
  EXPECT_EQ(tokenize(tokenizer_, true).prefixes.size(), 3u);
}

TEST_F(TokenizeDocumentsTest, AStoppedRunGoesOn) {
  write_lines(120000);
  for (const int64_t shard_tokens : {int64_t{0}, int64_t{150000}}) {
    options_.shard_tokens = shard_tokens;
    options_.output_prefix = folder_ / "whole";
    stop_ = nullptr;
    const TokenizedCorpus whole = tokenize(tokenizer_, true);
    options_.output_prefix = folder_ / "out";
    int runs = 0;
    TokenizedCorpus corpus;
    do {
      stop_after(2);
      corpus = tokenize(tokenizer_, true, 1 + runs % 3);
      ++runs;
    } while (!corpus.complete && runs < 100);
    EXPECT_GT(runs, 2);
    EXPECT_EQ(corpus.documents, whole.documents);
    EXPECT_EQ(corpus.empty_documents, whole.empty_documents);
    EXPECT_EQ(corpus.text_bytes, whole.text_bytes);
    ASSERT_EQ(corpus.prefixes.size(), whole.prefixes.size());
    for (size_t i = 0; i < whole.prefixes.size(); ++i) {
      for (const char* suffix : {".bin", ".idx", ".meta.json"}) {
        EXPECT_EQ(read_text_file(corpus.prefixes[i].string() + suffix),
                  read_text_file(whole.prefixes[i].string() + suffix))
            << corpus.prefixes[i] << suffix;
      }
    }
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.tokenizing"));
  }
}

TEST_F(TokenizeDocumentsTest, AnUnfinishedRunOfAnotherRequestIsNamed) {
  write_lines(60000);
  stop_after(1);
  EXPECT_FALSE(tokenize(tokenizer_, true).complete);
  stop_ = nullptr;
  const auto expect_refusal = [&](bool append_end, const std::string& text) {
    EXPECT_ERROR_THAT(tokenize(tokenizer_, append_end), ErrorKind::kConfig,
                      ::testing::AllOf(HasSubstr("out.tokenizing holds an unfinished run"),
                                       HasSubstr(text), HasSubstr("--start-over")));
  };
  expect_refusal(false, "append_eod was true, now it is false");
  options_.shard_tokens = 1000;
  expect_refusal(true, "shard_tokens was 0, now it is 1000");
  options_.shard_tokens = 0;
  const Tokenizer other(train_bpe({{"a", 1}}, {.vocab_size = 258}, nullptr));
  EXPECT_ERROR_THAT(tokenize(other, true), ErrorKind::kConfig, HasSubstr("tokenizer was"));
  write_lines(60001);
  expect_refusal(true, "in.jsonl has changed");
  options_.start_over = true;
  const TokenizedCorpus corpus = tokenize(tokenizer_, true);
  EXPECT_EQ(corpus.earlier_text_bytes, 0);
  EXPECT_EQ(corpus.documents + corpus.empty_documents, 60001);
}

// A run that is stopped and damaged ends with the files of one that was not.
class DamagedJournalTest : public TokenizeDocumentsTest {
 protected:
  void SetUp() override {
    write_lines(120000);
    options_.overwrite = false;
  }
  std::map<std::string, std::string> results() {
    std::map<std::string, std::string> files;
    for (const std::string& name : names()) {
      if (name != "in.jsonl" && name != "out.tokenizing") files[name] = bytes(name);
    }
    return files;
  }
  std::map<std::string, std::string> undisturbed() {
    stop_ = nullptr;
    tokenize(tokenizer_, true);
    auto files = results();
    for (const auto& [name, content] : files) std::filesystem::remove(folder_ / name);
    return files;
  }
  // Files that an unfinished run has left, all damageable: its folder's and its finished shards'.
  std::vector<std::filesystem::path> left_by_a_stopped_run() {
    stop_after(3);
    EXPECT_FALSE(tokenize(tokenizer_, true).complete);
    stop_ = nullptr;
    std::vector<std::filesystem::path> files;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(folder_ / "out.tokenizing")) {
      if (entry.is_regular_file() && entry.file_size() > 0) files.push_back(entry.path());
    }
    for (const auto& [name, content] : results()) files.push_back(folder_ / name);
    return files;
  }
  void flip_byte(const std::filesystem::path& path, size_t place) {
    std::string content = read_text_file(path);
    content[place] = static_cast<char>(content[place] ^ 0x10);
    std::ofstream(path, std::ios::binary) << content;
  }
};

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kFilesApart = 3;  // each makes all again: a minute and more
#else
constexpr size_t kFilesApart = 1;
#endif

TEST_F(DamagedJournalTest, IsMadeAgainWhateverIsFlippedOrCut) {
  for (const int64_t shard_tokens : {int64_t{0}, int64_t{400000}}) {
    options_.shard_tokens = shard_tokens;
    const auto expected = undisturbed();
    const size_t count = left_by_a_stopped_run().size();
    ASSERT_GE(count, shard_tokens == 0 ? 4u : 7u);
    for (size_t i = 0; i < count; i += kFilesApart) {
      for (const int damage : {0, static_cast<int>(1 + i % 2)}) {  // a flip, and one of the others
        for (const auto& [name, content] : results()) std::filesystem::remove(folder_ / name);
        std::filesystem::remove_all(folder_ / "out.tokenizing");
        const auto path = left_by_a_stopped_run()[i];
        const std::string size = std::to_string(std::filesystem::file_size(path));
        SCOPED_TRACE(path.string() + " of " + size + " bytes, damage " + std::to_string(damage));
        const auto bytes_before = std::filesystem::file_size(path);
        if (damage == 0) flip_byte(path, bytes_before / 2);
        if (damage == 1) std::filesystem::remove(path);
        if (damage == 2) std::filesystem::resize_file(path, bytes_before / 2);
        const bool unknown_request = path.filename() == "request.json" ||
                                     (path.filename() == "progress.json" && damage == 1);
        // Whose the finished shards are is not known then.
        options_.overwrite = unknown_request && shard_tokens > 0;
        tokenize(tokenizer_, true);
        options_.overwrite = false;
        EXPECT_TRUE(results() == expected);
        EXPECT_FALSE(std::filesystem::exists(folder_ / "out.tokenizing"));
      }
    }
    for (const auto& [name, content] : results()) std::filesystem::remove(folder_ / name);
  }
}

TEST_F(DamagedJournalTest, KeepsItsCountsOfTheInput) {
  write_file_atomically(input_, "bad\n" + bytes("in.jsonl"));
  const auto skipping = [&] {
    const DocumentFiles files({input_}, {.on_bad_record = BadRecordPolicy::kSkip});
    return tokenize_documents(files, tokenizer_, options_,
                              {.progress = nullptr, .should_stop = stop_});
  };
  stop_after(3);
  EXPECT_FALSE(skipping().complete);
  stop_ = nullptr;
  flip_byte(folder_ / "out.tokenizing/tokens", 100);
  const TokenizedCorpus corpus = skipping();
  EXPECT_EQ(corpus.documents, 117600);
  EXPECT_EQ(corpus.empty_documents, 2400);
  EXPECT_EQ(corpus.bad_records.skipped, 1);
  EXPECT_EQ(corpus.text_bytes, static_cast<int64_t>(bytes("in.jsonl").size()));
}

TEST_F(TokenizeDocumentsTest, ReplacesNothingUnasked) {
  write_lines(100);
  tokenize(tokenizer_, true);
  const std::string tokens = bytes("out.bin");
  options_.overwrite = false;
  write_lines(1);
  EXPECT_ERROR_THAT(tokenize(tokenizer_, true), ErrorKind::kUsage,
                    ::testing::AllOf(HasSubstr("out.bin exists"), HasSubstr("--overwrite")));
  EXPECT_EQ(bytes("out.bin"), tokens);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out.tokenizing"));
  options_.shard_tokens = 10;  // other names
  tokenize(tokenizer_, true);
  EXPECT_ERROR_THAT(tokenize(tokenizer_, true), ErrorKind::kUsage,
                    ::testing::AllOf(HasSubstr("out-00000.bin exists"), HasSubstr("with 3 more")));
  std::filesystem::remove(folder_ / "out-00000.bin");
  EXPECT_ERROR_THAT(tokenize(tokenizer_, true), ErrorKind::kUsage,
                    HasSubstr("out-00000.idx exists"));
  options_.overwrite = true;
  EXPECT_EQ(tokenize(tokenizer_, true).documents, 1);
}

TEST_F(TokenizeDocumentsTest, RefusesWhatADataListCannotHold) {
  write_lines(3);
  options_.shard_tokens = 10;
  options_.corpus = "two words";
  EXPECT_ERROR_THAT(tokenize(tokenizer_, true), ErrorKind::kConfig, HasSubstr("--corpus"));
  options_.corpus = "label";
  options_.output_prefix = folder_ / "my.bin.data";
  EXPECT_ERROR_THAT(tokenize(tokenizer_, true), ErrorKind::kConfig, HasSubstr("my.bin.data"));
}

}  // namespace
}  // namespace borealis
