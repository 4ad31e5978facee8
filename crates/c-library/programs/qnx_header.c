/* QNX's headers alone and in every order. Also C++. Compiled with and without BEFORE
 * and AFTER, and with INTROSPECTION_QNX_NAMES, which then changes nothing. */
#ifdef BEFORE
#include <errno.h>
#include <sys/mman.h>
#endif
#include <sys/introspection.h>
#ifdef AFTER
#include <errno.h>
#include <sys/mman.h>
#endif
#include <sys/debug.h>
#include <sys/neutrino.h>
#include <sys/procfs.h>
#include <sys/states.h>

/* Declarations of programs whose headers lack them. */
#ifdef __cplusplus
extern "C" {
#endif
pid64_t getpid64(pid_t pid);
void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
#ifdef __cplusplus
}
#endif

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

/* Each QNX name has the value of the library's. */
#if PROT_READ != INTROSPECTION_PROT_READ || PROT_WRITE != INTROSPECTION_PROT_WRITE ||    \
    PROT_EXEC != INTROSPECTION_PROT_EXEC || PROT_NOCACHE != INTROSPECTION_PROT_NOCACHE || \
    PROT_MASK != INTROSPECTION_PROT_MASK || PROT_NONE != 0
#error "PROT_* differ"
#endif
#if MAP_SHARED != INTROSPECTION_SHARED || MAP_PRIVATE != INTROSPECTION_PRIVATE ||        \
    MAP_TYPE != INTROSPECTION_TYPE || MAP_FIXED != INTROSPECTION_FIXED ||                \
    MAP_ELF != INTROSPECTION_ELF || MAP_LAZY != INTROSPECTION_LAZY ||                    \
    MAP_STACK != INTROSPECTION_STACK || MAP_PHYS != INTROSPECTION_PHYS ||                \
    MAP_ANON != INTROSPECTION_ANON || MAP_ANONYMOUS != INTROSPECTION_ANON ||             \
    MAP_SYSRAM != INTROSPECTION_SYSRAM || MAP_FILE != 0
#error "MAP_* differ"
#endif
#if PG_MODIFIED != INTROSPECTION_PG_MODIFIED ||                                          \
    PG_REFERENCED != INTROSPECTION_PG_REFERENCED ||                                      \
    PG_HWMAPPED != INTROSPECTION_PG_HWMAPPED || PG_MASK != INTROSPECTION_PG_MASK
#error "PG_* differ"
#endif

/* Linux's flags whose bits QNX uses for something else. */
#if defined MAP_POPULATE || defined MAP_SYNC || defined MAP_GROWSDOWN || defined PROT_GROWSUP
#error "Linux's flags are defined"
#endif

/* Values of a process's and a thread's members. */
#if _NTO_PF_ZOMBIE != INTROSPECTION_PF_ZOMBIE || STATE_NANOSLEEP != INTROSPECTION_STATE_NANOSLEEP || \
    _DEBUG_WHY_JOBCONTROL != INTROSPECTION_WHY_JOBCONTROL
#error "values of members differ"
#endif

/* With the package these two come from <errno.h>. */
#if EOK != 0 || ESRVRFAULT != 312
#error "not QNX's errors"
#endif

/* The other names of types. */
typedef char same_sizes[sizeof(procfs_info) == sizeof(debug_process_t) &&
                                sizeof(procfs_status) == sizeof(debug_thread_t) &&
                                sizeof(procfs_greg) == sizeof(debug_greg_t) &&
                                sizeof(procfs_fpreg) == sizeof(debug_fpreg_t)
                            ? 1
                            : -1];

static void *(*const map)(void *, size_t, int, int, int, off_t) = mmap;

int main(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory =
        (char *)map(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, NOFD, 0);
    CHECK(memory != MAP_FAILED);
    memory[0] = 1;
    procfs_mapinfo record;
    memset(&record, 0, sizeof record);
    uintptr_t at = (uintptr_t)memory;
    CHECK(introspection_get_virtual_regions(getpid64(0), at, at, &record, sizeof record) ==
          (int)sizeof record);
    CHECK((record.flags & (MAP_TYPE | MAP_ANON)) == (MAP_PRIVATE | MAP_ANON));
    CHECK((record.flags & PROT_MASK) == (PROT_READ | PROT_WRITE));
    CHECK(mprotect(memory, page, PROT_READ) == 0);
    CHECK(introspection_get_virtual_regions(0, at, at, &record, sizeof record) > 0);
    CHECK((record.flags & PROT_MASK) == PROT_READ);
    CHECK(mprotect(memory, page, PROT_READ | PROT_NOCACHE) == -1 && errno == EINVAL);
    return munmap(memory, page);
}
