#include "checkpoint/promised_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "checkpoint/tensor_elements.h"

namespace borealis {
namespace {

constexpr size_t kNamesShown = 8;
constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

bool same_values(const TensorElements& a, const TensorElements& b) {
  if (a.shape != b.shape) return false;
  bool same = true;
  std::vector<float> other;
  for_each_part(a, a.element_count(), [&](int64_t begin, std::span<const float> part) {
    if (!same) return;
    other.resize(part.size());
    b.read(begin, other);
    same = std::ranges::equal(part, other);
  });
  return same;
}

// Both are there, and no head is promised.
bool is_copy_of_the_embedding(const ModelWeights& weights, const std::string& name) {
  const TensorView* embedding = weights.find(kEmbedding);
  if (name != kHead || embedding == nullptr) return false;
  if (!is_weight(embedding->dtype) || !is_weight(weights.find(name)->dtype)) return false;
  return same_values(elements_of(weights, name), elements_of(weights, kEmbedding));
}

std::string shortened(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kNamesShown);
  std::string text = fmt::format(
      "{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

}  // namespace

namespace {

std::string remedy(const TensorMismatch& mismatch, bool tied) {
  // Of quantized models, which have scales beside their weights: all that is wrong comes of the
  // type.
  if (!mismatch.unreadable.empty()) {
    return "convert the model to fp32, bf16 or fp16 first; quantized ones are not read";
  }
  const std::string head(kHead);
  const auto& odd = tied ? mismatch.unexpected : mismatch.missing;
  if (std::ranges::find(odd, head) == odd.end()) {
    return "correct config.json, or copy the model again";
  }
  return tied ? "copy the model again; a head of its own needs \"tie_word_embeddings\": false"
              : "copy the model again; without lm_head.weight it needs "
                "\"tie_word_embeddings\": true";
}

}  // namespace

bool TensorMismatch::any() const {
  return !missing.empty() || !unexpected.empty() || !misshapen.empty() || !unreadable.empty();
}

std::string TensorMismatch::text() const {
  std::vector<std::string> parts;
  if (!missing.empty()) parts.push_back("missing " + shortened(missing));
  if (!unexpected.empty()) parts.push_back("unexpected " + shortened(unexpected));
  for (const auto* list : {&misshapen, &unreadable}) {
    if (!list->empty()) parts.push_back(shortened(*list));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

TensorMismatch compare_with_promised(const ModelWeights& weights,
                                     std::span<const PromisedTensor> promised) {
  TensorMismatch mismatch;
  std::unordered_map<std::string_view, const PromisedTensor*> by_name;
  for (const PromisedTensor& tensor : promised) {
    by_name[tensor.name] = &tensor;
    const TensorView* found = weights.find(tensor.name);
    if (found == nullptr) {
      mismatch.missing.push_back(tensor.name);
    } else if (found->shape != tensor.shape) {
      mismatch.misshapen.push_back(fmt::format("{} is [{}] instead of [{}]", tensor.name,
                                               fmt::join(found->shape, ", "),
                                               fmt::join(tensor.shape, ", ")));
    } else if (!is_weight(found->dtype)) {
      mismatch.unreadable.push_back(fmt::format("{} holds {}, not F32, F16 or BF16", tensor.name,
                                                stored_dtype_name(found->dtype)));
    }
  }
  for (const std::string& name : weights.names()) {
    if (by_name.contains(name) || name.ends_with(".rotary_emb.inv_freq") ||
        is_copy_of_the_embedding(weights, name)) {
      continue;
    }
    mismatch.unexpected.push_back(name);
  }
  return mismatch;
}

void require_promised(const ModelWeights& weights, std::span<const PromisedTensor> promised,
                      const std::filesystem::path& folder, bool tied) {
  const TensorMismatch mismatch = compare_with_promised(weights, promised);
  if (!mismatch.any()) return;
  throw Error(ErrorKind::kData,
              fmt::format("{} does not hold the tensors that its config.json promises: {}",
                          folder.string(), mismatch.text()),
              remedy(mismatch, tied));
}

}  // namespace borealis
