// Pages of a mapped file that are gone when they are read: the file was cut short meanwhile, or its
// disk or server failed. The system then sends SIGBUS, which ends a process without a word.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace borealis {

// From now on such a process ends with one line that names the file, and with the exit code of an
// Error(kFile); but see MappedRead. What else sends SIGBUS ends it as before.
void tell_of_lost_pages();

struct Mapping;

// What this thread reads of a mapped file while it lives. Pages that are lost are zeros then, and
// the process goes on; so this is for who asks afterwards, and can tell.
class MappedRead {
 public:
  explicit MappedRead(std::span<const std::byte> file);  // MappedFile::bytes(), or a part of them
  ~MappedRead();
  MappedRead(const MappedRead&) = delete;
  MappedRead& operator=(const MappedRead&) = delete;

  // That no page of the file was lost, in this read or in an earlier one. Of a file that was cut
  // within a page the rest of that one is zeros, and not lost.
  bool is_whole() const;

 private:
  std::shared_ptr<const Mapping> mapping_;
  const Mapping* before_;  // that this thread was reading
};

// For MappedFile: which file it is that lies there.
void note_mapping(std::span<const std::byte> bytes, const std::string& path);
void forget_mapping(const std::byte* data);

}  // namespace borealis
