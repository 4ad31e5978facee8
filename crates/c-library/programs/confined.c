/* What a call never does: allocate, or make another system call than those
 * that the documents list. */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "children.h"
#include "every_call.h"

/* The allocator of this program, of the C library too: from one piece of
 * memory, never given back; the end of the program while a walk is made. */
static volatile sig_atomic_t is_walking, allocations;
static char arena[8 << 20];
static size_t used;

static void *allocate(size_t alignment, size_t size) {
    if (is_walking) {
        static const char text[] = "the allocator was called in a walk\n";
        if (write(2, text, sizeof text - 1)) _exit(1);
    }
    allocations = allocations + 1;
    if (alignment < 16) alignment = 16;
    size_t at = (used + sizeof(size_t) + alignment - 1) & ~(alignment - 1);
    if (at + size > sizeof arena) {
        errno = ENOMEM;
        return NULL;
    }
    memcpy(arena + at - sizeof size, &size, sizeof size);
    used = at + size;
    return arena + at;
}

static size_t size_of(const void *block) {
    size_t size;
    memcpy(&size, (const char *)block - sizeof size, sizeof size);
    return size;
}

void *malloc(size_t size) { return allocate(16, size); }
void free(void *block) {
    if (block && is_walking) allocate(16, 0);
}
void *calloc(size_t count, size_t size) {
    size_t whole;
    return __builtin_mul_overflow(count, size, &whole) ? NULL : allocate(16, whole);
}
void *realloc(void *block, size_t size) {
    void *new = allocate(16, size);
    if (block && new) memcpy(new, block, size_of(block) < size ? size_of(block) : size);
    return new;
}
void *memalign(size_t alignment, size_t size) { return allocate(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return allocate(alignment, size); }
int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = allocate(alignment, size);
    return *block ? 0 : ENOMEM;
}
void *valloc(size_t size) { return allocate(page_size(), size); }
void *pvalloc(size_t size) {
    return allocate(page_size(), (size + page_size() - 1) & ~(page_size() - 1));
}
size_t malloc_usable_size(void *block) { return block ? size_of(block) : 0; }

static void make_every_call(void) {
    static introspection_cursor_t cursor = INTROSPECTION_CURSOR_CLOSED;
    for (int number = 0; number < CALLS; number++)
        if (!call_number(number, &cursor)) FAIL("call %d", number);
}

static void no_call_allocates(void) {
    need_root();
    /* This is the allocator. */
    void *volatile block = malloc(100);
    CHECK((char *)block >= arena && (char *)block < arena + sizeof arena);
    make_every_call(); /* Whatever the dynamic linker has still to do. */
    sig_atomic_t before = allocations;
    is_walking = 1;
    make_every_call();
    is_walking = 0;
    CHECK_EQ(allocations, before);
}

/* The list of docs/SAFETY.md, and what the program itself needs to end. */
static void allow_only_the_documented_calls(void) {
    static const int allowed[] = {
        __NR_openat,         __NR_close,
        __NR_pread64,        __NR_read,
        __NR_ioctl,          __NR_statx,
#ifdef __NR_fstatfs64
        __NR_fstatfs64,
#else
        __NR_fstatfs,
#endif
        __NR_getdents64,     __NR_pidfd_open,
        __NR_pidfd_send_signal,
        __NR_rt_sigprocmask, __NR_getpid,
        __NR_gettid,         __NR_munmap,
#ifdef __NR_clock_gettime64
        __NR_clock_gettime64,
#else
        __NR_clock_gettime,
#endif
#ifdef __NR_mmap2
        __NR_mmap2,
#else
        __NR_mmap,
#endif
#ifdef __NR_clock_nanosleep_time64
        __NR_clock_nanosleep_time64,
#else
        __NR_clock_nanosleep,
#endif
        __NR_getrusage,      __NR_msync,
        /* Of this program: getppid() and the end. */
        __NR_getppid,        __NR_exit_group,
        __NR_write,
    };
    enum { COUNT = sizeof allowed / sizeof *allowed };
    struct sock_filter code[COUNT * 2 + 2];
    int at = 0;
    code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                              offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++) {
        code[at++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
        code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {(unsigned short)at, code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        SKIP("needs seccomp filters");
}

static void every_call_makes_only_the_documented_system_calls(void) {
    need_root();
    allow_only_the_documented_calls();
    make_every_call();
    _exit(0);
}

/* Locked memory takes a page of its own to know the zero page by. */
static void so_does_a_process_that_locks_its_memory(void) {
    need_root();
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) SKIP("needs to lock memory");
    every_call_makes_only_the_documented_system_calls();
}

static void makes_another(void) {
    allow_only_the_documented_calls();
    syscall(__NR_getuid);
}

/* The filter is one that kills. */
static void another_system_call_would_be_the_end(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        makes_another();
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) SKIP("needs seccomp filters");
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGSYS);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"no_call_allocates", no_call_allocates},
        {"every_call_makes_only_the_documented_system_calls",
         every_call_makes_only_the_documented_system_calls},
        {"so_does_a_process_that_locks_its_memory", so_does_a_process_that_locks_its_memory},
        {"another_system_call_would_be_the_end", another_system_call_would_be_the_end},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
