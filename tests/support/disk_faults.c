// A library to preload (LD_PRELOAD) that makes calls to the file system fail, write less than they
// were given, or end the process, at a place that the environment names:
//   FAULT_PATH    part of the absolute path of the files concerned; without it nothing happens
//   FAULT_CALL    which calls, by comma: open create read mmap write fsync rename ftruncate mkdir
//                 unlink flock. "create" is an open for writing, "change" is all of create write
//                 fsync rename ftruncate mkdir unlink
//   FAULT_AT      the first of those calls that is concerned, from 1 on (default 1)
//   FAULT_STICKY  1: so are all that follow it
//   FAULT_ERRNO   what they fail with: ENOSPC EIO EROFS EACCES EDQUOT ENOENT EINVAL ENOSYS
//   FAULT_SHORT   1: writes and reads of more than a byte do half of it instead
//   FAULT_KILL    1: SIGKILL instead, before the call is done; with FAULT_SHORT behind the half
//   FAULT_LOG     a file that gets a line "<number> <call> <path>" for each of those calls
// What libc does for its own streams (fopen, fwrite) is not seen, nor is io_uring.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kPathBytes = 2 * PATH_MAX };

static struct {
  const char* path;
  const char* calls;
  const char* log;
  long at;
  int error;
  bool sticky, shortened, kills;
} plan;
static atomic_long calls_seen;

static int error_of_name(const char* name) {
  static const struct {
    const char* name;
    int value;
  } kErrors[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EROFS", EROFS},   {"EACCES", EACCES},
                 {"EDQUOT", EDQUOT}, {"ENOENT", ENOENT}, {"EINVAL", EINVAL}, {"ENOSYS", ENOSYS}};
  for (size_t i = 0; name != NULL && i < sizeof kErrors / sizeof kErrors[0]; ++i) {
    if (strcmp(name, kErrors[i].name) == 0) return kErrors[i].value;
  }
  return 0;
}

static bool is_on(const char* variable) {
  const char* value = getenv(variable);
  return value != NULL && strcmp(value, "1") == 0;
}

__attribute__((constructor)) static void read_plan(void) {
  const char* at = getenv("FAULT_AT");
  plan.path = getenv("FAULT_PATH");
  plan.calls = getenv("FAULT_CALL");
  plan.log = getenv("FAULT_LOG");
  plan.at = at != NULL ? atol(at) : 1;
  plan.error = error_of_name(getenv("FAULT_ERRNO"));
  plan.sticky = is_on("FAULT_STICKY");
  plan.shortened = is_on("FAULT_SHORT");
  plan.kills = is_on("FAULT_KILL");
  if (plan.path != NULL && plan.path[0] == '\0') plan.path = NULL;
  const bool does_something = plan.error != 0 || plan.shortened || plan.kills || plan.log != NULL;
  if (plan.path != NULL && (plan.calls == NULL || !does_something)) {
    fputs("disk_faults: FAULT_PATH needs FAULT_CALL and something to do\n", stderr);
    _exit(125);
  }
}

static bool list_has(const char* list, const char* call) {
  const size_t length = strlen(call);
  for (const char* at = list; (at = strstr(at, call)) != NULL; at += length) {
    const bool starts = at == list || at[-1] == ',';
    if (starts && (at[length] == '\0' || at[length] == ',')) return true;
  }
  return false;
}

static bool is_listed(const char* call) {
  const bool changes = !list_has("open,read,mmap,flock", call);
  return list_has(plan.calls, call) || (changes && list_has(plan.calls, "change"));
}

static void descriptor_path(int descriptor, char* path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, (size_t)kPathBytes - 1);
  path[length > 0 ? length : 0] = '\0';
}

static void absolute_path(int folder, const char* name, char* path) {
  path[0] = '\0';
  if (name[0] != '/') {
    if (folder == AT_FDCWD) {
      if (getcwd(path, PATH_MAX) == NULL) path[0] = '\0';
    } else {
      descriptor_path(folder, path);
    }
  }
  const size_t used = strlen(path);
  snprintf(path + used, kPathBytes - used, used > 0 ? "/%s" : "%s", name);
}

static void log_call(long number, const char* call, const char* path) {
  char line[kPathBytes + 64];
  const int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
  const long file =
      syscall(SYS_openat, AT_FDCWD, plan.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) return;
  syscall(SYS_write, file, line, (size_t)length);
  syscall(SYS_close, file);
}

static void end_process(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// How much of a call is to be done. One that does not divide is done or not: `bytes` is its size or
// 0, whatever the unit.
struct Share {
  bool fails, ends_process;
  size_t bytes;
};

// Direct I/O takes whole blocks only.
static size_t half_of(size_t size) {
  return size >= 8192 ? size / 2 / 4096 * 4096 : (size + 1) / 2;
}

// Sets errno where the call fails, and leaves it alone otherwise; does not return if the process is
// to end before the call.
static struct Share share_of(const char* call, const char* path, size_t size) {
  struct Share share = {.bytes = size};
  if (strstr(path, plan.path) == NULL || !is_listed(call)) return share;
  const long number = atomic_fetch_add(&calls_seen, 1) + 1;
  if (plan.log != NULL) log_call(number, call, path);
  if (number < plan.at || (number > plan.at && !plan.sticky)) return share;
  if (plan.shortened && size > 1) {
    share.bytes = half_of(size);
    share.ends_process = plan.kills;
    return share;
  }
  if (plan.kills) end_process();
  share.fails = plan.error != 0;
  return share;
}

static struct Share share_of_descriptor(const char* call, int descriptor, size_t size) {
  if (plan.path == NULL) return (struct Share){.bytes = size};
  const int kept = errno;
  char path[kPathBytes];
  descriptor_path(descriptor, path);
  const struct Share share = share_of(call, path, size);
  errno = share.fails ? plan.error : kept;
  return share;
}

static bool fails_for_name(const char* call, int folder, const char* name) {
  if (plan.path == NULL) return false;
  const int kept = errno;
  char path[kPathBytes];
  absolute_path(folder, name, path);
  const bool fails = share_of(call, path, 0).fails;
  errno = fails ? plan.error : kept;
  return fails;
}

static bool fails_for_descriptor(const char* call, int descriptor) {
  return share_of_descriptor(call, descriptor, 0).fails;
}

static ssize_t ended(struct Share share, ssize_t done) {
  if (share.ends_process) end_process();
  return done;
}

static void* next(const char* function) { return dlsym(RTLD_NEXT, function); }

static mode_t mode_of(int flags, va_list rest) {
  const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  return creates ? va_arg(rest, mode_t) : 0;
}

static bool may_open(int folder, const char* name, int flags) {
  const bool writes = (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0;
  if (writes && fails_for_name("create", folder, name)) return false;
  return !fails_for_name("open", folder, name);
}

typedef int (*Open)(const char*, int, ...);
typedef int (*Openat)(int, const char*, int, ...);
typedef ssize_t (*Write)(int, const void*, size_t);
typedef ssize_t (*Pwrite)(int, const void*, size_t, off_t);
typedef ssize_t (*Read)(int, void*, size_t);
typedef ssize_t (*Pread)(int, void*, size_t, off_t);
typedef ssize_t (*Writev)(int, const struct iovec*, int);
typedef ssize_t (*Pwritev)(int, const struct iovec*, int, off_t);
typedef void* (*Mmap)(void*, size_t, int, int, int, off_t);
typedef int (*OfDescriptor)(int);
typedef int (*Flock)(int, int);
typedef int (*Ftruncate)(int, off_t);
typedef int (*Rename)(const char*, const char*);
typedef int (*Renameat)(int, const char*, int, const char*);
typedef int (*Renameat2)(int, const char*, int, const char*, unsigned int);
typedef int (*Mkdir)(const char*, mode_t);
typedef int (*Mkdirat)(int, const char*, mode_t);
typedef int (*OfName)(const char*);
typedef int (*Unlinkat)(int, const char*, int);

int open(const char* name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return may_open(AT_FDCWD, name, flags) ? ((Open)next("open"))(name, flags, mode) : -1;
}
int open64(const char* name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return may_open(AT_FDCWD, name, flags) ? ((Open)next("open64"))(name, flags, mode) : -1;
}
int openat(int folder, const char* name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return may_open(folder, name, flags) ? ((Openat)next("openat"))(folder, name, flags, mode) : -1;
}
int openat64(int folder, const char* name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return may_open(folder, name, flags) ? ((Openat)next("openat64"))(folder, name, flags, mode) : -1;
}

ssize_t write(int descriptor, const void* data, size_t size) {
  const struct Share share = share_of_descriptor("write", descriptor, size);
  return share.fails ? -1 : ended(share, ((Write)next("write"))(descriptor, data, share.bytes));
}
ssize_t pwrite(int descriptor, const void* data, size_t size, off_t at) {
  const struct Share share = share_of_descriptor("write", descriptor, size);
  return share.fails ? -1
                     : ended(share, ((Pwrite)next("pwrite"))(descriptor, data, share.bytes, at));
}
ssize_t pwrite64(int descriptor, const void* data, size_t size, off_t at) {
  const struct Share share = share_of_descriptor("write", descriptor, size);
  return share.fails ? -1
                     : ended(share, ((Pwrite)next("pwrite64"))(descriptor, data, share.bytes, at));
}
ssize_t read(int descriptor, void* data, size_t size) {
  const struct Share share = share_of_descriptor("read", descriptor, size);
  return share.fails ? -1 : ended(share, ((Read)next("read"))(descriptor, data, share.bytes));
}
ssize_t pread(int descriptor, void* data, size_t size, off_t at) {
  const struct Share share = share_of_descriptor("read", descriptor, size);
  return share.fails ? -1 : ended(share, ((Pread)next("pread"))(descriptor, data, share.bytes, at));
}
ssize_t pread64(int descriptor, void* data, size_t size, off_t at) {
  const struct Share share = share_of_descriptor("read", descriptor, size);
  return share.fails ? -1
                     : ended(share, ((Pread)next("pread64"))(descriptor, data, share.bytes, at));
}

// Half of a vector is half of its first piece.
static const struct iovec* part_of(struct Share share, const struct iovec* pieces, int* count,
                                   struct iovec* half) {
  if (*count == 0 || share.bytes == pieces[0].iov_len) return pieces;
  *half = (struct iovec){pieces[0].iov_base, share.bytes};
  *count = 1;
  return half;
}
static size_t first_size(const struct iovec* pieces, int count) {
  return count > 0 ? pieces[0].iov_len : 0;
}
ssize_t writev(int descriptor, const struct iovec* pieces, int count) {
  const struct Share share = share_of_descriptor("write", descriptor, first_size(pieces, count));
  struct iovec half;
  const struct iovec* part = part_of(share, pieces, &count, &half);
  return share.fails ? -1 : ended(share, ((Writev)next("writev"))(descriptor, part, count));
}
ssize_t pwritev(int descriptor, const struct iovec* pieces, int count, off_t at) {
  const struct Share share = share_of_descriptor("write", descriptor, first_size(pieces, count));
  struct iovec half;
  const struct iovec* part = part_of(share, pieces, &count, &half);
  return share.fails ? -1 : ended(share, ((Pwritev)next("pwritev"))(descriptor, part, count, at));
}
ssize_t pwritev64(int descriptor, const struct iovec* pieces, int count, off_t at) {
  const struct Share share = share_of_descriptor("write", descriptor, first_size(pieces, count));
  struct iovec half;
  const struct iovec* part = part_of(share, pieces, &count, &half);
  return share.fails ? -1 : ended(share, ((Pwritev)next("pwritev64"))(descriptor, part, count, at));
}

void* mmap(void* address, size_t size, int protection, int flags, int descriptor, off_t at) {
  return descriptor >= 0 && fails_for_descriptor("mmap", descriptor)
             ? MAP_FAILED
             : ((Mmap)next("mmap"))(address, size, protection, flags, descriptor, at);
}
void* mmap64(void* address, size_t size, int protection, int flags, int descriptor, off_t at) {
  return descriptor >= 0 && fails_for_descriptor("mmap", descriptor)
             ? MAP_FAILED
             : ((Mmap)next("mmap64"))(address, size, protection, flags, descriptor, at);
}
int fsync(int descriptor) {
  return fails_for_descriptor("fsync", descriptor) ? -1 : ((OfDescriptor)next("fsync"))(descriptor);
}
int fdatasync(int descriptor) {
  return fails_for_descriptor("fsync", descriptor) ? -1
                                                   : ((OfDescriptor)next("fdatasync"))(descriptor);
}
int flock(int descriptor, int operation) {
  return fails_for_descriptor("flock", descriptor) ? -1
                                                   : ((Flock)next("flock"))(descriptor, operation);
}
int ftruncate(int descriptor, off_t size) {
  return fails_for_descriptor("ftruncate", descriptor)
             ? -1
             : ((Ftruncate)next("ftruncate"))(descriptor, size);
}
int ftruncate64(int descriptor, off_t size) {
  return fails_for_descriptor("ftruncate", descriptor)
             ? -1
             : ((Ftruncate)next("ftruncate64"))(descriptor, size);
}

// A rename is counted once, by the name that it gives.
int rename(const char* from, const char* to) {
  return fails_for_name("rename", AT_FDCWD, to) ? -1 : ((Rename)next("rename"))(from, to);
}
int renameat(int from_folder, const char* from, int to_folder, const char* to) {
  return fails_for_name("rename", to_folder, to)
             ? -1
             : ((Renameat)next("renameat"))(from_folder, from, to_folder, to);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to,
              unsigned int flags) {
  return fails_for_name("rename", to_folder, to)
             ? -1
             : ((Renameat2)next("renameat2"))(from_folder, from, to_folder, to, flags);
}

int mkdir(const char* name, mode_t mode) {
  return fails_for_name("mkdir", AT_FDCWD, name) ? -1 : ((Mkdir)next("mkdir"))(name, mode);
}
int mkdirat(int folder, const char* name, mode_t mode) {
  return fails_for_name("mkdir", folder, name) ? -1
                                               : ((Mkdirat)next("mkdirat"))(folder, name, mode);
}
int unlink(const char* name) {
  return fails_for_name("unlink", AT_FDCWD, name) ? -1 : ((OfName)next("unlink"))(name);
}
int rmdir(const char* name) {
  return fails_for_name("unlink", AT_FDCWD, name) ? -1 : ((OfName)next("rmdir"))(name);
}
int remove(const char* name) {
  return fails_for_name("unlink", AT_FDCWD, name) ? -1 : ((OfName)next("remove"))(name);
}
int unlinkat(int folder, const char* name, int flags) {
  return fails_for_name("unlink", folder, name) ? -1
                                                : ((Unlinkat)next("unlinkat"))(folder, name, flags);
}
