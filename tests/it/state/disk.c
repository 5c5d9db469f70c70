/* A disk that fails on demand, and that remembers what was synced to it. Loaded before libc.
 *
 * DISK_FOLDER   the folder to which this applies
 * DISK_CONTROL  a file that holds a `struct control`, which says what fails
 * DISK_SYNCED   a folder with the synced bytes of each file, under the file's inode number, and in `names` the inode numbers
 *               and names in DISK_FOLDER when that was synced. Nothing is really synced. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, READ = 4, RENAME = 8 };

struct control {
    int fails;        /* the operations that fail */
    char prefix[60];  /* on files whose names begin with this */
};

static volatile struct control *control;
static const char *folder, *synced;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISK_CONTROL");
    int file = path ? open(path, O_RDONLY) : -1;
    void *mapped = file >= 0 ? mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    if (mapped == MAP_FAILED)
        return;
    close(file);
    synced = getenv("DISK_SYNCED");
    folder = getenv("DISK_FOLDER");
    control = mapped;
}

/* Returns the name that a path has in the folder; NULL for a path elsewhere. */
static const char *name_of(const char *path)
{
    size_t length = folder ? strlen(folder) : 0;
    if (!control || strncmp(path, folder, length))
        return NULL;
    return path[length] == '/' ? path + length + 1 : path[length] ? NULL : path + length;
}

static int fails(int operation, const char *path)
{
    const char *name = name_of(path);
    const char *prefix = control ? (const char *)control->prefix : "";
    return name && control->fails & operation && !strncmp(name, prefix, strlen(prefix));
}

static int fails_at(int operation, int file)
{
    char link[32], path[PATH_MAX];
    if (!control || !(control->fails & operation))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return fails(operation, path);
}

static int error(void)
{
    errno = EIO;
    return -1;
}

/* Writes a file into DISK_SYNCED, atomically as seen by others. */
static void keep(const char *name, const char *bytes, size_t length)
{
    char temporary[PATH_MAX], path[PATH_MAX];
    snprintf(temporary, sizeof temporary, "%s/%s.%ld.tmp", synced, name, syscall(SYS_gettid));
    snprintf(path, sizeof path, "%s/%s", synced, name);
    int file = (int)syscall(SYS_openat, AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    while (length) {
        ssize_t written = syscall(SYS_write, file, bytes, length);
        if (written <= 0)
            abort();
        bytes += written;
        length -= (size_t)written;
    }
    close(file);
    syscall(SYS_rename, temporary, path);
}

static void keep_names(void)
{
    char *names = malloc(1 << 16);
    size_t length = 0;
    DIR *open = opendir(folder);
    for (struct dirent *entry; open && (entry = readdir(open));)
        if (entry->d_name[0] != '.')
            length += (size_t)sprintf(names + length, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
    closedir(open);
    keep("names", names, length);
    free(names);
}

static void keep_bytes(int file, const struct stat *now)
{
    char name[32], *bytes = malloc((size_t)now->st_size + 1);
    ssize_t length = syscall(SYS_pread64, file, bytes, now->st_size, 0L);
    snprintf(name, sizeof name, "%lu", (unsigned long)now->st_ino);
    keep(name, bytes, length < 0 ? 0 : (size_t)length);
    free(bytes);
}

static int sync_it(int number, int file)
{
    char link[32], path[PATH_MAX];
    struct stat now;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    if (fails(SYNC, path))
        return error();
    if (!synced || !name_of(path) || fstat(file, &now))
        return (int)syscall(number, file);
    if (S_ISDIR(now.st_mode))
        keep_names();
    else
        keep_bytes(file, &now);
    return 0;
}

int fsync(int file) { return sync_it(SYS_fsync, file); }
int fdatasync(int file) { return sync_it(SYS_fdatasync, file); }

/* A new file may reuse the inode number of a deleted one, so its synced bytes are forgotten. */
static int open_it(const char *path, int flags, mode_t mode)
{
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    struct stat now;
    if (file >= 0 && synced && flags & O_CREAT && name_of(path) && !fstat(file, &now) && !now.st_size) {
        char old[PATH_MAX];
        snprintf(old, sizeof old, "%s/%lu", synced, (unsigned long)now.st_ino);
        syscall(SYS_unlink, old);
    }
    return file;
}

static mode_t mode_of(int flags, va_list more)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return open_it(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return open_it(path, flags | O_LARGEFILE, mode);
}

ssize_t write(int file, const void *bytes, size_t length)
{
    return fails_at(WRITE, file) ? error() : syscall(SYS_write, file, bytes, length);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at)
{
    return fails_at(WRITE, file) ? error() : syscall(SYS_pwrite64, file, bytes, length, at);
}

ssize_t read(int file, void *bytes, size_t length)
{
    return fails_at(READ, file) ? error() : syscall(SYS_read, file, bytes, length);
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t at)
{
    return fails_at(READ, file) ? error() : syscall(SYS_pread64, file, bytes, length, at);
}

int rename(const char *from, const char *to)
{
    return fails(RENAME, from) ? error() : (int)syscall(SYS_rename, from, to);
}
