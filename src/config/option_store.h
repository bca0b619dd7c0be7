// How the rows of the contract put a parsed value into its field of RunConfig.
#pragma once

#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "config/environment.h"

namespace borealis {

template <typename T>
struct StoredAs {
  using type = T;
};
template <typename T>
struct StoredAs<std::optional<T>> {
  using type = T;
};

// store<&RunConfig::batch, &BatchConfig::micro_batch_size>: run.batch.micro_batch_size = value.
template <auto Part, auto Field>
void store(RunConfig& run, const OptionValue& value) {
  auto& target = (run.*Part).*Field;
  target = std::get<typename StoredAs<std::remove_reference_t<decltype(target)>>::type>(value);
}

// The value of an option of type kIntegers.
inline std::vector<int64_t> parse_integers(const OptionValue& value) {
  std::vector<int64_t> numbers;
  std::istringstream parts(std::get<std::string>(value));
  for (std::string part; std::getline(parts, part, ',');) numbers.push_back(std::stoll(part));
  return numbers;
}

}  // namespace borealis
