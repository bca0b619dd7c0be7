#include "tensor/parameter_table.h"

#include <functional>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace borealis {
namespace {

constexpr int64_t kAlignmentElements = 32;  // a cache line of bf16

int64_t aligned(int64_t elements) {
  return (elements + kAlignmentElements - 1) / kAlignmentElements * kAlignmentElements;
}

}  // namespace

int64_t Parameter::size() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

void ParameterTable::add(Parameter parameter, bool fused) {
  CHECK(find(parameter.name) == nullptr, parameter.name);
  if (!fused) elements_ = aligned(elements_);
  parameter.offset = elements_;
  elements_ += parameter.size();
  count_ += parameter.size();
  entries_.push_back(std::move(parameter));
}

int64_t ParameterTable::buffer_elements() const { return aligned(elements_); }

const Parameter* ParameterTable::find(std::string_view name) const {
  for (const Parameter& parameter : entries_) {
    if (parameter.name == name) return &parameter;
  }
  return nullptr;
}

const Parameter& ParameterTable::at(std::string_view name) const {
  const Parameter* parameter = find(name);
  CHECK(parameter != nullptr, name);
  return *parameter;
}

}  // namespace borealis
