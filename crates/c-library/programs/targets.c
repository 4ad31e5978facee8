/* The process that a number refers to, and the errors for one that does not exist
 * or may not be read. */
#define _GNU_SOURCE
#include "check.h"

#define EXEC_AGAIN "exec again"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "children.h"

static char path[5000];
static char bytes[16];

/* Results of each function for a target. */
static void each_says(pid64_t pid, int expected) {
    procfs_mapinfo record;
    introspection_cursor_t cursor = INTROSPECTION_CURSOR_CLOSED;
    CHECK_EQ(introspection_get_virtual_regions(pid, ALL, &record, RECORD), expected);
    CHECK_EQ(introspection_get_physical_regions(pid, ALL, &record, RECORD), expected);
    CHECK_EQ(introspection_get_pagetableinfo(pid, ALL, &record, RECORD), expected);
    CHECK_EQ(introspection_get_mapped_object_path(pid, 4096, (void *)path, sizeof path),
             expected);
    CHECK_EQ(introspection_read_process_memory(pid, 4096, bytes, sizeof bytes), expected);
    for (int kind = 0; kind < 3; kind++)
        CHECK_EQ(introspection_cursor_open(&cursor, pid, ALL, kind), expected);
}

/* And of those that need less privilege. */
static void others_say(pid64_t pid, int expected) {
    static debug_process_t info;
    static debug_thread_t status;
    static debug_greg_t registers;
    CHECK_EQ(introspection_get_all_child_pids(pid, NULL, 0), expected);
    CHECK_EQ(introspection_get_process_name(pid, path, sizeof path), expected);
    CHECK_EQ(introspection_get_proc_info(pid, &info), -expected);
    CHECK_EQ(introspection_get_thread_status(pid, 1, &status), -expected);
    CHECK_EQ(introspection_get_generalpurpose_regs(pid, (unsigned)pid, &registers), expected);
}

static void all_say(pid64_t pid, int expected) {
    each_says(pid, expected);
    others_say(pid, expected);
}

static void nobodys_number_is_no_process(void) {
    need_root();
    pid64_t nobody[] = {-1,
                        INT64_MIN,
                        INT32_MIN,
                        INT32_MAX,
                        (pid64_t)1 << 31,
                        ((pid64_t)1 << 32) - 1,
                        (pid64_t)1 << 32,
                        INT64_MAX,
                        ((pid64_t)1 << 32) | (uint32_t)getpid(),
                        -(pid64_t)getpid()};
    for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++) all_say(nobody[i], -ESRCH);
    CHECK_EQ(introspection_getpid64(-1), -1);
    CHECK_EQ(introspection_getpid64(INT32_MAX), -1);
}

static void zero_the_pid_and_the_unique_pid_are_one_process(void) {
    need_root();
    char *memory = map_pages(3);
    memory[page_size()] = 1;
    uintptr_t start = (uintptr_t)memory, end = start + 3 * page_size() - 1;
    pid64_t unique = getpid64(0);
    CHECK_EQ(unique & 0xffffffff, getpid());
    CHECK(unique >> 32 > 0);
    CHECK_EQ(unique, getpid64(getpid()));
    procfs_mapinfo by_zero[3], by_pid[3], by_unique[3];
    CHECK_EQ(introspection_get_physical_regions(0, start, end, by_zero, sizeof by_zero),
             sizeof by_zero);
    CHECK_EQ(introspection_get_physical_regions(getpid(), start, end, by_pid, sizeof by_pid),
             sizeof by_pid);
    CHECK_EQ(introspection_get_physical_regions(unique, start, end, by_unique,
                                                sizeof by_unique), sizeof by_unique);
    CHECK(memcmp(by_zero, by_pid, sizeof by_zero) == 0);
    CHECK(memcmp(by_zero, by_unique, sizeof by_zero) == 0);
}

/* QNX's name is not an inline function: it has an address. */
static void getpid64_is_a_function_of_the_library(void) {
    pid64_t (*declared)(pid_t) = getpid64;
    CHECK_EQ(declared(0), introspection_getpid64(0));
    CHECK_EQ(declared(-1), -1);
    if (!dlsym(RTLD_DEFAULT, "introspection_getpid64")) SKIP("linked with the archive");
    void *found = dlsym(RTLD_DEFAULT, "getpid64");
    CHECK(found);
    CHECK(memcmp(&found, &declared, sizeof found) == 0);
}

static void a_childs_copy_of_a_page_has_an_address_of_its_own(void) {
    need_root();
    char *memory = map_pages(1);
    memory[0] = 1;
    pid_t child = still_child();
    uintptr_t at = (uintptr_t)memory;
    procfs_mapinfo mine, its;
    CHECK_EQ(introspection_get_physical_regions(0, at, at, &mine, RECORD), RECORD);
    CHECK_EQ(introspection_get_physical_regions(child, at, at, &its, RECORD), RECORD);
    CHECK_EQ(mine.paddr, its.paddr); /* Not yet copied. */
    memory[0] = 2;
    CHECK_EQ(introspection_get_physical_regions(0, at, at, &mine, RECORD), RECORD);
    CHECK_EQ(introspection_get_physical_regions(child, at, at, &its, RECORD), RECORD);
    CHECK(is_backed(&mine) && is_backed(&its));
    CHECK(mine.paddr != its.paddr);
    end_child(child);
}

static void a_unique_pid_ends_with_its_process(void) {
    need_root();
    /* Where marks are start times (Linux before 6.9), in hundredths of a second: the
     * child's must differ from ours. */
    usleep(30000);
    pid_t child = still_child();
    pid64_t unique = getpid64(child);
    CHECK(unique > INT32_MAX);
    CHECK(introspection_get_virtual_regions(unique, ALL, NULL, 0) > 0);
    end_child(child);
    all_say(unique, -ESRCH);
    CHECK_EQ(introspection_getpid64(child), -1);
    /* A living process with the mark of the dead one. */
    CHECK_EQ(introspection_get_virtual_regions((unique & ~(pid64_t)0xffffffff) | (uint32_t)getpid(),
                                               ALL, NULL, 0), -ESRCH);
}

static pid_t thread_id;
static pthread_barrier_t meet;
static void *thread_with_an_id(void *none) {
    thread_id = (pid_t)syscall(SYS_gettid);
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
    return none;
}

static void a_threads_id_is_no_process(void) {
    need_root();
    pthread_t thread;
    CHECK_EQ(pthread_barrier_init(&meet, NULL, 2), 0);
    CHECK_EQ(pthread_create(&thread, NULL, thread_with_an_id, NULL), 0);
    pthread_barrier_wait(&meet);
    all_say(thread_id, -ESRCH);
    CHECK_EQ(introspection_getpid64(thread_id), -1);
    pthread_barrier_wait(&meet);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void a_process_without_memory_has_no_records(void) {
    need_root();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) _exit(0);
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
    procfs_mapinfo record;
    memset(&record, 0xa5, sizeof record);
    CHECK_EQ(introspection_get_virtual_regions(child, ALL, &record, RECORD), 0);
    CHECK_EQ(introspection_get_physical_regions(child, ALL, &record, RECORD), 0);
    CHECK_EQ(introspection_get_pagetableinfo(child, ALL, &record, RECORD), 0);
    CHECK_EQ(record.paddr, 0xa5a5a5a5a5a5a5a5);
    CHECK_EQ(introspection_get_mapped_object_path(child, 4096, (void *)path, sizeof path),
             -ENXIO);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

static void without_privilege(void) {
    CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    /* A changed uid removes the right to read oneself, until an exec. */
    CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
    char *memory = map_pages(1);
    memory[0] = 1;
    uintptr_t at = (uintptr_t)memory;
    procfs_mapinfo record;
    CHECK_EQ(introspection_get_virtual_regions(0, at, at, &record, RECORD), RECORD);
    CHECK_EQ(record.vaddr, at);
    CHECK_EQ(introspection_get_physical_regions(0, at, at, &record, RECORD), -EPERM);
    CHECK_EQ(introspection_get_pagetableinfo(0, at, at, &record, RECORD), -EPERM);
    CHECK_EQ(introspection_get_physical_regions(getpid(), at, at, &record, RECORD), -EPERM);
    /* For any range, and without a buffer. */
    CHECK_EQ(introspection_get_physical_regions(0, 0, 0, NULL, 0), -EPERM);
    CHECK_EQ(introspection_get_pagetableinfo(0, 0, 0, NULL, 0), -EPERM);
    introspection_cursor_t cursor = INTROSPECTION_CURSOR_CLOSED;
    CHECK_EQ(introspection_cursor_open(&cursor, 0, ALL, INTROSPECTION_PHYSICAL), -EPERM);
    CHECK_EQ(introspection_cursor_open(&cursor, 0, ALL, INTROSPECTION_PAGETABLE), -EPERM);
    CHECK_EQ(introspection_cursor_next(&cursor, &record, 1), -EBADF);
    CHECK_EQ(introspection_cursor_open(&cursor, 0, ALL, INTROSPECTION_VIRTUAL), 0);
    CHECK_EQ(introspection_cursor_next(&cursor, &record, 1), 1);
    introspection_cursor_close(&cursor);
    CHECK_EQ(introspection_read_process_memory(0, at, bytes, 1), 1);
    CHECK_EQ(introspection_get_mapped_object_path(0, at, (void *)path, sizeof path), -ENXIO);
    each_says(getppid(), -EPERM);
}

static void without_privilege_the_layout_is_told_but_no_address(void) {
    need_root();
    in_child(without_privilege);
}

static void no_file_can_be_opened(void) {
    struct rlimit none;
    CHECK(getrlimit(RLIMIT_NOFILE, &none) == 0);
    none.rlim_cur = 3;
    for (int fd = 3; fd < 1024; fd++) close(fd);
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    all_say(0, -EMFILE);
    all_say(getppid(), -EMFILE);
    CHECK_EQ(introspection_getpid64(0), -1);
    /* Descriptors run out anywhere in a call, and none is left open. */
    int enough = 0;
    for (rlim_t limit = 4; limit < 16; limit++) {
        struct rlimit some = {limit, none.rlim_max};
        CHECK(setrlimit(RLIMIT_NOFILE, &some) == 0);
        int result = introspection_get_physical_regions(getppid(), ALL, NULL, 0);
        CHECK(result > 0 || result == -EMFILE);
        enough |= result > 0;
        CHECK_EQ(open_files(), 3);
    }
    CHECK(enough);
}

static void without_descriptors_the_kernels_error_is_given(void) {
    need_root();
    in_child(no_file_can_be_opened);
}

/* Path of this program, which executes itself again and again. */
static void exec_again(void) {
    execl("/proc/self/exe", "targets", EXEC_AGAIN, (char *)NULL);
    _exit(1);
}

/* A child that execs forever, so that its memory goes away all the time. */
static void a_target_that_execs_is_whole_or_gone(void) {
    need_root();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        exec_again();
    }
    static procfs_mapinfo records[400];
    int whole = 0;
    for (int i = 0; i < 300; i++) {
        int result = introspection_get_physical_regions(child, ALL, records, sizeof records);
        if (result == -ESRCH) continue;
        /* A 64-bit kernel that executes a 32-bit program has its first mapping
         * for a moment where only 64 bits reach (fs/exec.c, __bprm_mm_init). */
        if (result == 0 && sizeof(size_t) < 8) continue;
        if (result <= 0) FAIL("result %d", result);
        size_t count = (size_t)result / RECORD;
        /* Number of records stored. */
        if (count > 400) count = 400;
        whole++;
        for (size_t at = 1; at < count; at++)
            CHECK(records[at - 1].vaddr + records[at - 1].size <= records[at].vaddr);
    }
    CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
    CHECK(whole > 0);
    end_child(child);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], EXEC_AGAIN) == 0) exec_again();
    static const struct test_case cases[] = {
        {"nobodys_number_is_no_process", nobodys_number_is_no_process},
        {"zero_the_pid_and_the_unique_pid_are_one_process",
         zero_the_pid_and_the_unique_pid_are_one_process},
        {"getpid64_is_a_function_of_the_library", getpid64_is_a_function_of_the_library},
        {"a_childs_copy_of_a_page_has_an_address_of_its_own",
         a_childs_copy_of_a_page_has_an_address_of_its_own},
        {"a_unique_pid_ends_with_its_process", a_unique_pid_ends_with_its_process},
        {"a_threads_id_is_no_process", a_threads_id_is_no_process},
        {"a_process_without_memory_has_no_records", a_process_without_memory_has_no_records},
        {"without_privilege_the_layout_is_told_but_no_address",
         without_privilege_the_layout_is_told_but_no_address},
        {"without_descriptors_the_kernels_error_is_given",
         without_descriptors_the_kernels_error_is_given},
        {"a_target_that_execs_is_whole_or_gone", a_target_that_execs_is_whole_or_gone},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
