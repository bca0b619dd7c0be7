// Whether the data of a run was made with the run's tokenizer, by the records beside the data.
#pragma once

#include "config/run_config.h"

namespace borealis {

// Looks at every file of the data list that has a weight. Throws Error(kConfig) naming the file and
// both sides where the data has another tokenizer, vocabulary or end token than the run;
// DatasetError for a damaged record. One warning counts the files without a record. Does nothing
// for random tokens. Where the run has no tokenizer only the vocabulary and a given end token are
// compared.
void check_data_records(const RunConfig& config);

}  // namespace borealis
