// The input is an .idx file; beside it lies a .bin of 64 bytes. What `data verify` finds sound must
// be readable to the last token.
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "data/dataset_check.h"
#include "data/indexed_dataset.h"
#include "support/temporary_folder.h"

namespace {

constexpr int64_t kVocabulary = 60;

void read_everything(const borealis::IndexedDataset& dataset) {
  std::vector<int32_t> tokens;
  for (int64_t sequence = 0; sequence < dataset.sequence_count(); ++sequence) {
    dataset.document_of_sequence(sequence);
    const int64_t length = dataset.lengths()[sequence];
    tokens.resize(static_cast<size_t>(length));
    dataset.read(sequence, 0, length, kVocabulary, tokens.data());
  }
}

struct DatasetFolder {
  DatasetFolder() {
    borealis::log_open(borealis::LogStream::kStderr, "ERROR");
    std::string tokens(64, '\0');
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<char>(i);
    std::ofstream(prefix + ".bin", std::ios::binary) << tokens;
  }
  borealis::TemporaryFolder folder;
  std::string prefix = (folder.path() / "fuzz").string();
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const DatasetFolder files;
  std::ofstream(files.prefix + ".idx", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  const borealis::DatasetCheck check = borealis::check_dataset(files.prefix, kVocabulary, nullptr);
  try {
    read_everything(borealis::IndexedDataset(files.prefix));
  } catch (const borealis::Error&) {
    CHECK(!check.problems.empty());
  }
  return 0;
}
