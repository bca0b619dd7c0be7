// Documents out of text files (a file is a document) and JSON Lines files (a line is one), cut into
// slices that threads can work on.
#pragma once

#include <omp.h>

#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace borealis {

enum class TextFormat {
  kAuto,  // by the name: .jsonl, .ndjson and .json are JSON Lines, all else is text
  kText,
  kJsonLines,
};

class DocumentFiles {
 public:
  // Throws Error(kFile) for a file that is missing, unreadable, a folder or compressed.
  DocumentFiles(std::vector<std::filesystem::path> files, TextFormat format, std::string json_key);

  int64_t slice_count() const { return static_cast<int64_t>(slices_.size()); }
  int64_t slice_bytes(int64_t slice) const;
  int64_t total_bytes() const { return total_bytes_; }

  // Calls visit(text) for the documents that start in the slice, in order; blank lines of JSON
  // Lines are none. Any thread may read any slice. Throws Error(kData) naming file and line for a
  // line that is not a JSON object with a string under the key.
  void read_slice(int64_t slice, const std::function<void(std::string_view)>& visit) const;

 private:
  struct Slice {
    size_t file = 0;
    size_t begin = 0;
    size_t end = 0;  // nominal: a line belongs to the slice it starts in
    bool json_lines = false;
  };
  void add_file(size_t file, TextFormat format);
  void read_lines(const Slice& slice, std::string_view text,
                  const std::function<void(std::string_view)>& visit) const;
  std::string text_of_line(const Slice& slice, std::string_view text, std::string_view line) const;

  std::vector<std::filesystem::path> files_;
  std::string json_key_;
  std::vector<Slice> slices_;
  int64_t total_bytes_ = 0;
};

// Runs work(slice) -> Result on `threads` threads and consume(slice, Result) on one at a time, in
// the order of the slices. The first exception, in that order, ends the loop and is thrown.
template <typename Work, typename Consume>
void for_slices_in_order(int64_t slices, int threads, Work work, Consume consume) {
  std::exception_ptr failure;  // written and read inside the ordered region only
  bool failed = false;
#pragma omp parallel for ordered schedule(dynamic, 1) num_threads(threads)
  for (int64_t slice = 0; slice < slices; ++slice) {
    bool skip = false;
#pragma omp atomic read
    skip = failed;
    decltype(work(slice)) result{};
    std::exception_ptr own;
    try {
      if (!skip) result = work(slice);
    } catch (...) {
      own = std::current_exception();
    }
#pragma omp ordered
    {
      try {
        if (own) std::rethrow_exception(own);
        if (!failure) consume(slice, std::move(result));
      } catch (...) {
        if (!failure) failure = std::current_exception();
#pragma omp atomic write
        failed = true;
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace borealis
