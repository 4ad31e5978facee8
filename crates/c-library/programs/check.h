/* Frame of a test program: cases by name, checks that end the program.
 * Exit status 0: the case holds; 1: it does not; 77: it cannot be tried here. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sys/introspection.h>

#define UNUSED __attribute__((unused))

#define FAIL(...)                                                              \
    do {                                                                       \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                        \
        fprintf(stderr, __VA_ARGS__);                                          \
        fputc('\n', stderr);                                                   \
        _exit(1);                                                              \
    } while (0)

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) FAIL("%s", #condition);                              \
    } while (0)

#define CHECK_EQ(left, right)                                                  \
    do {                                                                       \
        long long left_ = (long long)(left), right_ = (long long)(right);      \
        if (left_ != right_)                                                   \
            FAIL("%s is %lld (%#llx), %s is %lld (%#llx)", #left, left_,       \
                 (unsigned long long)left_, #right, right_,                    \
                 (unsigned long long)right_);                                  \
    } while (0)

#define SKIP(...)                                                              \
    do {                                                                       \
        fprintf(stderr, __VA_ARGS__);                                          \
        fputc('\n', stderr);                                                   \
        _exit(77);                                                             \
    } while (0)

#define RECORD sizeof(procfs_mapinfo)
#define ALL ((uintptr_t)0), (~(uintptr_t)0)

struct test_case {
    const char *name;
    void (*run)(void);
};

/* Runs the case with the given name, or lists the names without one. */
static UNUSED int run_case(const struct test_case *cases, int argc, char **argv) {
    if (argc > 1) {
        for (; cases->name; cases++)
            if (strcmp(cases->name, argv[1]) == 0) {
                cases->run();
                return 0;
            }
        FAIL("no case %s", argv[1]);
    }
    for (; cases->name; cases++) puts(cases->name);
    return 0;
}

/* `count` turns of a loop, divided as the environment says, but never fewer than
 * eight: an emulated machine takes some thirty times as long. */
static UNUSED long scaled(long count) {
    const char *divisor = getenv("INTROSPECTION_TEST_SCALE");
    long by = divisor ? atol(divisor) : 1;
    long few = count < 8 ? count : 8;
    return by <= 1 ? count : count / by < few ? few : count / by;
}

static UNUSED size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static UNUSED void need_root(void) {
    if (geteuid() != 0) SKIP("needs root: frame numbers are hidden otherwise");
}

/* For ranges whose entry-by-entry reading without a scan takes minutes. */
static UNUSED void need_page_scan(void) {
    /* _IOWR('f', 16, struct pm_scan_arg): its size, and nothing to scan for. */
    uint64_t argument[12] = {sizeof argument};
    int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    int known = file >= 0 && ioctl(file, 0xc0606610u, argument) >= 0;
    close(file);
    if (!known) SKIP("needs PAGEMAP_SCAN (Linux 6.7)");
}

/* Returns `pages` pages of private anonymous memory, never huge, with an unmapped
 * page on either side. */
static UNUSED char *map_pages(size_t pages) {
    size_t page = page_size();
    char *all = mmap(NULL, (pages + 2) * page, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);
    CHECK(munmap(all, page) == 0);
    CHECK(munmap(all + (pages + 1) * page, page) == 0);
    CHECK(mprotect(all + page, pages * page, PROT_READ | PROT_WRITE) == 0);
    madvise(all + page, pages * page, MADV_NOHUGEPAGE);
    return all + page;
}

typedef int array_call(pid64_t, uintptr_t, uintptr_t, procfs_mapinfo *, size_t);

/* Returns all records of a range, in memory from mmap, and their number in
 * `count`. The range may be changing. */
static UNUSED procfs_mapinfo *records_of(array_call *call, pid64_t pid,
                                         uintptr_t start, uintptr_t end,
                                         size_t *count) {
    size_t size = 1024;
    for (int tries = 0; tries < 100; tries++) {
        procfs_mapinfo *records = mmap(NULL, size, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(records != MAP_FAILED);
        int result = call(pid, start, end, records, size);
        if (result < 0) FAIL("error %d", -result);
        CHECK_EQ(result % RECORD, 0);
        if ((size_t)result <= size) {
            *count = (size_t)result / RECORD;
            return records;
        }
        munmap(records, size);
        size = (size_t)result + 4096;
    }
    FAIL("the target changes too fast");
}

static UNUSED int is_backed(const procfs_mapinfo *record) {
    return record->paddr != INTROSPECTION_UNBACKED;
}

/* Returns the number of open file descriptors. */
static UNUSED int open_files(void) {
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) count += (dup2(fd, fd) == fd);
    return count;
}

#endif
