// Sample indices kept in files of the reference's names, dtypes and shapes, so that either program
// reads what the other made (contract section 7.8). Of every file of the list and split:
//   <md5>.dsc              the text below, whose MD5 names the files
//   <md5>_doc_idx.npy      [epochs * sequences] i32
//   <md5>_sample_idx.npy   [samples + 1, 2] i64
//   <md5>_shuffle_idx.npy  [samples] u32, or i64 from 2^32 - 2 samples on
// They are looked for in `index-cache` beside the data, then in the cache folder, and made in the
// latter: each under a temporary name, renamed when it is on the disk, by one process at a time
// where the file system has locks. Reading maps them. Damaged and foreign files draw one warning
// and are made again; where the folder cannot be written, the index is built in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/batch.h"
#include "data/corpus_order.h"
#include "data/indexed_dataset.h"
#include "data/sample_index.h"

namespace borealis {

// What all indices of one split of one run have in common.
struct IndexSettings {
  std::filesystem::path folder;
  Split split = Split::kTrain;
  int64_t seq_length = 0;
  uint32_t seed = 0;
  std::string split_text;  // as given: "990,10,0"
};

struct FileIndexRequest {
  const IndexedDataset* data = nullptr;
  std::string listed_prefix;  // as spelled in the list: it enters the hash
  SequenceRange range;
  int64_t requested = 0;
};

std::string md5_hex(std::string_view text);

// The text whose MD5 names the files of an index.
std::string sample_index_description(const IndexSettings& settings,
                                     const FileIndexRequest& request);

// One index for every request, read or built; files are worked on in parallel.
std::vector<SampleIndex> cached_sample_indices(const std::vector<FileIndexRequest>& requests,
                                               const IndexSettings& settings);

// One corpus: its label and its files.
struct CorpusOrderRequest {
  std::string label;
  std::vector<CorpusMember> members;
  std::vector<std::string> listed_prefixes;
};

// The orders of the samples of corpora, read or built. The reference names their two files by label
// and size alone, so that runs with another seed or other files find them, too. Here the name is
// the MD5 of everything that decides the order; the reference's name is a second link to the same
// files, made where it is free. Files that only have the reference's name are used if they hold
// exactly this order.
//   <md5>_index.npy, <md5>_sample_index.npy   [samples] i64: the member, and its sample's number
std::vector<CorpusOrder> cached_corpus_orders(const std::vector<CorpusOrderRequest>& requests,
                                              const CorpusShuffling& shuffling,
                                              const IndexSettings& settings);

}  // namespace borealis
