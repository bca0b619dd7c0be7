// encode_texts TOKENIZER TEXTS THREADS ROUNDS: loads a tokenizer and encodes texts, and prints one
// JSON line: seconds to load it, seconds of every round, tokens and a checksum of the ids.
// compare_tokenizers.py runs it beside its peer. TEXTS holds texts one after the other, each
// preceded by its length in bytes (u32, little-endian).
#include <fmt/format.h>
#include <omp.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/tokenizer.h"

namespace borealis {
namespace {

std::vector<std::string_view> read_texts(const MappedFile& file) {
  std::vector<std::string_view> texts;
  const auto bytes = file.bytes();
  for (size_t place = 0; place + sizeof(uint32_t) <= bytes.size();) {
    uint32_t size = 0;
    std::memcpy(&size, bytes.data() + place, sizeof size);
    place += sizeof size;
    texts.emplace_back(reinterpret_cast<const char*>(bytes.data()) + place, size);
    place += size;
  }
  return texts;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Totals {
  int64_t tokens = 0;
  uint64_t checksum = 0;
};

// Ids stay in memory, as they do in the peer.
Totals encode_all(const std::vector<std::string_view>& texts,
                  std::vector<std::unique_ptr<TokenEncoder>>& encoders,
                  std::vector<std::vector<int32_t>>& ids) {
#pragma omp parallel for schedule(dynamic, 16) num_threads(static_cast <int>(encoders.size()))
  for (size_t i = 0; i < texts.size(); ++i) {
    ids[i].clear();
    encoders[static_cast<size_t>(omp_get_thread_num())]->encode(texts[i], ids[i]);
  }
  Totals totals;
  for (const auto& text : ids) {
    totals.tokens += static_cast<int64_t>(text.size());
    for (const int32_t id : text) {
      totals.checksum = (totals.checksum * 31 + static_cast<uint64_t>(id)) & 0xffffffffffff;
    }
  }
  return totals;
}

int run(std::span<char*> arguments) {
  auto start = std::chrono::steady_clock::now();
  const Tokenizer tokenizer{std::filesystem::path(arguments[1])};
  const double load_s = seconds_since(start);
  const MappedFile file(arguments[2]);
  const auto texts = read_texts(file);
  std::vector<std::vector<int32_t>> ids(texts.size());
  const int threads = std::atoi(arguments[3]);
  Totals totals;
  std::string rounds;
  for (int round = 0; round < std::atoi(arguments[4]); ++round) {
    // New encoders: what one has learnt of the texts would make the next round another measurement.
    std::vector<std::unique_ptr<TokenEncoder>> encoders;
    start = std::chrono::steady_clock::now();
    for (int i = 0; i < threads; ++i) encoders.push_back(std::make_unique<TokenEncoder>(tokenizer));
    totals = encode_all(texts, encoders, ids);
    rounds += fmt::format("{}{:.6f}", round == 0 ? "" : ", ", seconds_since(start));
  }
  fmt::print("{{\"load_s\": {:.6f}, \"round_s\": [{}], \"tokens\": {}, \"checksum\": {}}}\n",
             load_s, rounds, totals.tokens, totals.checksum);
  return 0;
}

}  // namespace
}  // namespace borealis

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s TOKENIZER TEXTS THREADS ROUNDS\n", argv[0]);
    return 1;
  }
  try {
    return borealis::run(std::span(argv, static_cast<size_t>(argc)));
  } catch (const borealis::Error& error) {
    std::fprintf(stderr, "encode_texts: %s\n", error.what());
    return 1;
  }
}
