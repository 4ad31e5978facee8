/* A call never allocates, and makes only the system calls that the documents
 * list. */
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
#include "without_ioctls.h"

/* The allocator of this program and of the C library: takes from one block of
 * memory, never frees, and ends the program during a walk. */
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
    make_every_call(); /* Completes lazy work of the dynamic linker. */
    sig_atomic_t before = allocations;
    is_walking = 1;
    make_every_call();
    is_walking = 0;
    CHECK_EQ(allocations, before);
}

#if UINTPTR_MAX > UINT32_MAX
#define SYSTEM_CALL(name64, name32, when) __NR_##name64,
#else
#define SYSTEM_CALL(name64, name32, when) __NR_##name32,
#endif
/* The tables of docs/SAFETY.md, and the calls of the program itself. */
static const int documented[] = {
#include "system_calls.h"
};
static const int for_registers[] = {
#include "register_calls.h"
};
static const int own[] = {__NR_getppid, __NR_exit_group, __NR_write};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct sock_filter code[256];
static unsigned short instructions;

static void allow(const int *calls, size_t count, int but) {
    for (size_t i = 0; i < count; i++) {
        if (calls[i] == but) continue;
        CHECK(instructions + 4 < (int)COUNT(code));
        code[instructions++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
        code[instructions++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
}

static void allow_calls(int with_registers, int but) {
    instructions = 0;
    code[instructions++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                        offsetof(struct seccomp_data, nr));
    allow(documented, COUNT(documented), but);
    allow(own, COUNT(own), but);
    if (with_registers) allow(for_registers, COUNT(for_registers), but);
    code[instructions++] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {instructions, code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        SKIP("needs seccomp filters");
}

static void allow_only_the_documented_calls(void) { allow_calls(0, -1); }

/* A walk that is long enough to check whether it delays the target. */
#define LONG ((size_t)64 << 20)
static char *long_memory;
static pid_t others[2];

static void make_targets(void) {
    long_memory = map_pages(LONG / page_size());
    /* Backwards, so that no part of it looks like a huge page. */
    for (size_t at = LONG; at > 0; at -= page_size()) long_memory[at - page_size()] = 1;
    others[0] = still_child();
    others[1] = child_without_first_thread();
}

static void walk_all(pid64_t pid) {
    uintptr_t start = (uintptr_t)long_memory, end = start + LONG - 1;
    static introspection_cursor_t cursor;
    CHECK(introspection_get_virtual_regions(pid, ALL, some_records, sizeof some_records) > 0);
    CHECK(introspection_get_physical_regions(pid, start, end, some_records, RECORD) > 0);
    CHECK(introspection_get_pagetableinfo(pid, start, end, some_records, RECORD) > 0);
    CHECK_EQ(introspection_cursor_open(&cursor, pid, ALL, INTROSPECTION_PHYSICAL), 0);
    while (introspection_cursor_next(&cursor, some_records, 64) > 0) continue;
    introspection_cursor_close(&cursor);
    CHECK(introspection_get_all_child_pids(pid, NULL, 0) >= 0);
    CHECK(introspection_get_process_name(pid, some_path, sizeof some_path) > 0);
    CHECK_EQ(introspection_get_proc_info(pid, &some_process), EOK);
    CHECK_EQ(introspection_get_thread_status(pid, 1, &some_thread), EOK);
}

static void make_calls_and_end(void) {
    make_every_call();
    walk_all(0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        walk_all(others[i]);
        walk_all(getpid64(others[i]));
    }
    _exit(0);
}

static void every_call_makes_only_the_documented_system_calls(void) {
    need_root();
    make_targets();
    allow_only_the_documented_calls();
    make_calls_and_end();
}

static void so_does_one_on_a_kernel_without_the_newer_calls(void) {
    need_root();
    make_targets();
    forbid_ioctls();
    allow_only_the_documented_calls();
    make_calls_and_end();
}

/* The process may read its own memory only by process_vm_readv. */
static void so_does_a_process_that_has_dropped_its_privilege(void) {
    need_root();
    CHECK(setuid(65534) == 0);
    allow_only_the_documented_calls();
    char byte = 1, copy = 0;
    CHECK_EQ(introspection_read_process_memory(0, (uintptr_t)&byte, &copy, 1), 1);
    CHECK_EQ(copy, 1);
    CHECK(introspection_get_virtual_regions(0, ALL, NULL, 0) > 0);
    _exit(0);
}

/* With locked memory, a page is mapped to find the zero page. */
static void so_does_a_process_that_locks_its_memory(void) {
    need_root();
    make_targets();
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) SKIP("needs to lock memory");
    allow_only_the_documented_calls();
    make_calls_and_end();
}

static void read_registers_and_end(void) {
    static debug_greg_t general;
    static debug_fpreg_t floating_point;
    for (size_t i = 0; i < COUNT(others); i++) {
        CHECK_EQ(introspection_get_thread_status(others[i], 1, &some_thread), EOK);
        CHECK(introspection_get_generalpurpose_regs(others[i], some_thread.tid, &general) > 0);
        CHECK(introspection_get_floatingpoint_regs(others[i], some_thread.tid, &floating_point) > 0);
    }
    CHECK_EQ(introspection_get_generalpurpose_regs(0, UINT32_MAX, &general), -ESRCH);
    _exit(0);
}

static void need_registers(void) {
    static debug_greg_t general;
    if (introspection_get_generalpurpose_regs(0, (unsigned)getpid(), &general) == -ENOTSUP)
        SKIP("registers of this processor cannot be read");
}

static void registers_need_no_others_than_those_of_their_own_table(void) {
    need_root();
    need_registers();
    make_targets();
    allow_calls(1, -1);
    read_registers_and_end();
}

/* Runs in a child. */
static void reads_registers_without(int call) {
    freopen("/dev/null", "w", stderr);
    others[0] = still_child();
    others[1] = others[0];
    allow_calls(1, call);
    read_registers_and_end();
}

static void registers_need_each_call_of_their_table(void) {
    need_root();
    need_registers();
    for (size_t i = 0; i < COUNT(for_registers); i++) {
        /* Only if Yama is there; made by another thread of the test, too. */
        if (for_registers[i] == __NR_futex) continue;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) reads_registers_without(for_registers[i]);
        int status;
        CHECK_EQ(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) SKIP("needs seccomp filters");
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            FAIL("call %d of the table is not needed", for_registers[i]);
    }
}

static void makes_another(void) {
    allow_only_the_documented_calls();
    syscall(__NR_getuid);
}

/* The filter kills. */
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
        {"so_does_one_on_a_kernel_without_the_newer_calls",
         so_does_one_on_a_kernel_without_the_newer_calls},
        {"so_does_a_process_that_has_dropped_its_privilege",
         so_does_a_process_that_has_dropped_its_privilege},
        {"registers_need_no_others_than_those_of_their_own_table",
         registers_need_no_others_than_those_of_their_own_table},
        {"registers_need_each_call_of_their_table", registers_need_each_call_of_their_table},
        {"another_system_call_would_be_the_end", another_system_call_would_be_the_end},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
