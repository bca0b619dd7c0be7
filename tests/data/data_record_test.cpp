#include "data/data_record.h"

#include <fstream>

#include "data/data_record_check.h"
#include "data/data_test_support.h"
#include "tokenizer/bpe_trainer.h"

namespace borealis {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

DataRecord full_record() {
  DataRecord record;
  record.tokenizer = {.kind = "tokenizer.json",
                      .sha256 = std::string(64, 'a'),
                      .vocab_size = 70000,
                      .end_token = 7,
                      .document_prefix = {1, 2},
                      .document_suffix = {3}};
  record.tokenizer_path = "tok\xff";
  record.end_token_appended = true;
  record.type = TokenType::kI32;
  record.documents = 5;
  record.tokens = int64_t{1} << 40;
  record.program = "borealis 0";
  record.sources = {{"/a", 1, 2, 3, 4}, {"/b", 5, 6, 0, std::nullopt}};
  return record;
}

TEST(DataRecord, ComesBackAsItWasWritten) {
  DataRecord record = full_record();
  const DataRecord read = parse_data_record(data_record_json(record), "x");
  record.tokenizer_path = "tok\ufffd";  // JSON is UTF-8
  EXPECT_EQ(read, record);
  record.tokenizer.end_token = std::nullopt;
  EXPECT_EQ(parse_data_record(data_record_json(record), "x"), record);
}

TEST(DataRecord, DamageIsNamed) {
  const std::string good = data_record_json(full_record());
  for (size_t size = 0; size + 1 < good.size(); size += 7) {
    EXPECT_ERROR_THAT(parse_data_record(good.substr(0, size), "x.meta.json"), ErrorKind::kData,
                      HasSubstr("x.meta.json is not a record of tokenized data"));
  }
  std::string other = good;
  other.replace(other.find("\"format_version\": 1"), 19, "\"format_version\": 2");
  EXPECT_ERROR_THAT(parse_data_record(other, "x"), ErrorKind::kData,
                    HasSubstr("version 2 is not known"));
  for (const char* number : {"1e30", "2.5", "-1e30", "18446744073709551615", "\"5\"", "[5]"}) {
    other = good;
    other.replace(other.find("\"documents\": 5") + 13, 1, number);
    EXPECT_ERROR_THAT(parse_data_record(other, "x"), ErrorKind::kData, HasSubstr("whole number"));
  }
  other = good;
  other.replace(other.find("\"end_token\": 7") + 13, 1, "4294967296");
  EXPECT_ERROR_THAT(parse_data_record(other, "x"), ErrorKind::kData, HasSubstr("whole number"));
  other = good;
  other.replace(other.find("\"i32\""), 5, "\"f32\"");
  EXPECT_ERROR_THAT(parse_data_record(other, "x"), ErrorKind::kData,
                    HasSubstr("'f32' is not known"));
}

class DataRecordCheckTest : public ::testing::Test {
 protected:
  DataRecordCheckTest() {
    write_tokenizer("mine", 260);
    write_tokenizer("other", 258);
    for (const char* name : {"a", "b"}) write_dataset(folder_ / name, {5});
    write_file_atomically(folder_ / "list.txt", "1 a books\n1 b books\n0 none books\n");
    config_ = small_run(folder_ / "list.txt");
    config_.data.tokenizer_type = "HFTokenizer";
    config_.data.tokenizer_path = (folder_ / "mine/tokenizer.json").string();
  }
  void write_tokenizer(const std::string& name, int64_t size) {
    borealis::create_directories(folder_ / name);
    write_file_atomically(
        folder_ / name / "tokenizer.json",
        tokenizer_json(train_bpe({{" the", 5}, {"the", 3}}, {.vocab_size = size}, nullptr)));
  }
  DataRecord record_by(const std::string& name) {
    DataRecord record;
    record.tokenizer = tokenizer_identity(Tokenizer(folder_ / name));
    record.tokenizer_path = name;
    record.end_token_appended = true;
    return record;
  }
  void write_record(const std::string& name, const DataRecord& record) {
    write_file_atomically(data_record_path(folder_ / name), data_record_json(record));
  }
  std::string warnings() {
    testing::internal::CaptureStdout();
    check_data_records(config_);
    return testing::internal::GetCapturedStdout();
  }
  TemporaryFolder folder_;
  RunConfig config_;
};

TEST_F(DataRecordCheckTest, WarnsOnceOfFilesWithoutRecord) {
  EXPECT_THAT(warnings(), HasSubstr("2 of 2 data files have no record of the tokenizer"));
  write_record("a", record_by("mine"));
  EXPECT_THAT(warnings(), HasSubstr("1 of 2 data files has no record"));
  write_record("b", record_by("mine"));
  EXPECT_EQ(warnings(), "");
  config_.data.mock_data = true;
  std::filesystem::remove(folder_ / "list.txt");
  EXPECT_EQ(warnings(), "");
}

TEST_F(DataRecordCheckTest, AReportTellsWhatIsKnownOfTheDatasTokenizer) {
  const auto told = [this] {
    testing::internal::CaptureStdout();  // warnings
    const std::string text = data_tokenizer_text(config_, check_data_records(config_));
    testing::internal::GetCapturedStdout();
    return text;
  };
  EXPECT_EQ(told(),
            "not known: the data is tokenized beforehand and has no record of it; this run's own "
            "only sizes the vocabulary and decodes samples");
  write_record("a", record_by("mine"));
  EXPECT_EQ(told(),
            "of 1 of 2 files this run's, by the records beside the data (mine); of the others not "
            "known");
  write_record("b", record_by("mine"));
  EXPECT_EQ(told(), "this run's, by the records beside the data (mine)");
  config_.data.tokenizer_path.clear();
  EXPECT_EQ(told(), "mine, by the records beside the data");
  std::filesystem::remove(data_record_path(folder_ / "a"));
  std::filesystem::remove(data_record_path(folder_ / "b"));
  EXPECT_EQ(told(), "not known: the data is tokenized beforehand and has no record of it");
  config_.data.mock_data = true;
  EXPECT_EQ(told(), "none: random tokens");
}

TEST_F(DataRecordCheckTest, RefusesAnotherTokenizerNamingBoth) {
  write_record("a", record_by("mine"));
  write_record("b", record_by("other"));
  EXPECT_ERROR_THAT(
      check_data_records(config_), ErrorKind::kConfig,
      AllOf(HasSubstr("/b.bin was made with the tokenizer other (tokenizer.json with 258"),
            HasSubstr("this run has the tokenizer " + config_.data.tokenizer_path +
                      " (tokenizer.json with 260")));
  DataRecord other_end = record_by("mine");
  other_end.tokenizer.end_token = 3;
  write_record("b", other_end);
  EXPECT_ERROR_THAT(check_data_records(config_), ErrorKind::kConfig,
                    AllOf(HasSubstr("end token 3"), HasSubstr("end token 0")));
  write_record("b", record_by("mine"));
  EXPECT_EQ(warnings(), "");
}

TEST_F(DataRecordCheckTest, WithoutATokenizerTheVocabularyIsCompared) {
  write_record("a", record_by("mine"));
  write_record("b", record_by("mine"));
  config_.data.tokenizer_path = "";
  config_.model.vocab_size = 260;
  EXPECT_EQ(warnings(), "");
  config_.model.vocab_size = 259;
  EXPECT_ERROR_THAT(check_data_records(config_), ErrorKind::kConfig,
                    AllOf(HasSubstr("260 entries"), HasSubstr("a vocabulary of 259 entries")));
}

TEST_F(DataRecordCheckTest, ARunThatLooksForEndsNeedsTheRightEndToken) {
  DataRecord record = record_by("mine");
  write_record("a", record);
  record.end_token_appended = false;
  write_record("b", record);
  config_.data.eod_token = 5;
  EXPECT_EQ(warnings(), "") << "nothing depends on the token";
  config_.data.eod_mask_loss = true;
  EXPECT_ERROR_THAT(check_data_records(config_), ErrorKind::kConfig,
                    AllOf(HasSubstr("the end token 0"), HasSubstr("the end token 5")));
  config_.data.eod_token = 0;
  EXPECT_THAT(warnings(), HasSubstr("b.bin were not ended with an end token"));
}

TEST_F(DataRecordCheckTest, ADamagedRecordIsNamed) {
  write_file_atomically(data_record_path(folder_ / "b"), "{");
  EXPECT_ERROR_THAT(check_data_records(config_), ErrorKind::kData, HasSubstr("b.meta.json"));
}

}  // namespace
}  // namespace borealis
