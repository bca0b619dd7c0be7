#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/folder_lock.h"
#include "base/log.h"
#include "data/index_cache.h"
#include "data/index_check.h"
#include "data/npy_file.h"
#include "data/parallel_tasks.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMembers = "_index.npy";
constexpr const char* kNumbers = "_sample_index.npy";

int64_t total_samples(const CorpusOrderRequest& request) {
  int64_t total = 0;
  for (const CorpusMember& member : request.members) total += member.samples;
  return total;
}

// The reference's key: neither seed nor split nor files.
std::string reference_name(const CorpusOrderRequest& request) {
  return md5_hex(fmt::format("{}\n {}", request.label, total_samples(request)));
}

std::string full_name(const CorpusOrderRequest& request, const CorpusShuffling& shuffling,
                      const IndexSettings& settings) {
  std::string text = fmt::format(
      "Corpus order\n\nCorpus {}\nBlend {}\nShuffle {}\nRandom seed {}\nSequence length {}\n"
      "Split {}\nDataset {}\n",
      request.label, shuffling.blend, shuffling.shuffle, shuffling.seed, settings.seq_length,
      settings.split_text, static_cast<int>(settings.split));
  for (size_t i = 0; i < request.members.size(); ++i) {
    text += fmt::format("{} {} {}\n", request.members[i].samples, request.members[i].available,
                        request.listed_prefixes[i]);
  }
  return md5_hex(text);
}

bool exist(const fs::path& stem) {
  std::error_code unknown;
  return fs::exists(with_suffix(stem, kMembers), unknown) &&
         fs::exists(with_suffix(stem, kNumbers), unknown);
}

CorpusOrder map(const fs::path& stem, int64_t samples) {
  struct Files : ArrayStorage {
    NpyFile members, numbers;

    Files(NpyFile of_members, NpyFile of_numbers)
        : members(std::move(of_members)), numbers(std::move(of_numbers)) {}
    void forget_pages() const override {
      members.forget_pages();
      numbers.forget_pages();
    }
  };
  const std::array<int64_t, 1> shape = {samples};
  auto files = std::make_shared<Files>(NpyFile(with_suffix(stem, kMembers), "<i8", shape),
                                       NpyFile(with_suffix(stem, kNumbers), "<i8", shape));
  const auto members = files->members.elements<int64_t>();
  const auto numbers = files->numbers.elements<int64_t>();
  return CorpusOrder(members, numbers, std::move(files));
}

std::optional<CorpusOrder> read(const fs::path& stem, const CorpusOrderRequest& request,
                                bool warn) {
  if (!exist(stem)) return std::nullopt;
  try {
    CorpusOrder order = map(stem, total_samples(request));
    check_corpus_order(order, request.members, stem.string());
    return order;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kMemory) throw;
    if (warn) {
      log_warning(fmt::format("{}; the cached order of the corpus {} is not used and made again",
                              fault_text(error), request.label));
    }
    return std::nullopt;
  }
}

bool equal(const CorpusOrder& a, const CorpusOrder& b) {
  for (int64_t i = 0; i < a.sample_count(); ++i) {
    const auto x = a.at(i);
    const auto y = b.at(i);
    if (x.member != y.member || x.number != y.number) return false;
  }
  return true;
}

void write(const CorpusOrder& order, const fs::path& stem) {
  constexpr int64_t kChunk = 1 << 15;
  const std::array<int64_t, 1> shape = {order.sample_count()};
  AtomicFile members(with_suffix(stem, kMembers));
  AtomicFile numbers(with_suffix(stem, kNumbers));
  members.write(npy_header("<i8", shape));
  numbers.write(npy_header("<i8", shape));
  std::vector<int64_t> member_chunk;
  std::vector<int64_t> number_chunk;
  for (int64_t i = 0; i < order.sample_count(); ++i) {
    const auto [member, number] = order.at(i);
    member_chunk.push_back(member);
    number_chunk.push_back(number);
    if (static_cast<int64_t>(member_chunk.size()) < kChunk && i + 1 < order.sample_count())
      continue;
    members.write(std::as_bytes(std::span(member_chunk)));
    numbers.write(std::as_bytes(std::span(number_chunk)));
    member_chunk.clear();
    number_chunk.clear();
  }
  members.commit();
  numbers.commit();
}

// A second name in the place of what has it; file systems without hard links go without.
void link_pair(const fs::path& from, const fs::path& to) {
  for (const char* suffix : {kMembers, kNumbers}) {
    std::error_code ignored;
    fs::remove(with_suffix(to, suffix), ignored);
    fs::create_hard_link(with_suffix(from, suffix), with_suffix(to, suffix), ignored);
  }
}

CorpusOrder make(const CorpusOrderRequest& request, const CorpusShuffling& shuffling,
                 const fs::path& stem, const fs::path& reference_stem) {
  CorpusOrder order(request.members, shuffling, request.label);
  const auto theirs = read(reference_stem, request, false);
  if (theirs && equal(order, *theirs)) {
    link_pair(reference_stem, stem);
    return map(reference_stem, order.sample_count());
  }
  if (theirs) {
    log_info(fmt::format(
        "{}_index.npy and {}_sample_index.npy are of another run (seed, split or files of the "
        "corpus {} differ); not used",
        reference_stem.string(), reference_stem.filename().string(), request.label));
  }
  write(order, stem);
  if (!theirs) link_pair(stem, reference_stem);  // absent, or damaged: the name says the size
  return map(stem, order.sample_count());
}

}  // namespace

std::vector<CorpusOrder> cached_corpus_orders(const std::vector<CorpusOrderRequest>& requests,
                                              const CorpusShuffling& shuffling,
                                              const IndexSettings& settings) {
  std::vector<std::optional<CorpusOrder>> orders(requests.size());
  const bool reordered = shuffling.blend || shuffling.shuffle;
  const auto stem_of = [&](size_t i) {
    return settings.folder / full_name(requests[i], shuffling, settings);
  };
  const auto find_missing = [&](bool warn) {
    bool complete = true;
    for (size_t i = 0; i < requests.size(); ++i) {
      if (total_samples(requests[i]) == 0) {  // of nothing there are no files
        orders[i] = CorpusOrder(requests[i].members, shuffling, requests[i].label);
      }
      if (!orders[i]) orders[i] = read(stem_of(i), requests[i], warn);
      complete &= orders[i].has_value();
    }
    return complete;
  };
  if (reordered && !find_missing(true)) {
    try {
      borealis::create_directories(settings.folder);
      const FolderLock lock(settings.folder);
      remove_stale_partials(settings.folder);
      find_missing(false);
      run_parallel(static_cast<int64_t>(requests.size()), [&](int64_t i) {
        const auto at = static_cast<size_t>(i);
        if (orders[at]) return;
        orders[at] = make(requests[at], shuffling, stem_of(at),
                          settings.folder / reference_name(requests[at]));
      });
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kFile) throw;
      log_warning(fmt::format("{}; the order of samples is not kept in {} but in memory",
                              fault_text(error), settings.folder.string()));
    }
  }
  std::vector<CorpusOrder> out;
  for (size_t i = 0; i < requests.size(); ++i) {
    out.push_back(orders[i] ? std::move(*orders[i])
                            : CorpusOrder(requests[i].members, shuffling, requests[i].label));
  }
  return out;
}

}  // namespace borealis
