/* The header alone, and beside <sys/mman.h> in both orders: neither changes the
 * other's definitions. Also C++. Compiled with and without BEFORE, AFTER and
 * INTROSPECTION_QNX_NAMES. */
#ifdef BEFORE
#include <sys/mman.h>
#endif
#include <sys/introspection.h>
#ifdef AFTER
#include <sys/mman.h>
#endif

/* Without either macro, <sys/mman.h> must not be included. */
#if !defined(BEFORE) && !defined(AFTER) && !defined(INTROSPECTION_QNX_NAMES)
#ifdef PROT_READ
#error "the header drags <sys/mman.h> in"
#endif
#include <sys/mman.h>
#endif

/* The declaration in QNX programs whose headers lack it. */
#ifdef __cplusplus
extern "C"
#endif
pid64_t getpid64(pid_t pid);

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);            \
            return 1;                                                          \
        }                                                                      \
    } while (0)

/* Linux's values, as its mmap() takes them. */
#if PROT_READ != 1 || PROT_WRITE != 2 || PROT_EXEC != 4 || MAP_SHARED != 1 ||   \
    MAP_PRIVATE != 2
#error "values of <sys/mman.h> have changed"
#endif
#ifdef MAP_ANONYMOUS
#define ANONYMOUS MAP_ANONYMOUS
#else
#define ANONYMOUS 0x20 /* Hidden from strictly standard C. */
#endif

#ifdef INTROSPECTION_QNX_NAMES
#if MAP_ELF != 0x20 || MAP_PHYS != 0x10000 || PG_HWMAPPED != 0x400000
#error "not QNX's values"
#endif
#elif defined(MAP_ELF) || defined(MAP_PHYS) || defined(PG_HWMAPPED)
#error "QNX's names are there unasked"
#endif

int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = (char *)mmap(NULL, page, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memory[0] = 1;
    procfs_mapinfo record;
    memset(&record, 0, sizeof record);
    uintptr_t at = (uintptr_t)memory;
    CHECK(introspection_get_virtual_regions(0, at, at, &record, sizeof record) ==
          (int)sizeof record);
    CHECK((record.flags & INTROSPECTION_TYPE) == INTROSPECTION_PRIVATE);
    CHECK((record.flags & INTROSPECTION_ANON) != 0);
    CHECK(introspection_prot(record.flags) == (PROT_READ | PROT_WRITE));
    introspection_cursor_t cursor = INTROSPECTION_CURSOR_CLOSED;
    CHECK(introspection_cursor_open(&cursor, getpid64(0), at, at, INTROSPECTION_VIRTUAL) == 0);
    CHECK(introspection_cursor_next(&cursor, &record, 1) == 1);
    introspection_cursor_close(&cursor);
    return munmap(memory, page);
}
