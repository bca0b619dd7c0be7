#include "tokenizer/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "base/error.h"
#include "base/file.h"
#include "support/compress.h"
#include "tokenizer/chunks_in_order.h"

namespace borealis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DocumentFilesTest : public ::testing::Test {
 protected:
  DocumentFilesTest() { borealis::create_directories(folder_); }
  ~DocumentFilesTest() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path write(const std::string& name, const std::string& text) {
    write_file_atomically(folder_ / name, text);
    return folder_ / name;
  }
  static std::vector<std::string> read(const DocumentFiles& files) {
    std::vector<std::string> documents;
    DocumentReader reader(files);
    while (const auto chunk = reader.next()) {
      chunk->for_each_document(
          [&](std::string_view text, int64_t) { documents.emplace_back(text); });
    }
    return documents;
  }
  std::vector<std::string> read(const std::string& name, const std::string& text,
                                TextFormat format = TextFormat::kAuto,
                                const std::string& key = "text") {
    return read(DocumentFiles({write(name, text)}, {.format = format, .json_key = key}));
  }
  std::string refusal(const std::string& name, const std::string& text) {
    try {
      read(name, text);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("borealis-documents-" + std::to_string(::getpid()));
};

TEST_F(DocumentFilesTest, ATextFileIsADocument) {
  EXPECT_THAT(read("a.txt", "one\ntwo\n"), ElementsAre("one\ntwo\n"));
  EXPECT_THAT(read("a.txt", ""), ElementsAre());
  EXPECT_THAT(read("a.jsonl", "{\"text\": 1}", TextFormat::kText), ElementsAre("{\"text\": 1}"));
}

TEST_F(DocumentFilesTest, AByteOrderMarkIsNoText) {
  EXPECT_THAT(read("a.txt", "\xEF\xBB\xBFone"), ElementsAre("one"));
  EXPECT_THAT(read("a.txt", "\xEF\xBB\xBF"), ElementsAre());
  EXPECT_THAT(read("a.txt", "one\xEF\xBB\xBF"), ElementsAre("one\xEF\xBB\xBF"));
  const std::string line = "{\"text\": \"a\"}\n";
  EXPECT_THAT(read("a.jsonl", "\xEF\xBB\xBF" + line + line), ElementsAre("a", "a"));
}

TEST_F(DocumentFilesTest, ALineOfJsonIsADocument) {
  const std::string lines =
      "{\"text\": \"a\\n\\u00e9\"}\r\n\n  \n{\"x\": 1, \"text\": \"\"}\n{\"text\": \"c\"}";
  EXPECT_THAT(read("a.jsonl", lines), ElementsAre("a\n\u00e9", "", "c"));
  EXPECT_THAT(read("a.txt", lines, TextFormat::kJsonLines), ElementsAre("a\n\u00e9", "", "c"));
  EXPECT_THAT(read("a.ndjson", "{\"body\": \"b\"}\n", TextFormat::kAuto, "body"), ElementsAre("b"));
}

// Lines from much shorter than a chunk to some that are longer than three of them.
std::vector<std::string> mixed_texts() {
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i) {
    const size_t length =
        i % 100 == 7 ? (3 << 20) + static_cast<size_t>(i) : static_cast<size_t>(i) * 31;
    texts.push_back(std::to_string(i) + std::string(length, 'x'));
  }
  return texts;
}

std::string json_lines(const std::vector<std::string>& texts) {
  std::string lines;
  for (const std::string& text : texts) lines += "{\"text\": \"" + text + "\"}\n";
  return lines;
}

TEST_F(DocumentFilesTest, ChunksHoldEveryLineOnce) {
  const std::vector<std::string> expected = mixed_texts();
  const std::string lines = json_lines(expected);
  const DocumentFiles files({write("a.jsonl", lines)});
  EXPECT_EQ(files.total_bytes(), static_cast<int64_t>(lines.size()));
  EXPECT_EQ(read(files), expected);
  int64_t chunks = 0;
  DocumentReader reader(files);
  while (const auto chunk = reader.next()) {
    ++chunks;
    EXPECT_EQ(chunk->stored_end(), chunk->end().offset);
  }
  EXPECT_GT(chunks, 5);
}

TEST_F(DocumentFilesTest, CompressedFilesReadLikePlainOnes) {
  const std::vector<std::string> expected = mixed_texts();
  const std::string lines = json_lines(expected);
  const std::string without_end = lines.substr(0, lines.size() - 1);
  for (const std::string& text : {lines, without_end, lines + "\n\n"}) {
    EXPECT_EQ(read("a.jsonl.gz", gzip_bytes(text)), expected);
    EXPECT_EQ(read("a.jsonl.zst", zstd_bytes(text)), expected);
    // By what is in it, not by the name.
    EXPECT_EQ(read("a.jsonl", zstd_bytes(text)), expected);
  }
  EXPECT_THAT(read("a.txt.gz", gzip_bytes("one\ntwo\n")), ElementsAre("one\ntwo\n"));
  EXPECT_THAT(read("a.gz", gzip_bytes("")), ElementsAre());
}

TEST_F(DocumentFilesTest, ReadsOnFromTheEndOfAnyDocument) {
  const std::vector<std::string> texts = mixed_texts();
  const std::string lines = json_lines(texts);
  const DocumentFiles files({write("a.jsonl", lines), write("b.jsonl.gz", gzip_bytes(lines)),
                             write("c.txt", "plain"), write("d.txt.zst", zstd_bytes("packed"))});
  std::vector<std::string> all = read(files);
  ASSERT_EQ(all.size(), 1002u);
  std::vector<TextPosition> ends;
  DocumentReader reader(files);
  while (const auto chunk = reader.next()) {
    chunk->for_each_document([&](std::string_view, int64_t end) {
      ends.push_back({chunk->end().file, end});
    });
  }
  ASSERT_EQ(ends.size(), all.size());
  EXPECT_TRUE(std::ranges::is_sorted(ends));
  for (const size_t document : {0, 7, 8, 250, 499, 500, 507, 998, 999, 1000, 1001}) {
    DocumentReader rest(files, ends[document]);
    size_t next = document + 1;
    while (const auto chunk = rest.next()) {
      chunk->for_each_document([&](std::string_view text, int64_t end) {
        ASSERT_LT(next, all.size());
        EXPECT_EQ(text, all[next]);
        EXPECT_EQ((TextPosition{chunk->end().file, end}), ends[next]);
        ++next;
      });
    }
    EXPECT_EQ(next, all.size());
  }
}

TEST_F(DocumentFilesTest, RefusesADocumentThatIsTooLarge) {
  constexpr int64_t kLimit = 2 << 20;
  const std::string large(3 << 20, 'x');
  const std::string lines = json_lines({"a", large, "b"});
  const auto refusal_of = [&](const std::string& name, const std::string& text) {
    try {
      read(DocumentFiles({write(name, text)}, {.max_document_bytes = kLimit}));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(refusal_of("a.txt", large),
              HasSubstr("a.txt is a document of 3145728 bytes, more than 2.0 MiB"));
  EXPECT_THAT(refusal_of("a.txt.gz", gzip_bytes(large)),
              HasSubstr("a.txt.gz is a document of at least"));
  EXPECT_THAT(refusal_of("a.jsonl", lines),
              HasSubstr("a.jsonl:2: a line of 3145741 bytes, more than 2.0 MiB"));
  EXPECT_THAT(refusal_of("a.jsonl.zst", zstd_bytes(lines)),
              HasSubstr("a.jsonl.zst:2: a line of at least"));
}

TEST_F(DocumentFilesTest, NamesFileAndLineOfAnError) {
  const std::string good(1 << 19, ' ');
  const std::string start = "{\"text\": \"" + good + "\"}\n{\"text\": \"" + good + "\"}\n\n";
  EXPECT_THAT(refusal("bad.jsonl", start + "{\"text\": }\n"),
              HasSubstr("bad.jsonl:4: not JSON at column 10; "));
  EXPECT_THAT(refusal("bad.jsonl", "[1]\n"), HasSubstr("bad.jsonl:1: not a JSON object"));
  EXPECT_THAT(refusal("bad.jsonl", "{\"txt\": \"a\"}\n"),
              HasSubstr("bad.jsonl:1: no key \"text\""));
  EXPECT_THAT(refusal("bad.jsonl", "{\"text\": 1}\n"),
              HasSubstr("bad.jsonl:1: the value of \"text\""));
  EXPECT_THAT(refusal("bad.jsonl", "{\"text\": \"\xff\"}\n"), HasSubstr("bad.jsonl:1: not JSON:"));
}

TEST_F(DocumentFilesTest, NamesThePlaceOfATextThatIsRefused) {
  const DocumentFiles files({write("a.jsonl", "{\"text\": \"good\"}\n\n{\"text\": \"bad\"}\n")});
  DocumentReader reader(files);
  const auto chunk = reader.next();
  try {
    chunk->for_each_document([](std::string_view text, int64_t) {
      if (text == "bad") throw Error(ErrorKind::kData, "it is bad", "give a good one");
    });
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(),
              "data: " + (folder_ / "a.jsonl").string() + ":3: it is bad; give a good one");
    EXPECT_EQ(error.kind(), ErrorKind::kData);
  }
}

TEST_F(DocumentFilesTest, NamesTheLineInACompressedFile) {
  const std::string start = json_lines(mixed_texts());
  EXPECT_THAT(refusal("bad.jsonl.gz", gzip_bytes(start + "\n[1]\n")),
              HasSubstr("bad.jsonl.gz:502: not a JSON object"));
  const std::string packed = gzip_bytes(start);
  EXPECT_THAT(refusal("cut.jsonl.gz", packed.substr(0, packed.size() / 2)),
              HasSubstr("cut.jsonl.gz is truncated"));
}

TEST_F(DocumentFilesTest, RefusesWhatIsNoTextFile) {
  EXPECT_THAT(refusal("a.jsonl.gz", "{\"text\": 1}"), HasSubstr("does not start as a gzip file"));
  EXPECT_THAT(refusal("a.jsonl.zst", ""), HasSubstr("does not start as a zstd file"));
  EXPECT_THROW(DocumentFiles({folder_}), Error);
  EXPECT_THROW(DocumentFiles({folder_ / "none"}), Error);
  EXPECT_THROW(DocumentFiles({"/dev/null"}), Error);
}

TEST_F(DocumentFilesTest, LinesAndParagraphsAreDocumentsWhereAsked) {
  const std::string text = "\n one \r\ntwo\n \t\r\n\n  three\nfour  \n\n\nfive";
  const auto split = [&](DocumentUnit unit) {
    return read(DocumentFiles({write("a.txt", text)}, {.unit = unit}));
  };
  EXPECT_THAT(split(DocumentUnit::kLine), ElementsAre(" one ", "two", "  three", "four  ", "five"));
  EXPECT_THAT(split(DocumentUnit::kParagraph),
              ElementsAre(" one \r\ntwo", "  three\nfour", "five"));
  EXPECT_THAT(split(DocumentUnit::kFile), ElementsAre(text));
  EXPECT_THAT(read(DocumentFiles({write("a.jsonl", "{\"text\": \"a\\n\\nb\"}\n")},
                                 {.unit = DocumentUnit::kParagraph})),
              ElementsAre("a\n\nb"));
}

TEST_F(DocumentFilesTest, ParagraphsOfManyChunksReadOnFromAnyEnd) {
  std::string text;
  std::vector<std::string> expected;
  for (int i = 0; i < 400; ++i) {
    expected.push_back("paragraph " + std::to_string(i));
    for (int line = 0; line < (i % 7 == 0 ? 900 : 140); ++line) {
      expected.back() += "\nof some lines and more lines";
    }
    text += expected.back() + (i % 3 == 0 ? "\n\n" : "\n \r\n\n\n");
  }
  ASSERT_GT(text.size(), size_t{2} << 20);
  for (const std::string name : {"a.txt", "a.txt.gz"}) {
    const DocumentFiles files({write(name, name == "a.txt" ? text : gzip_bytes(text))},
                              {.unit = DocumentUnit::kParagraph});
    EXPECT_EQ(read(files), expected);
    std::vector<TextPosition> ends;
    DocumentReader reader(files);
    while (const auto chunk = reader.next()) {
      chunk->for_each_document([&](std::string_view, int64_t end) {
        ends.push_back({chunk->end().file, end});
      });
    }
    ASSERT_EQ(ends.size(), expected.size());
    for (const size_t i : {size_t{0}, size_t{7}, size_t{200}, size_t{398}}) {
      DocumentReader later(files, ends[i]);
      std::string next;
      later.next()->for_each_document([&](std::string_view document, int64_t) {
        if (next.empty()) next = document;
      });
      EXPECT_EQ(next, expected[i + 1]);
    }
  }
}

class BadRecordsTest : public DocumentFilesTest {
 protected:
  // Documents, and what the log counts.
  std::vector<std::string> read_with(const std::string& name, const std::string& text,
                                     BadRecordPolicy policy,
                                     DocumentUnit unit = DocumentUnit::kFile) {
    std::vector<std::string> documents;
    const DocumentFiles files({write(name, text)}, {.unit = unit, .on_bad_record = policy});
    DocumentReader reader(files);
    BadRecordLog log;
    while (const auto chunk = reader.next()) {
      BadRecords bad;
      chunk->for_each_document(
          [&](std::string_view document, int64_t) { documents.emplace_back(document); }, &bad);
      for (const BadRecord& record : bad.first()) {
        places_.push_back(chunk->place_of(record.offset));
      }
      log.add(*chunk, bad);
    }
    counts_ = log.counts();
    return documents;
  }
  BadRecordCounts counts_;
  std::vector<std::string> places_;
};

constexpr const char* kMixedLines =
    "{\"text\": \"sound \\ud83d\\ude00\"}\n"
    "{\"text\": \"x\\ud83dy\"}\n"  // half a pair, as Python writes it
    "\n"
    "{\"text\": \"z\\ude00\", \"n\": [NaN, -Infinity, Infinity]}\n"
    "{\"text\": \"caf\xe9\"}\n"  // Latin-1
    "[1]\n"
    "{\"other\": NaN}\n"
    "{\"text\": NaN}\n"
    "{\"text\": \"NaN stays \\\\ud83d\"}\n"
    "{\"text\": \"cut";

TEST_F(BadRecordsTest, AreLeftOutWhereAsked) {
  EXPECT_THAT(read_with("a.jsonl", kMixedLines, BadRecordPolicy::kSkip),
              ElementsAre("sound \U0001F600", "NaN stays \\ud83d"));
  EXPECT_EQ(counts_, (BadRecordCounts{.skipped = 7, .repaired = 0, .invalid_utf8 = 1}));
  EXPECT_THAT(places_.front(), HasSubstr("a.jsonl:2"));
  EXPECT_THAT(places_.back(), HasSubstr("a.jsonl:7"));
}

TEST_F(BadRecordsTest, AreMendedWhereAsked) {
  EXPECT_THAT(
      read_with("a.jsonl", kMixedLines, BadRecordPolicy::kRepair),
      ElementsAre("sound \U0001F600", "x\uFFFDy", "z\uFFFD", "caf\uFFFD", "NaN stays \\ud83d"));
  EXPECT_EQ(counts_, (BadRecordCounts{.skipped = 4, .repaired = 3, .invalid_utf8 = 1}));
}

TEST_F(BadRecordsTest, OfPlainTextAreItsDocuments) {
  const std::string text =
      "good\nb\xff"
      "d\n\nlast\n";
  EXPECT_THAT(read_with("a.txt", text, BadRecordPolicy::kSkip), ElementsAre());
  EXPECT_THAT(places_.front(), HasSubstr("a.txt:2"));
  EXPECT_THAT(read_with("a.txt", text, BadRecordPolicy::kRepair), ElementsAre(text))
      << "the encoder puts U+FFFD there";
  EXPECT_THAT(read_with("a.txt", text, BadRecordPolicy::kSkip, DocumentUnit::kLine),
              ElementsAre("good", "last"));
  EXPECT_EQ(counts_, (BadRecordCounts{.skipped = 1, .repaired = 0, .invalid_utf8 = 1}));
  EXPECT_THAT(
      refusal("a.txt", text),
      ::testing::AllOf(HasSubstr("a.txt:2: the byte 0xff is not UTF-8"), HasSubstr("iconv")));
}

TEST_F(BadRecordsTest, AdviceOfTheCallerIsInTheError) {
  try {
    read(DocumentFiles({write("a.jsonl", "{\"text\": \"x\\ud83dy\"}\n")},
                       {.bad_record_remedy = ", or do otherwise"}));
    ADD_FAILURE() << "no error was thrown";
  } catch (const Error& error) {
    EXPECT_THAT(std::string(error.what()),
                ::testing::AllOf(HasSubstr("a.jsonl:1: not JSON"), HasSubstr(", or do otherwise")));
  }
}

TEST_F(BadRecordsTest, ALongLineIsNotQuotedAsAWhole) {
  const std::string message = refusal("a.jsonl", "{\"text\": \"" + std::string(100000, 'x'));
  EXPECT_LT(message.size(), 1000u);
}

class ForChunksInOrder : public DocumentFilesTest {
 protected:
  // A chunk a file, whose text is its number.
  DocumentFiles numbered(int count) {
    std::vector<std::filesystem::path> paths;
    for (int i = 0; i < count; ++i) {
      paths.push_back(write(std::to_string(i) + ".txt", std::to_string(i)));
    }
    return DocumentFiles(paths, {.format = TextFormat::kText});
  }
  static int number_of(const DocumentChunk& chunk) {
    int number = -1;
    chunk.for_each_document(
        [&](std::string_view text, int64_t) { number = std::stoi(std::string(text)); });
    return number;
  }
};

TEST_F(ForChunksInOrder, ConsumesInOrder) {
  const DocumentFiles files = numbered(200);
  DocumentReader reader(files);
  int next = 0;
  for_chunks_in_order(reader, 4, number_of, [&](const DocumentChunk& chunk, int number) {
    EXPECT_EQ(number, next);
    EXPECT_EQ(chunk.end().file, next++);
    return true;
  });
  EXPECT_EQ(next, 200);
}

TEST_F(ForChunksInOrder, StopsWhenAsked) {
  const DocumentFiles files = numbered(100);
  DocumentReader reader(files);
  int consumed = 0;
  for_chunks_in_order(reader, 4, number_of,
                      [&](const DocumentChunk&, int) { return ++consumed < 30; });
  EXPECT_EQ(consumed, 30);
}

TEST_F(ForChunksInOrder, ThrowsTheFirstFailure) {
  const DocumentFiles files = numbered(100);
  const auto fail_from = [](int first) {
    return [first](const DocumentChunk& chunk) {
      const int number = number_of(chunk);
      if (number >= first) throw std::runtime_error(std::to_string(number));
      return number;
    };
  };
  int consumed = 0;
  DocumentReader reader(files);
  try {
    for_chunks_in_order(reader, 4, fail_from(17), [&](const DocumentChunk&, int) {
      ++consumed;
      return true;
    });
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "17");
  }
  EXPECT_EQ(consumed, 17);
  DocumentReader again(files);
  EXPECT_THROW(for_chunks_in_order(again, 2, number_of,
                                   [](const DocumentChunk&, int number) -> bool {
                                     if (number == 3) throw std::runtime_error("consume");
                                     return true;
                                   }),
               std::runtime_error);
}

TEST_F(ForChunksInOrder, TellsADamagedFileAfterWhatCameBefore) {
  const DocumentFiles files(
      {write("a.txt", "0"), write("b.txt.gz", gzip_bytes("1").substr(0, 12)), write("c.txt", "2")});
  DocumentReader reader(files);
  int consumed = 0;
  EXPECT_THROW(for_chunks_in_order(reader, 3, number_of,
                                   [&](const DocumentChunk&, int) {
                                     ++consumed;
                                     return true;
                                   }),
               Error);
  EXPECT_EQ(consumed, 1);
}

}  // namespace
}  // namespace borealis
