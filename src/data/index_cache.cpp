#include "data/index_cache.h"

#include <fmt/format.h>
#include <md5.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fault_text.h"
#include "base/file.h"
#include "base/folder_lock.h"
#include "base/log.h"
#include "base/units.h"
#include "data/index_check.h"
#include "data/npy_file.h"
#include "data/numpy_random.h"
#include "data/parallel_tasks.h"
#include "data/split_bounds.h"

namespace borealis {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDescription = ".dsc";
constexpr const char* kDocuments = "_doc_idx.npy";
constexpr const char* kStarts = "_sample_idx.npy";
constexpr const char* kOrder = "_shuffle_idx.npy";

const char* reference_name(Split split) {
  constexpr std::array kNames = {"train", "valid", "test"};
  return kNames[static_cast<size_t>(split)];
}

// One index of one file of the list, as files <stem>*.
struct IndexFiles {
  const FileIndexRequest& request;
  const IndexSettings& settings;
  SampleIndexShape shape;
  std::string description;
  std::string name;  // its MD5

  IndexFiles(const FileIndexRequest& of, const IndexSettings& with)
      : request(of),
        settings(with),
        shape(sample_index_shape(of.range, with.seq_length, of.requested)),
        description(sample_index_description(with, of)),
        name(md5_hex(description)) {}

  PackedArray<int32_t> lengths() const { return request.data->lengths(); }
  std::vector<int64_t> document_shape() const { return {shape.epochs * request.range.count()}; }
  std::vector<int64_t> starts_shape() const { return {shape.samples + 1, 2}; }
  std::vector<int64_t> order_shape() const { return {shape.samples}; }
  const char* order_descr() const { return shape.wide_order() ? "<i8" : "<u4"; }
  bool exist(const fs::path& stem) const {
    for (const char* suffix : {kDescription, kDocuments, kStarts, kOrder}) {
      std::error_code unknown;
      if (!fs::exists(with_suffix(stem, suffix), unknown)) return false;
    }
    return true;
  }

  SampleIndex map(const fs::path& stem) const {
    struct Files : ArrayStorage {
      NpyFile documents, starts, order;

      Files(NpyFile of_documents, NpyFile of_starts, NpyFile of_order)
          : documents(std::move(of_documents)),
            starts(std::move(of_starts)),
            order(std::move(of_order)) {}
      void forget_pages() const override {
        for (const NpyFile* file : {&documents, &starts, &order}) file->forget_pages();
      }
    };
    const auto document_dims = document_shape();
    const auto starts_dims = starts_shape();
    const auto order_dims = order_shape();
    auto files =
        std::make_shared<Files>(NpyFile(with_suffix(stem, kDocuments), "<i4", document_dims),
                                NpyFile(with_suffix(stem, kStarts), "<i8", starts_dims),
                                NpyFile(with_suffix(stem, kOrder), order_descr(), order_dims));
    SampleIndexArrays arrays;
    arrays.document_order = files->documents.elements<int32_t>();
    arrays.starts = files->starts.elements<StreamPlace>();
    arrays.sample_order = {files->order.data(), shape.samples, shape.wide_order()};
    arrays.storage = std::move(files);
    arrays.files = stem.string();
    return SampleIndex(lengths(), settings.seq_length, std::move(arrays));
  }

  // nullopt if there are no files, or damaged ones, which `warn` says.
  std::optional<SampleIndex> read(const fs::path& folder, bool warn) const {
    const fs::path stem = folder / name;
    if (!exist(stem)) return std::nullopt;
    try {
      SampleIndex index = map(stem);
      check_sample_index(index.arrays(), lengths(), request.range, shape, settings.seq_length,
                         stem.string(), [&] {
                           index.forget_pages();
                           request.data->forget_pages();
                         });
      return index;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kMemory) throw;
      if (warn) {
        log_warning(fmt::format("{}; the cached sample index is not used and made again",
                                fault_text(error)));
      }
      return std::nullopt;
    }
  }

  std::optional<SampleIndex> find(bool warn) const {
    const fs::path beside = fs::path(request.data->prefix()).parent_path() / "index-cache";
    if (auto index = read(beside, warn)) return index;
    return read(settings.folder, warn);
  }

  // In a folder without stale partials.
  void build() const {
    const fs::path stem = settings.folder / name;
    const auto documents = static_cast<size_t>(shape.epochs * request.range.count());
    const auto document_order = std::make_unique_for_overwrite<int32_t[]>(documents);
    NumpyRandom random(settings.seed);
    build_document_order(request.range, shape, random, {document_order.get(), documents});

    constexpr auto kIsRemoved = AtomicFile::Stale::kIsRemoved;
    AtomicFile document_file(with_suffix(stem, kDocuments), kIsRemoved);
    AtomicFile starts_file(with_suffix(stem, kStarts), kIsRemoved);
    AtomicFile order_file(with_suffix(stem, kOrder), kIsRemoved);
    // The order of the samples depends on the generator alone, the starts on the documents alone.
    run_parallel(2, [&](int64_t part) {
      if (part == 0) {
        write_order(random, order_file);
        order_file.commit();
        return;
      }
      document_file.write(npy_header("<i4", document_shape()));
      document_file.write(std::as_bytes(std::span(document_order.get(), documents)));
      document_file.commit();
      starts_file.write(npy_header("<i8", starts_shape()));
      build_starts(
          lengths(), {document_order.get(), documents}, settings.seq_length, shape.samples,
          [&](std::span<const StreamPlace> chunk) { starts_file.write(std::as_bytes(chunk)); });
      starts_file.commit();
    });
    // Last: without it the others do not count.
    AtomicFile description_file(with_suffix(stem, kDescription), kIsRemoved);
    description_file.write(description);
    description_file.commit();
  }

  void write_order(NumpyRandom& random, AtomicFile& file) const {
    const auto bytes = static_cast<size_t>(shape.order_bytes());
    const auto order = std::make_unique_for_overwrite<std::byte[]>(bytes);
    build_sample_order(shape, random, {order.get(), bytes});
    file.write(npy_header(order_descr(), order_shape()));
    file.write(std::span<const std::byte>(order.get(), bytes));
  }
};

// Where the cache folder cannot be made or written.
void warn_of_memory(const IndexSettings& settings, const std::string& why, int64_t bytes) {
  log_warning(
      fmt::format("{}; the sample index of the {} data is not kept in {} but in memory ({})", why,
                  split_name(settings.split), settings.folder.string(), format_bytes(bytes)));
}

void report_built(const std::vector<IndexFiles>& wanted, const std::vector<size_t>& built,
                  const IndexSettings& settings, double seconds) {
  int64_t samples = 0;
  int64_t bytes = 0;
  for (const size_t at : built) {
    samples += wanted[at].shape.samples;
    bytes += wanted[at].shape.bytes(wanted[at].request.range.count());
  }
  log_info(
      fmt::format("{} data: built the sample index of {} of {} files ({} samples, {}) in {}: {}",
                  split_name(settings.split), built.size(), wanted.size(), format_count(samples),
                  format_bytes(bytes), format_duration(seconds), settings.folder.string()));
}

std::vector<size_t> missing_of(const std::vector<std::optional<SampleIndex>>& found) {
  std::vector<size_t> missing;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i]) missing.push_back(i);
  }
  return missing;
}

}  // namespace

std::string md5_hex(std::string_view text) {
  MD5_CTX context;
  std::array<uint8_t, MD5_DIGEST_LENGTH> digest{};
  MD5Init(&context);
  MD5Update(&context, reinterpret_cast<const uint8_t*>(text.data()), text.size());
  MD5Final(digest.data(), &context);
  std::string hex;
  for (const uint8_t byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::string sample_index_description(const IndexSettings& settings,
                                     const FileIndexRequest& request) {
  const auto shape = sample_index_shape(request.range, settings.seq_length, request.requested);
  return fmt::format(
      "GPT Dataset\n\n"
      "Data prefix {}\nDataset name {}\nNumber of samples {}\nNumber of epochs {}\n"
      "Sequence length {}\nRandom seed {}\nSplit {}\n",
      request.listed_prefix, reference_name(settings.split), request.requested, shape.epochs,
      settings.seq_length, settings.seed, settings.split_text);
}

std::vector<SampleIndex> cached_sample_indices(const std::vector<FileIndexRequest>& requests,
                                               const IndexSettings& settings) {
  std::vector<IndexFiles> wanted;
  wanted.reserve(requests.size());
  for (const FileIndexRequest& request : requests) wanted.emplace_back(request, settings);
  std::vector<std::optional<SampleIndex>> found(requests.size());
  const auto find_missing = [&](bool warn) {
    const std::vector<size_t> missing = missing_of(found);
    run_parallel(static_cast<int64_t>(missing.size()), [&](int64_t i) {
      const size_t at = missing[static_cast<size_t>(i)];
      found[at] = wanted[at].find(warn);
    });
    return missing_of(found);
  };
  if (!find_missing(true).empty()) {
    try {
      borealis::create_directories(settings.folder);
      const FolderLock lock(settings.folder);
      remove_stale_partials(settings.folder);
      const std::vector<size_t> missing = find_missing(false);  // another process may have made it
      const auto start = std::chrono::steady_clock::now();
      run_parallel(static_cast<int64_t>(missing.size()), [&](int64_t i) {
        const size_t at = missing[static_cast<size_t>(i)];
        wanted[at].build();
        requests[at].data->forget_pages();
        found[at] = wanted[at].map(settings.folder / wanted[at].name);
      });
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
      if (!missing.empty()) report_built(wanted, missing, settings, elapsed.count());
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kFile) throw;
      int64_t bytes = 0;
      for (const size_t at : missing_of(found)) {
        bytes += wanted[at].shape.bytes(requests[at].range.count());
      }
      warn_of_memory(settings, fault_text(error), bytes);
    }
  }
  std::vector<SampleIndex> indices;
  for (size_t i = 0; i < requests.size(); ++i) {
    indices.push_back(found[i]
                          ? std::move(*found[i])
                          : SampleIndex(wanted[i].lengths(), requests[i].range, settings.seq_length,
                                        requests[i].requested, settings.seed));
  }
  return indices;
}

}  // namespace borealis
