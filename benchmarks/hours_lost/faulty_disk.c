/* A disk that can be made slow or full while a process uses it.
 *
 * Preloaded into the process (LD_PRELOAD), this stands in front of libc's calls that write and sync
 * files, SQLite's included. FAULTY_DISK_ORDERS names a file of the eight numbers below, which the
 * benchmark writes and reads while the process runs; FAULTY_DISK_UNDER names the directory whose
 * files are concerned. All else goes through untouched.
 *
 * Slow: each sync takes a while longer. Full: no write succeeds, not even over what is there, as on
 * a disk that copies on write or is thinly provisioned; and statvfs says that there is no room.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

struct orders {
    int64_t sync_delay_us;   /* order: how much longer a sync takes */
    int64_t is_full;         /* order: 1 while there is no room */
    int64_t syncs_delayed;   /* count */
    int64_t syncs_under_way; /* how many are being delayed right now */
    int64_t writes_refused;  /* count */
    int64_t told_full;       /* count of statvfs calls */
    int64_t reserved[2];
};

static struct orders none;
static struct orders *orders = &none;
static char under[4096];

__attribute__((constructor)) static void find_orders(void) {
    const char *file = getenv("FAULTY_DISK_ORDERS"), *directory = getenv("FAULTY_DISK_UNDER");
    if (!file || !directory || strlen(directory) >= sizeof under)
        return;
    strcpy(under, directory);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        orders = mapped;
}

static int64_t look(int64_t *number) { return __atomic_load_n(number, __ATOMIC_SEQ_CST); }

static void add(int64_t *number, int64_t what) {
    __atomic_fetch_add(number, what, __ATOMIC_SEQ_CST);
}

static int concerns(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return under[0] && !strncmp(path, under, strlen(under));
}

static void delay(int fd) {
    int64_t wait_us = look(&orders->sync_delay_us);
    if (!wait_us || !concerns(fd))
        return;
    struct timespec left = {wait_us / 1000000, wait_us % 1000000 * 1000};
    add(&orders->syncs_delayed, 1);
    add(&orders->syncs_under_way, 1);
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
    add(&orders->syncs_under_way, -1);
}

static int refuses(int fd) {
    if (!look(&orders->is_full) || !concerns(fd))
        return 0;
    add(&orders->writes_refused, 1);
    errno = ENOSPC;
    return 1;
}

#define ORIGINAL(name) \
    static __typeof__(name) *original; \
    if (!original) \
        original = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define SYNC(name) \
    int name(int fd) { \
        ORIGINAL(name); \
        delay(fd); \
        return original(fd); \
    }

#define PWRITE(name, offset_type) \
    ssize_t name(int fd, const void *data, size_t count, offset_type offset) { \
        ORIGINAL(name); \
        return refuses(fd) ? -1 : original(fd, data, count, offset); \
    }

#define STATVFS(name, figures_type) \
    int name(const char *path, struct figures_type *figures) { \
        ORIGINAL(name); \
        int result = original(path, figures); \
        if (!result && look(&orders->is_full)) { \
            add(&orders->told_full, 1); \
            figures->f_bfree = figures->f_bavail = 0; \
        } \
        return result; \
    }

SYNC(fsync)
SYNC(fdatasync)
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
STATVFS(statvfs, statvfs)
STATVFS(statvfs64, statvfs64)

ssize_t write(int fd, const void *data, size_t count) {
    ORIGINAL(write);
    return refuses(fd) ? -1 : original(fd, data, count);
}
