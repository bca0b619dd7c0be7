#include "tokenizer/pipeline_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tokenizer/utf8.h"
#include "tokenizer/word_scanner.h"

namespace borealis {
namespace {

using simdjson::dom::array;
using simdjson::dom::object;

constexpr size_t kMostSteps = 64;  // they nest when they run

// Calls read(part) for each part of a Sequence, and for a part that is none.
template <typename Read>
void for_each_part(const JsonFile& file, PipelinePart part, const char* key, Read read) {
  if (!part || part->is_null()) return;
  file.as<object>(*part, key);
  if (file.type_of(*part) != "Sequence") {
    read(*part);
    return;
  }
  for (const JsonFile::Element inner : file.at_as<array>(*part, key)) {
    for_each_part(file, inner, key, read);
  }
}

template <typename Step>
Step& add_step(const JsonFile& file, std::vector<Step>& steps, const char* where) {
  if (steps.size() == kMostSteps) {
    file.refuse_part(fmt::format("a {} of more than {} steps", where, kMostSteps));
  }
  return steps.emplace_back();
}

struct Pattern {
  std::string text;
  bool literal = false;
};

Pattern read_pattern(const JsonFile& file, JsonFile::Element part) {
  const JsonFile::Element pattern = file.at(part, "pattern");
  Pattern result;
  if (pattern.is_string()) {
    result = {std::string(file.as<std::string_view>(pattern, "pattern")), true};
  } else if (file.find(pattern, "Regex")) {
    result = {file.text_at(pattern, "Regex"), false};
  } else {
    result = {file.text_at(pattern, "String"), true};
  }
  if (result.text.empty())
    file.refuse_part(fmt::format("an empty pattern in {}", file.type_of(part)));
  return result;
}

// The one character under `key`.
std::string read_character(const JsonFile& file, JsonFile::Element part, const char* key) {
  const std::string text = file.text_at(part, key);
  if (text.empty() || code_point_at(text, 0).length != text.size()) {
    file.refuse_layout(fmt::format("\"{}\" of {} is not one character", key, file.type_of(part)));
  }
  return text;
}

std::optional<NormalizerStep::Kind> normal_form(std::string_view type) {
  using Form = NormalizerStep::Kind;
  constexpr std::array<std::pair<std::string_view, Form>, 4> kForms = {
      {{"NFC", Form::kNfc}, {"NFD", Form::kNfd}, {"NFKC", Form::kNfkc}, {"NFKD", Form::kNfkd}}};
  for (const auto& [name, kind] : kForms) {
    if (type == name) return kind;
  }
  return std::nullopt;
}

// Metaspace has had two spellings of when it puts its character before a text.
WordStep::Prefix prefix_scheme(const JsonFile& file, JsonFile::Element part) {
  const auto scheme = file.value<std::string_view>(part, "prepend_scheme", "always");
  const bool adds = file.value(part, "add_prefix_space", true);
  if (!adds) {
    if (file.find(part, "prepend_scheme") && scheme != "never") {
      file.refuse_layout("Metaspace's add_prefix_space and prepend_scheme contradict each other");
    }
    return WordStep::Prefix::kNever;
  }
  if (scheme == "always") return WordStep::Prefix::kAlways;
  if (scheme == "first") return WordStep::Prefix::kFirst;
  if (scheme != "never") file.refuse_part(fmt::format("the prepend_scheme {}", scheme));
  return WordStep::Prefix::kNever;
}

WordStep metaspace_step(const JsonFile& file, JsonFile::Element part) {
  WordStep step;
  step.space = step.prefix = read_character(file, part, "replacement");
  step.prefix_scheme = prefix_scheme(file, part);
  if (file.value(part, "split", true)) {
    step.pattern = step.space;
    step.literal = true;
    step.behavior = SplitBehavior::kMergedWithNext;
  }
  return step;
}

WordStep byte_level_step(const JsonFile& file, JsonFile::Element part) {
  WordStep step;
  if (file.value(part, "use_regex", true)) step.pattern = kGpt2WordPattern;
  if (file.value(part, "add_prefix_space", true)) {
    step.prefix = std::string(1, ' ');
    step.prefix_scheme = WordStep::Prefix::kAlways;
  }
  return step;
}

WordStep split_step(const JsonFile& file, JsonFile::Element part) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {
      {{"Isolated", SplitBehavior::kIsolated},
       {"Removed", SplitBehavior::kRemoved},
       {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
       {"MergedWithNext", SplitBehavior::kMergedWithNext},
       {"Contiguous", SplitBehavior::kContiguous}}};
  const auto name = file.value<std::string_view>(part, "behavior", "");
  const auto behavior = std::ranges::find(kBehaviors, name, [](const auto& b) { return b.first; });
  if (behavior == kBehaviors.end()) {
    file.refuse_part(fmt::format("a Split pre-tokenizer with the behavior \"{}\"", name));
  }
  WordStep step;
  Pattern pattern = read_pattern(file, part);
  step.pattern = std::move(pattern.text);
  step.literal = pattern.literal;
  step.behavior = behavior->second;
  step.invert = file.value(part, "invert", false);
  return step;
}

WordStep digits_step(const JsonFile& file, JsonFile::Element part) {
  WordStep step;
  step.pattern = std::string("\\p{N}");
  const bool each = file.value(part, "individual_digits", false);
  step.behavior = each ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
  return step;
}

WordStep word_step(const JsonFile& file, JsonFile::Element part) {
  const std::string type = file.type_of(part);
  if (type == "ByteLevel") return byte_level_step(file, part);
  if (type == "Split") return split_step(file, part);
  if (type == "Digits") return digits_step(file, part);
  if (type == "Metaspace") return metaspace_step(file, part);
  file.refuse_part(fmt::format("the pre-tokenizer {}", type));
}

void read_template(const JsonFile& file, JsonFile::Element part, TokenizerDefinition& definition) {
  bool before_text = true;
  std::vector<int32_t> prefix;
  std::vector<int32_t> suffix;
  const auto highest = static_cast<int64_t>(definition.pieces.size()) - 1;
  for (const JsonFile::Element item : file.at_as<array>(part, "single")) {
    if (file.find(item, "Sequence")) {
      if (!before_text) file.refuse_part("a template that repeats the text");
      before_text = false;
      continue;
    }
    const std::string name = file.text_at(file.at(item, "SpecialToken"), "id");
    const JsonFile::Element token = file.at(file.at(part, "special_tokens"), name);
    for (const JsonFile::Element element : file.at_as<array>(token, "ids")) {
      const auto id = file.as<int64_t>(element, "ids");
      if (id < 0 || id > highest) {
        file.refuse_damage(
            fmt::format("puts the id {} around a text, but the highest is {}", id, highest));
      }
      (before_text ? prefix : suffix).push_back(static_cast<int32_t>(id));
    }
  }
  if (before_text) file.refuse_part("a template without the text");
  definition.prefix_ids.insert(definition.prefix_ids.begin(), prefix.begin(), prefix.end());
  definition.suffix_ids.insert(definition.suffix_ids.end(), suffix.begin(), suffix.end());
}

DecoderStep decoder_step(const JsonFile& file, JsonFile::Element part) {
  using Kind = DecoderStep::Kind;
  const std::string type = file.type_of(part);
  DecoderStep step;
  if (type == "ByteLevel") {
    step.kind = Kind::kByteLevel;
  } else if (type == "ByteFallback") {
    step.kind = Kind::kByteFallback;
  } else if (type == "Fuse") {
    step.kind = Kind::kFuse;
  } else if (type == "Replace") {
    Pattern pattern = read_pattern(file, part);
    if (!pattern.literal) file.refuse_part("an expression in the decoder Replace");
    step.kind = Kind::kReplace;
    step.pattern = std::move(pattern.text);
    step.content = file.text_at(part, "content");
  } else if (type == "Strip") {
    step.kind = Kind::kStrip;
    step.pattern = read_character(file, part, "content");
    step.strip_left = file.at_as<uint64_t>(part, "start");
    step.strip_right = file.at_as<uint64_t>(part, "stop");
  } else if (type == "Metaspace") {
    step.kind = Kind::kMetaspace;
    step.pattern = read_character(file, part, "replacement");
    step.strip_first = prefix_scheme(file, part) != WordStep::Prefix::kNever;
  } else {
    file.refuse_part(fmt::format("the decoder {}", type));
  }
  return step;
}

}  // namespace

void read_normalizer(const JsonFile& file, PipelinePart part, TokenizerDefinition& definition) {
  for_each_part(file, part, "normalizers", [&](JsonFile::Element inner) {
    NormalizerStep& step = add_step(file, definition.normalizer, "normalizer");
    const std::string type = file.type_of(inner);
    if (const auto form = normal_form(type)) {
      step.kind = *form;
    } else if (type == "Replace") {
      Pattern pattern = read_pattern(file, inner);
      step.kind =
          pattern.literal ? NormalizerStep::Kind::kReplace : NormalizerStep::Kind::kReplaceRegex;
      step.pattern = std::move(pattern.text);
      step.content = file.text_at(inner, "content");
    } else if (type == "Prepend") {
      step.kind = NormalizerStep::Kind::kPrepend;
      step.content = file.text_at(inner, "prepend");
    } else {
      file.refuse_part(fmt::format("the normalizer {}", type));
    }
  });
}

void read_pre_tokenizer(const JsonFile& file, PipelinePart part, TokenizerDefinition& definition) {
  definition.byte_level = false;
  for_each_part(file, part, "pretokenizers", [&](JsonFile::Element inner) {
    if (definition.byte_level) {
      file.refuse_part(fmt::format("the pre-tokenizer {} after ByteLevel", file.type_of(inner)));
    }
    add_step(file, definition.steps, "pre-tokenizer") = word_step(file, inner);
    definition.byte_level = file.type_of(inner) == "ByteLevel";
  });
  if (definition.byte_level && definition.byte_fallback) {
    file.refuse_part("byte_fallback beside the pre-tokenizer ByteLevel");
  }
}

void read_post_processor(const JsonFile& file, PipelinePart part, TokenizerDefinition& definition) {
  for_each_part(file, part, "processors", [&](JsonFile::Element inner) {
    const std::string type = file.type_of(inner);
    if (type == "TemplateProcessing") {
      read_template(file, inner, definition);
    } else if (type != "ByteLevel") {  // which only moves offsets
      file.refuse_part(fmt::format("the post-processor {}", type));
    }
  });
}

void read_decoder(const JsonFile& file, PipelinePart part, TokenizerDefinition& definition) {
  definition.decoder.clear();
  bool fused = false;
  for_each_part(file, part, "decoders", [&](JsonFile::Element inner) {
    DecoderStep& step = add_step(file, definition.decoder, "decoder");
    step = decoder_step(file, inner);
    using Kind = DecoderStep::Kind;
    if (fused && (step.kind == Kind::kByteLevel || step.kind == Kind::kByteFallback)) {
      file.refuse_part(
          fmt::format("the decoder {} after another that joins tokens", file.type_of(inner)));
    }
    fused |= step.kind == Kind::kByteLevel || step.kind == Kind::kFuse;
  });
}

}  // namespace borealis
