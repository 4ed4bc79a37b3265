/* Preloaded: makes one call fail that changes a file under a folder, the n-th after arm(n, error, folder).
   An error of 0 makes a write stop after half of its bytes, as a full disk or a signal may. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long left = -1;
static int failure;
static char folder[4096];

void arm(long n, int error, const char *under) {
    failure = error;
    snprintf(folder, sizeof folder, "%s", under);
    left = n;
}

long remaining(void) { return left; }

static int under(const char *path) { return folder[0] && strncmp(path, folder, strlen(folder)) == 0; }

static int now(void) { return left >= 0 && left-- == 0; }

static int hits(int handle) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return under(path) && now();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL return errno = failure, -1

ssize_t write(int handle, const void *bytes, size_t count) {
    if (!hits(handle)) return REAL(write)(handle, bytes, count);
    if (failure) FAIL;
    return REAL(write)(handle, bytes, count > 1 ? count / 2 : count);
}

ssize_t pwrite64(int handle, const void *bytes, size_t count, off64_t place) {
    if (!hits(handle)) return REAL(pwrite64)(handle, bytes, count, place);
    if (failure) FAIL;
    return REAL(pwrite64)(handle, bytes, count > 1 ? count / 2 : count, place);
}

ssize_t pwrite(int handle, const void *bytes, size_t count, off_t place) { return pwrite64(handle, bytes, count, place); }

int fsync(int handle) {
    if (failure && hits(handle)) FAIL;
    return REAL(fsync)(handle);
}

int ftruncate64(int handle, off64_t length) {
    if (failure && hits(handle)) FAIL;
    return REAL(ftruncate64)(handle, length);
}

int ftruncate(int handle, off_t length) { return ftruncate64(handle, length); }

int rename(const char *from, const char *to) {
    if (failure && under(from) && now()) FAIL;
    return REAL(rename)(from, to);
}

int unlink(const char *path) {
    if (failure && under(path) && now()) FAIL;
    return REAL(unlink)(path);
}
