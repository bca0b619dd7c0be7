#include "comm/collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/error.h"

namespace borealis {
std::string text_of_first(Communicator& ranks, std::string text, std::string_view what) {
  int64_t length = std::ssize(text);
  ranks.broadcast(std::span(&length, 1), 0, what);
  text.resize(static_cast<size_t>(length));
  ranks.broadcast(std::span<char>(text), 0, what);
  return text;
}

std::vector<std::string> all_texts(Communicator& ranks, const std::string& text,
                                   std::string_view what) {
  const std::vector<int64_t> lengths = all_values<int64_t>(ranks, std::ssize(text), what);
  const auto longest = static_cast<size_t>(*std::ranges::max_element(lengths));
  std::string mine = text;
  mine.resize(longest);
  std::vector<char> all(longest * lengths.size());
  ranks.all_gather(std::span<const char>(mine), std::span<char>(all), what);
  std::vector<std::string> texts;
  for (size_t r = 0; r < lengths.size(); ++r) {
    texts.emplace_back(all.data() + r * longest, static_cast<size_t>(lengths[r]));
  }
  return texts;
}

void together(Communicator& ranks, std::string_view what, const std::function<void()>& work) {
  struct Outcome {
    int32_t failed = 0;
    ErrorKind kind = ErrorKind::kUsage;
    int64_t length = 0;
  };
  Outcome mine;
  std::string text;
  try {
    work();
  } catch (const Error& error) {
    text = error.text();
    mine = {1, error.kind(), std::ssize(text)};
  }
  const std::vector<Outcome> outcomes = all_values(ranks, mine, what);
  const auto first = std::ranges::find(outcomes, 1, &Outcome::failed);
  if (first == outcomes.end()) return;
  const int64_t rank = first - outcomes.begin();
  text.resize(static_cast<size_t>(first->length));
  ranks.broadcast(std::span<char>(text), rank, what);
  if (rank > 0) text = fmt::format("rank {}: {}", rank, text);
  throw AgreedError(first->kind, text);
}

}  // namespace borealis
