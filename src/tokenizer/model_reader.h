// The "model" and the "added_tokens" of a tokenizer.json.
#pragma once

#include <string_view>

#include "tokenizer/json_file.h"
#include "tokenizer/piece_table.h"
#include "tokenizer/tokenizer_definition.h"

namespace borealis {

// Fills what the definition says of pieces, merges and added tokens. Throws Error(kData).
class ModelReader {
 public:
  ModelReader(const JsonFile& file, TokenizerDefinition& definition)
      : file_(file), definition_(definition) {}
  void read_model(JsonFile::Element model);
  void read_added_tokens(JsonFile::Element root);

 private:
  void check_options(JsonFile::Element model) const;
  void read_vocabulary(simdjson::dom::object vocabulary);
  void read_merges(simdjson::dom::array merges);
  void read_merge(JsonFile::Element merge, size_t rank);
  void add_merge(std::string_view left, std::string_view right, size_t rank);
  void read_added_token(JsonFile::Element token);
  void put_piece(std::string_view piece, int64_t id);
  int32_t piece_id(std::string_view piece, size_t rank, const char* role) const;

  const JsonFile& file_;
  TokenizerDefinition& definition_;
  PieceTable ids_;
  size_t entries_ = 0;  // of vocabulary and added tokens
  std::string joined_;  // scratch of add_merge()
};

}  // namespace borealis
