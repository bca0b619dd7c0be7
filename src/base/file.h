// Files: whole-text reads, read-only mappings, and writes that appear under their final name only
// when they are complete and on the disk. Every failure is an Error(kFile) that names the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace borealis {

inline constexpr int64_t kMostTextBytes = int64_t{256} << 20;

// For files of which a program knows that they are small: another may be named by mistake, and may
// be larger than memory. Throws Error(kFile), also where a file holds more than
// kMostTextBytes.
std::string read_text_file(const std::filesystem::path& path);
void create_directories(const std::filesystem::path& path);
// False where something has the name already.
bool create_new_directory(const std::filesystem::path& path);
// A name made, renamed or removed in a folder survives a power cut only once the folder is flushed.
void flush_directory(const std::filesystem::path& path);
// What was written to the file so far, by whomever, is on the disk when this returns.
void flush_file(const std::filesystem::path& path);
// Appends and flushes to the kernel; for logs that grow line by line.
void append_text_file(const std::filesystem::path& path, std::string_view text);

struct FileStamp {
  int64_t bytes = 0;
  int64_t modified_ns = 0;  // since 1970
};
// Size and time of the last change. Throws Error(kFile) for what is missing or no regular file.
FileStamp file_stamp(const std::filesystem::path& path);

// Throws Error(kFile) for a named pipe, whose opening would wait for a writer that may never come
// (one under /dev or /proc has its writer: the shell's <(...)), and, where it is to be read, for a
// device, which may never end.
void refuse_endless_file(const std::filesystem::path& path, bool to_read);

// A file mapped read-only for the life of the object. An empty file maps to an empty span.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  // Hints for the kernel; failures are ignored, for reading works without.
  enum class Access { kInOrder, kRandom };
  void advise(Access access) const;                            // how all of it will be read
  void will_need(size_t first_byte, size_t byte_count) const;  // starts to read these from the disk
  // These were read, and so were those before: the process gives their pages up. Reading them again
  // works.
  void forget(size_t first_byte, size_t byte_count) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A file that grows, and that a later process can go on with from any size that sync() once put on
// the disk.
class AppendFile {
 public:
  // Creates the file, or keeps the first `keep_bytes` of an existing one. Throws Error(kFile), also
  // if there are fewer.
  AppendFile(const std::filesystem::path& path, uint64_t keep_bytes);
  ~AppendFile();  // what was not flushed is lost
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  uint64_t size() const { return size_; }  // what is in the buffer counts
  void flush();                            // to the kernel
  void sync();                             // to the disk
  // Syncs and gives the file its final name, on the disk too. The last call.
  void rename_to(const std::filesystem::path& path);
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::string buffer_;
  uint64_t size_ = 0;
  int descriptor_ = -1;
};

// What this process calls a file or folder until it is whole: "<path>.partial.<host>.<pid>", which
// is unique on a file system that many hosts share. In the host's name all but letters, digits, '-'
// and '.' is '_'.
std::filesystem::path partial_path_of(const std::filesystem::path& path);
// Where earlier content waits for its successor, where a file system cannot exchange two names:
// "<path>.old.<host>.<pid>".
std::filesystem::path aside_path_of(const std::filesystem::path& path);
// Removes what processes of this host that are no more left in `folder` under such names, and
// returns how many entries. Content that was set aside and whose name is free gets its name back.
// So goes what processes of other hosts left and nobody has written to for a day. Entries of live
// processes and of other users stay; so does, without an error, what cannot be removed. No folder:
// 0.
int remove_stale_partials(const std::filesystem::path& folder);
// The same of one file or folder, which is about to be written again; asides stay. What a killed
// process left would else take the room that this one needs.
void remove_stale_partials_of(const std::filesystem::path& path);

// Writes to partial_path_of(path), and on commit() flushes it to the disk and renames it to
// `path`, so that a reader sees the old file or the whole new one, never a part. Without commit()
// (an exception, say) the destructor removes the partial file.
class AtomicFile {
 public:
  // What killed processes left of the same name, for which the whole folder is looked through;
  // whoever writes many files has removed it at once (remove_stale_partials).
  enum class Stale { kRemove, kIsRemoved };
  explicit AtomicFile(const std::filesystem::path& path, Stale stale = Stale::kRemove);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes) { file_.write(bytes); }
  void write(std::string_view text) { file_.write(text); }
  uint64_t written_bytes() const { return file_.size(); }
  AppendFile& content() { return file_; }
  void commit();

 private:
  // Removes the file unless it has its final name: also if it could be made, but not set up.
  struct Partial {
    std::filesystem::path path;
    bool renamed = false;
    ~Partial();
  };
  std::filesystem::path path_;
  Partial partial_;
  AppendFile file_;
};

// One AtomicFile, written and committed.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);
// Several that belong together: all are on the disk before the first gets its name, so that a full
// disk leaves those that were there before.
struct FileText {
  std::filesystem::path path;
  std::string text;
};
void write_files_atomically(std::span<const FileText> files);
// One file's bytes under a new name, through an AtomicFile.
void copy_file_atomically(const std::filesystem::path& from, const std::filesystem::path& to);

// What becomes of a folder of this name that is not empty when its successor is whole.
enum class Existing { kReplace, kRefuse };

// A folder that replaces `path` as a whole. Its files are written under partial_path(), which is
// partial_path_of(path), each flushed by its writer; commit() flushes the folder and puts it in
// the place of `path`, whose earlier content is removed only afterwards. Without commit() the
// destructor removes the partial folder and `path` keeps what it had. Of killed processes as above.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(const std::filesystem::path& path,
                           Existing existing = Existing::kReplace);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::filesystem::path& partial_path() const { return partial_path_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path partial_path_;
  Existing existing_;
  bool committed_ = false;
};

}  // namespace borealis
