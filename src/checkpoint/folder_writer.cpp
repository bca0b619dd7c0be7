#include "checkpoint/folder_writer.h"

#include <utility>

namespace borealis {

namespace fs = std::filesystem;

FolderWriter::FolderWriter(const fs::path& folder, DirectBlocks& blocks, Existing existing)
    : blocks_(blocks), target_(folder, existing) {}

void FolderWriter::create_subfolder(const std::string& name) {
  borealis::create_directories(partial_path() / name);
}

void FolderWriter::write_text(const std::string& name, std::string_view text) {
  DirectWriter file(partial_path() / name, blocks_);
  file.write(text);
  checksums_[name] = file.finish();
}

void FolderWriter::write_tensors(const std::string& name, std::span<const TensorSource> tensors,
                                 std::map<std::string, std::string> metadata) {
  DirectWriter file(partial_path() / name, blocks_);
  stream_safetensors(tensors, std::move(metadata), file);
  checksums_[name] = file.finish();
}

void FolderWriter::add_checksums_of_other_files() {
  const auto ignore = [](std::span<const std::byte>) {};
  for (const auto& entry : fs::recursive_directory_iterator(partial_path())) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().lexically_relative(partial_path()).string();
    if (!checksums_.contains(name)) checksums_[name] = read_direct(entry.path(), blocks_, ignore);
  }
}

void FolderWriter::commit(Checksums checksums) {
  if (checksums == Checksums::kWrite) {
    add_checksums_of_other_files();
    const std::string text = checksums_text(checksums_);
    DirectWriter file(partial_path() / kChecksumsFile, blocks_);
    file.write(text);
    file.finish();
  }
  for (const auto& entry : fs::recursive_directory_iterator(partial_path())) {
    if (entry.is_directory()) flush_directory(entry.path());
  }
  target_.commit();
}

}  // namespace borealis
