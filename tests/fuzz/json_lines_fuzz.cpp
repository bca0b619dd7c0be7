// Any bytes as an input file of `data tokenize`: the first chooses the rules, the rest is
// the file, which may be gzip or zstd. What is read whole is read again from the end of one of its
// documents, and must then be the rest of the same documents.
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "support/temporary_folder.h"
#include "tokenizer/documents.h"

namespace {

using namespace borealis;

constexpr int64_t kLargestDocument = 2 << 20;

struct Document {
  std::string text;
  TextPosition end;
  bool operator==(const Document&) const = default;
};

std::vector<Document> read_from(const DocumentFiles& files, const TextPosition& start) {
  std::vector<Document> documents;
  DocumentReader reader(files, start);
  int64_t position = start.offset;
  while (const auto chunk = reader.next()) {
    CHECK(chunk->end().offset > position && chunk->text_bytes() > 0);
    chunk->for_each_document([&](std::string_view text, int64_t end) {
      CHECK(end > position && end <= chunk->end().offset);
      position = end;
      documents.push_back({std::string(text), {chunk->end().file, end}});
    });
    position = chunk->end().offset;
  }
  return documents;
}

void read_whole_and_from_the_middle(const DocumentFiles& files, size_t choice) {
  const std::vector<Document> all = read_from(files, {});
  if (all.empty()) return;
  const size_t first = choice % all.size();
  const std::vector<Document> rest = read_from(files, all[first].end);
  CHECK(rest ==
        std::vector<Document>(all.begin() + static_cast<std::ptrdiff_t>(first) + 1, all.end()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TemporaryFolder folder;
  if (size == 0) return 0;
  const std::string path = folder.path() / "input";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data) + 1, static_cast<std::streamsize>(size - 1));
  try {
    const DocumentRules rules{
        .format = (data[0] & 1) != 0 ? TextFormat::kText : TextFormat::kJsonLines,
        .unit = static_cast<DocumentUnit>((data[0] >> 1) % 3),
        .on_bad_record = static_cast<BadRecordPolicy>((data[0] >> 3) % 3),
        .max_document_bytes = kLargestDocument};
    read_whole_and_from_the_middle(DocumentFiles({path}, rules), data[0] >> 1);
  } catch (const Error&) {
  }
  return 0;
}
