#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/json_excerpt.h"
#include "tokenizer/tokenizer_definition.h"
#include "tokenizer/word_scanner.h"

namespace borealis {
namespace {

using nlohmann::ordered_json;

ordered_json added_token_json(const AddedToken& token) {
  return {{"id", token.id},          {"content", token.content}, {"single_word", token.single_word},
          {"lstrip", token.lstrip},  {"rstrip", token.rstrip},   {"normalized", token.normalized},
          {"special", token.special}};
}

}  // namespace

std::string tokenizer_json(const TokenizerDefinition& definition) {
  CHECK(definition.steps.size() == 1 && definition.steps[0].pattern == kGpt2WordPattern);
  CHECK(definition.prefix_ids.empty() && definition.suffix_ids.empty());
  ordered_json added = ordered_json::array();
  for (const AddedToken& token : definition.added_tokens) added.push_back(added_token_json(token));
  // Appending keeps this linear: ordered_json searches its keys one by one.
  ordered_json::object_t vocabulary;
  vocabulary.reserve(definition.pieces.size());
  for (size_t id = 0; id < definition.pieces.size(); ++id) {
    static_cast<std::vector<ordered_json::object_t::value_type>&>(vocabulary)
        .emplace_back(definition.pieces[id], id);
  }
  ordered_json merges = ordered_json::array();
  for (const Merge& merge : definition.merges) {
    merges.push_back(definition.pieces[static_cast<size_t>(merge.left)] + " " +
                     definition.pieces[static_cast<size_t>(merge.right)]);
  }
  const ordered_json byte_level = {{"type", "ByteLevel"},
                                   {"add_prefix_space", !definition.steps[0].prefix.empty()},
                                   {"trim_offsets", true},
                                   {"use_regex", true}};
  const ordered_json model = {{"type", "BPE"},
                              {"dropout", nullptr},
                              {"unk_token", nullptr},
                              {"continuing_subword_prefix", nullptr},
                              {"end_of_word_suffix", nullptr},
                              {"fuse_unk", false},
                              {"byte_fallback", false},
                              {"ignore_merges", definition.ignore_merges},
                              {"vocab", std::move(vocabulary)},
                              {"merges", std::move(merges)}};
  const ordered_json file = {{"version", "1.0"},
                             {"truncation", nullptr},
                             {"padding", nullptr},
                             {"added_tokens", std::move(added)},
                             {"normalizer", nullptr},
                             {"pre_tokenizer", byte_level},
                             {"post_processor", byte_level},
                             {"decoder", byte_level},
                             {"model", model}};
  return json_text(file, 2) + "\n";
}

std::string tokenizer_config_json(const TokenizerDefinition& definition) {
  ordered_json decoder = ordered_json::object();
  for (const AddedToken& token : definition.added_tokens) {
    ordered_json entry = added_token_json(token);
    entry.erase("id");
    decoder[std::to_string(token.id)] = std::move(entry);
  }
  ordered_json file = {{"add_prefix_space", !definition.steps.front().prefix.empty()},
                       {"added_tokens_decoder", std::move(decoder)},
                       {"clean_up_tokenization_spaces", false},
                       {"tokenizer_class", "PreTrainedTokenizerFast"}};
  if (definition.end_of_text) {
    for (const char* role : {"bos_token", "eos_token", "unk_token"}) {
      file[role] = *definition.end_of_text;
    }
  }
  return json_text(file, 2) + "\n";
}

}  // namespace borealis
