// Documents for tests, given as lists of ids.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "data/token_documents.h"

namespace borealis::testing {

class ListedDocuments : public TokenDocuments {
 public:
  explicit ListedDocuments(std::vector<std::vector<int32_t>> documents,
                           std::optional<int64_t> bytes_a_token = {})
      : documents_(std::move(documents)), bytes_a_token_(bytes_a_token) {}

  int64_t count() const override { return static_cast<int64_t>(documents_.size()); }
  int64_t length(int64_t document) const override {
    return static_cast<int64_t>(documents_[static_cast<size_t>(document)].size());
  }
  void read(int64_t document, int64_t first, int64_t count, int32_t* out) const override {
    std::copy_n(documents_[static_cast<size_t>(document)].begin() + first, count, out);
  }
  std::optional<int64_t> text_bytes(int64_t, int64_t end) const override {
    if (!bytes_a_token_) return std::nullopt;
    return *bytes_a_token_ * (end - 1);
  }
  std::string name(int64_t document) const override {
    return "document " + std::to_string(document);
  }
  int64_t memory_bytes() const override { return 0; }

 private:
  std::vector<std::vector<int32_t>> documents_;
  std::optional<int64_t> bytes_a_token_;
};

}  // namespace borealis::testing
