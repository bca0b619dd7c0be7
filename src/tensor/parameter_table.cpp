#include "tensor/parameter_table.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/rounding.h"

namespace borealis {
namespace {

int64_t aligned(int64_t elements) {
  constexpr int64_t kUnit = ParameterTable::kAlignmentElements;
  return round_up(elements, kUnit);
}

}  // namespace

int64_t Parameter::size() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

void ParameterTable::begin_unit(std::string name) {
  elements_ = aligned(elements_);
  units_.push_back({std::move(name), entries_.size(), entries_.size(), elements_, 0});
}

void ParameterTable::add(Parameter parameter, bool fused) {
  CHECK(find(parameter.name) == nullptr, parameter.name);
  if (units_.empty()) begin_unit("");
  if (!fused) elements_ = aligned(elements_);
  parameter.offset = elements_;
  elements_ += parameter.size();
  count_ += parameter.size();
  entry_of_name_.emplace(parameter.name, entries_.size());
  entries_.push_back(std::move(parameter));
  ParameterUnit& unit = units_.back();
  unit.end = entries_.size();
  unit.elements = aligned(elements_) - unit.offset;
}

size_t ParameterTable::unit_at(int64_t offset) const {
  const auto behind = std::ranges::upper_bound(units_, offset, {}, &ParameterUnit::offset);
  return static_cast<size_t>(behind - units_.begin()) - 1;
}

int64_t ParameterTable::buffer_elements() const { return aligned(elements_); }

const Parameter* ParameterTable::find(std::string_view name) const {
  const auto found = entry_of_name_.find(std::string(name));
  return found == entry_of_name_.end() ? nullptr : &entries_[found->second];
}

const Parameter& ParameterTable::at(std::string_view name) const {
  const Parameter* parameter = find(name);
  CHECK(parameter != nullptr, name);
  return *parameter;
}

}  // namespace borealis
