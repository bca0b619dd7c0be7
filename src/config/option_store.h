// How the rows of the contract put a parsed value into its field of RunConfig.
#pragma once

#include <optional>
#include <type_traits>
#include <variant>

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

}  // namespace borealis
