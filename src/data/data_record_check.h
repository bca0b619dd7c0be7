// Whether the data of a run was made with the run's tokenizer, by the records beside the data.
#pragma once

#include <cstdint>
#include <string>

#include "config/run_config.h"

namespace borealis {

// What the records say of the tokenizers that made a run's data.
struct DataTokenizers {
  int64_t files = 0;     // of the data list, with a weight
  int64_t unknown = 0;   // of them, those without a record
  std::string recorded;  // how the tokenizer of the others was called
};

// Looks at every file of the data list that has a weight. Throws Error(kConfig) naming the file and
// both sides where the data has another tokenizer, vocabulary or end token than the run;
// DatasetError for a damaged record. One warning counts the files without a record. Does nothing
// for random tokens. Where the run has no tokenizer only the vocabulary and a given end token are
// compared.
DataTokenizers check_data_records(const RunConfig& config);

// For a report: the data is tokenized beforehand, and the run's own tokenizer, which sizes the
// vocabulary and decodes samples, need not be the one that did it.
std::string data_tokenizer_text(const RunConfig& config, const DataTokenizers& tokenizers);

}  // namespace borealis
