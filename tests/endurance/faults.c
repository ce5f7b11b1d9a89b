/* Faults of the file system, for a library that is preloaded.

   arm(folder, at, count, error) makes the operations number `at` to `at + count - 1`
   on files below the folder fail with errno `error`: those that write (or, for errors
   other than a full disk, all). error 0: short writes instead. operations() is how
   many there were. Threads of the process share the numbers. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 65536

static char folder[PATH_MAX];
static atomic_long done, first = -1, past = -1;
static int error_number;
static atomic_char inside[FILES]; /* of a file descriptor: is it below the folder? */

void arm(const char *below, long at, long count, int error) {
  strncpy(folder, below, PATH_MAX - 1);
  error_number = error;
  done = 0;
  first = at;
  past = count < 0 ? LONG_MAX : at + count;
}

long operations(void) { return done; }

enum { READS, WRITES };

static int is_below(const char *path) {
  return folder[0] && path && !strncmp(path, folder, strlen(folder));
}

static int is_inside(int file) { return file >= 0 && file < FILES && inside[file]; }

static int fails(int kind) {
  if (kind == READS && (error_number == ENOSPC || error_number == 0)) return 0;
  long number = done++;
  return first >= 0 && number >= first && number < past;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(wrong) \
  do { \
    errno = error_number; \
    return wrong; \
  } while (0)

static int opened(int file, int below) {
  if (file >= 0 && file < FILES) inside[file] = below;
  return file;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = va_arg(more, mode_t); \
    va_end(more); \
    int below = is_below(path); \
    int writes = flags & (O_WRONLY | O_RDWR | O_CREAT); \
    if (below && error_number && fails(writes ? WRITES : READS)) FAIL(-1); \
    return opened(NEXT(name)(path, flags, mode), below); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
  int name(int at, const char *path, int flags, ...) { \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = va_arg(more, mode_t); \
    va_end(more); \
    int below = is_below(path) || (path[0] != '/' && is_inside(at)); \
    int writes = flags & (O_WRONLY | O_RDWR | O_CREAT); \
    if (below && error_number && fails(writes ? WRITES : READS)) FAIL(-1); \
    return opened(NEXT(name)(at, path, flags, mode), below); \
  }
OPENAT(openat)
OPENAT(openat64)

int close(int file) {
  opened(file, 0);
  return NEXT(close)(file);
}

#define SHORTER(size) ((size) > 1 ? (size) / 2 : (size))

ssize_t write(int file, const void *from, size_t size) {
  if (is_inside(file) && fails(WRITES)) {
    if (error_number) FAIL(-1);
    size = SHORTER(size);
  }
  return NEXT(write)(file, from, size);
}

#define PWRITE(name, offset) \
  ssize_t name(int file, const void *from, size_t size, offset at) { \
    if (is_inside(file) && fails(WRITES)) { \
      if (error_number) FAIL(-1); \
      size = SHORTER(size); \
    } \
    return NEXT(name)(file, from, size, at); \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec *parts, int count) {
  if (is_inside(file) && fails(WRITES)) {
    if (error_number) FAIL(-1);
    count = SHORTER(count);
  }
  return NEXT(writev)(file, parts, count);
}

ssize_t read(int file, void *into, size_t size) {
  if (is_inside(file) && fails(READS)) FAIL(-1);
  return NEXT(read)(file, into, size);
}

#define PREAD(name, offset) \
  ssize_t name(int file, void *into, size_t size, offset at) { \
    if (is_inside(file) && fails(READS)) FAIL(-1); \
    return NEXT(name)(file, into, size, at); \
  }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define SYNC(name) \
  int name(int file) { \
    if (is_inside(file) && error_number && fails(WRITES)) FAIL(-1); \
    return NEXT(name)(file); \
  }
SYNC(fsync)
SYNC(fdatasync)

int rename(const char *from, const char *to) {
  if (is_below(to) && error_number && fails(WRITES)) FAIL(-1);
  return NEXT(rename)(from, to);
}

int renameat(int at, const char *from, int there, const char *to) {
  if (is_below(to) && error_number && fails(WRITES)) FAIL(-1);
  return NEXT(renameat)(at, from, there, to);
}

int mkdir(const char *path, mode_t mode) {
  if (is_below(path) && error_number && fails(WRITES)) FAIL(-1);
  return NEXT(mkdir)(path, mode);
}

int unlink(const char *path) {
  if (is_below(path) && error_number && fails(WRITES)) FAIL(-1);
  return NEXT(unlink)(path);
}
