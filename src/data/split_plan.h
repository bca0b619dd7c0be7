// What a run asks of its data files, by arithmetic on their sizes: which sequences of which file
// serve a split, how many samples each gives, and whether the sample index fits in one piece.
//
// The index of all samples of a split is built at once, which gives the reference's order, as long
// as it stays below 4 GiB or below the size of the data itself. A run that asks for trillions of
// tokens of a small corpus would need tens of GiB; then the samples are cut into equal blocks, and
// each block is a run of its own with seed + block number, whose index is built in memory when the
// stream reaches it. Blocks are small, so that building one is no pause.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/run_config.h"
#include "data/batch.h"
#include "data/data_order.h"
#include "data/indexed_dataset.h"
#include "data/sample_index.h"
#include "data/split_bounds.h"

namespace borealis {

struct IndexLimits {
  int64_t whole_bytes = 4ll << 30;   // above this and the split's tokens, blocks
  int64_t block_bytes = 16ll << 20;  // of one block, but never less than one epoch's
};

struct OpenedFile {
  double weight = 0;  // as in the list
  std::string corpus;
  std::string listed_prefix;
  int64_t member = 0;  // which file of its corpus this is, those that are not opened counted
  IndexedDataset data;
};

// The files of the run's data list, in list order. Those of weight 0 give nothing and are not
// opened, with one exception: where the files of a corpus are blended, the rule of the reference
// can draw samples of them, so they take part beside files that have a weight.
struct OpenedFiles {
  std::vector<OpenedFile> files;
  bool one_prefix = false;  // no list: neither blended nor shuffled, and without the half percent
  std::vector<std::string> corpora_without_samples;  // labels that have files of weight 0 only

  size_t size() const { return files.size(); }
  const OpenedFile& operator[](size_t i) const { return files[i]; }
  auto begin() const { return files.begin(); }
  auto end() const { return files.end(); }
};
// What was opened last is kept, for a run asks for its files many times: while it starts, and for
// each of its splits. It is opened anew where the list or a file has changed.
std::shared_ptr<const OpenedFiles> open_data_files(const RunConfig& config);

// One sample index of a file. A file is an endless stream of samples: all those of its first
// generation, then those of the next, which is an index with the next seed.
struct FileGeneration {
  int64_t number = 0;     // added to the seed
  int64_t requested = 0;  // of the index
  int64_t count = 0;      // that the index has, >= requested
  int64_t begin = 0;      // place of its first sample in the file's stream
  int64_t epochs = 0;     // exact ones, which are those of the run's first segment
};

struct FilePlan {
  SequenceRange range;
  int64_t samples = 0;                           // asked for, in one block
  int64_t first = 0;                             // place in the file's stream of the first of them
  std::vector<FileGeneration> generations = {};  // that hold them, in order; none for no samples

  // What the index of a generation is made of.
  SequenceRange range_of(const FileGeneration& generation) const {
    SequenceRange of = range;
    of.epochs = generation.epochs;
    return of;
  }

  // Samples from `first` to the end of what the generations hold.
  int64_t available() const;
};

struct SplitPlan {
  Split split = Split::kTrain;
  int64_t requested = 0;  // samples that the run consumes at most
  int64_t blocks = 1;
  int64_t first_block = 0;    // blocks of the segments before: added to the seed, as a block's
                              // own number is
  int64_t block_samples = 0;  // == requested if there is one block
  std::vector<FilePlan> files = {};  // one for each opened file
  int64_t train_samples = 0;         // of all files for the training split: divides corpus weights
  int64_t whole_index_bytes = 0;     // if it were built in one piece
  int64_t index_bytes = 0;           // of one block
  int64_t build_bytes = 0;           // of them, those that must be in memory to build files of it
  int64_t lengths_bytes = 0;         // of its sequences' lengths, all of which building reads
  int64_t epochs = 0;                // of all blocks, of the file that needs the most
  int64_t mapped_bytes = 0;          // file pages that the split can touch
  int64_t samples_in_block() const;  // of all files: >= block_samples
  int64_t sample_count() const;      // that it can give in all: >= requested
};

// False for validation and test where the split leaves no file two tokens: they are done without.
// Training data is always there, or an error by plan_segments.
bool has_documents(const RunConfig& config, const OpenedFiles& files, Split split);

// True if the index of the split is kept in files of the configuration's cache folder.
bool uses_index_cache(const RunConfig& config, const SplitPlan& plan);

// Plans of a chain of segments (data_order.h), each going on where the one before it ended.
// None for a split that !has_documents; a file that has nothing for validation or test takes no
// part in it. `limits` is an argument for the tests' sake. Throws Error(kData) if a file that has a
// weight has nothing to train on, Error(kConfig) for exact epochs that do not fit.
std::vector<SplitPlan> plan_segments(const RunConfig& config, const OpenedFiles& files, Split split,
                                     std::span<const DataSegment> segments,
                                     const IndexLimits& limits = {});
// Of the one segment of a run that begins; the split must have documents.
SplitPlan plan_split(const RunConfig& config, const OpenedFiles& files, Split split,
                     int64_t requested, const IndexLimits& limits = {});

}  // namespace borealis
