// A folder of a model or a checkpoint while it is written: its files go to the disk under a
// temporary name of the folder, each with its checksum, and the folder takes its name only when all
// of it is on the disk (AtomicDirectory in base/file.h).
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/direct_file.h"
#include "base/file.h"
#include "checkpoint/checksums.h"
#include "checkpoint/safetensors_writer.h"

namespace borealis {

class FolderWriter {
 public:
  // `blocks` must outlive this. Throws Error(kFile), here and below.
  FolderWriter(const std::filesystem::path& folder, DirectBlocks& blocks,
               Existing existing = Existing::kReplace);

  void create_subfolder(const std::string& name);
  void write_text(const std::string& name, std::string_view text);
  void write_tensors(const std::string& name, std::span<const TensorSource> tensors,
                     std::map<std::string, std::string> metadata = {});
  // Where others write further files, each flushed by its writer; commit() reads those whose
  // checksum it was not told.
  const std::filesystem::path& partial_path() const { return target_.partial_path(); }

  void add_checksum(const std::string& name, std::string checksum) {
    checksums_[name] = std::move(checksum);
  }

  // With a file of checksums, or without: what an export leaves is of Hugging Face's files alone.
  enum class Checksums { kWrite, kNone };
  void commit(Checksums checksums);

 private:
  void add_checksums_of_other_files();

  DirectBlocks& blocks_;
  AtomicDirectory target_;
  FileChecksums checksums_;
};

}  // namespace borealis
