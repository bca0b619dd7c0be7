// Data sets in a temporary folder, and the run configuration that reads them.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "config/run_config.h"
#include "data/indexed_dataset_writer.h"
#include "support/temporary_folder.h"

namespace borealis {

// Documents of the given lengths whose tokens count up from `first_token` through all of them.
inline void write_dataset(const std::filesystem::path& prefix, const std::vector<int>& lengths,
                          int32_t first_token = 0, TokenType type = TokenType::kU16) {
  IndexedDatasetWriter writer(prefix, type);
  for (const int length : lengths) {
    std::vector<int32_t> tokens(static_cast<size_t>(length));
    std::iota(tokens.begin(), tokens.end(), first_token);
    first_token += length;
    writer.add_document(tokens);
  }
  writer.commit();
}

inline RunConfig small_run(const std::filesystem::path& list) {
  RunConfig config;
  config.model.vocab_size = 60000;
  config.batch = {
      .seq_length = 8, .micro_batch_size = 1, .grad_accum_steps = 1, .global_batch_size = 1};
  config.limits.train_iters = 4;
  config.limits.eval_interval = 2;
  config.limits.eval_iters = 2;
  config.data.data_file_list = list.string();
  config.data.split = "1,0,0";
  return config;
}

#define EXPECT_ERROR_THAT(statement, expected_kind, matcher)                  \
  try {                                                                       \
    statement;                                                                \
    ADD_FAILURE() << "no error was thrown";                                   \
  } catch (const Error& error) {                                              \
    EXPECT_EQ(error_kind_name(error.kind()), error_kind_name(expected_kind)); \
    EXPECT_THAT(std::string(error.what()), matcher);                          \
  }

}  // namespace borealis
