/* Lists of processes, names, the status of processes and threads, registers: results,
 * buffers and errors of each function. */
#define _GNU_SOURCE
#include "check.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "children.h"

/* Returns memory of `size` bytes that ends where nothing is mapped. */
static char *at_end_of_memory(size_t size) {
    char *memory = map_pages(1);
    return memory + page_size() - size;
}

static int contains(const pid64_t *pids, size_t count, pid_t pid) {
    for (size_t i = 0; i < count; i++)
        if ((pid_t)pids[i] == pid) return pids[i] == getpid64(pid);
    return 0;
}

/* Three children, one of them a zombie. */
static pid_t family[3];
static void make_family(void) {
    for (size_t i = 0; i < 3; i++) family[i] = still_child();
    CHECK(kill(family[1], SIGKILL) == 0);
    siginfo_t info;
    CHECK(waitid(P_PID, (id_t)family[1], &info, WEXITED | WNOWAIT) == 0);
}
static void end_family(void) {
    for (size_t i = 0; i < 3; i++) end_child(family[i]);
}

static void lists_have_the_unique_pids_of_all_and_of_children(void) {
    make_family();
    pid64_t children[4];
    memset(children, 0xa5, sizeof children);
    CHECK_EQ(introspection_get_all_child_pids(0, children, sizeof children), 24);
    for (size_t i = 0; i < 3; i++) CHECK(contains(children, 3, family[i]));
    CHECK_EQ(children[3], 0xa5a5a5a5a5a5a5a5);
    CHECK_EQ(introspection_get_all_child_pids(getpid64(0), NULL, 0), 24);
    CHECK_EQ(introspection_get_all_child_pids(family[0], children, sizeof children), 0);
    CHECK_EQ(introspection_get_all_child_pids(family[1], children, sizeof children), 0);
    static pid64_t all[32768];
    int needed = introspection_get_all_pids(all, sizeof all);
    CHECK(needed > 0 && (size_t)needed <= sizeof all && needed % 8 == 0);
    CHECK(contains(all, (size_t)needed / 8, getpid()));
    for (size_t i = 0; i < 3; i++) CHECK(contains(all, (size_t)needed / 8, family[i]));
    for (int i = 1; i < needed / 8; i++) CHECK((pid_t)all[i - 1] < (pid_t)all[i]);
    end_family();
}

static void a_list_that_does_not_fit_is_cut_to_whole_elements(void) {
    make_family();
    /* Neither the end of the buffer nor anything behind it is touched. */
    for (size_t size = 0; size < 24; size++) {
        char *pids = at_end_of_memory(size + 9) + 1;
        memset(pids, 0x5a, size + 8);
        CHECK_EQ(introspection_get_all_child_pids(0, (pid64_t *)(void *)pids, size), 24);
        for (size_t i = 0; i < size / 8; i++) {
            pid64_t pid;
            memcpy(&pid, pids + 8 * i, 8);
            CHECK(contains(&pid, 1, (pid_t)pid));
        }
        for (size_t i = size / 8 * 8; i < size + 8; i++) CHECK_EQ(pids[i], 0x5a);
    }
    /* The size given says more than is there, but what is needed is there. */
    pid64_t *pids = (pid64_t *)(void *)at_end_of_memory(24);
    CHECK_EQ(introspection_get_all_child_pids(0, pids, 4096), 24);
    /* Two of three could be stored. */
    pids = (pid64_t *)(void *)at_end_of_memory(16);
    CHECK_EQ(introspection_get_all_child_pids(0, pids, 4096), -EFAULT);
    CHECK_EQ(introspection_get_all_child_pids(0, NULL, 8), -EFAULT);
    CHECK_EQ(introspection_get_all_pids(pids, 1 << 20), -EFAULT);
    CHECK_EQ(introspection_get_all_pids((pid64_t *)1, 8), -EFAULT);
    CHECK(introspection_get_all_pids(NULL, 0) >= 32);
    CHECK(introspection_get_all_pids(NULL, 7) >= 32);
    end_family();
}

static void allocated_lists_belong_to_the_caller(void) {
    make_family();
    pid64_t *pids = NULL;
    size_t count = 77;
    errno = 4711;
    CHECK_EQ(introspection_allocate_and_get_all_child_pids(0, &pids, &count), EOK);
    CHECK_EQ(count, 3);
    for (size_t i = 0; i < 3; i++) CHECK(contains(pids, count, family[i]));
    free(pids);
    CHECK_EQ(introspection_allocate_and_get_all_child_pids(family[0], &pids, &count), EOK);
    CHECK_EQ(count, 0);
    CHECK(pids != NULL);
    free(pids);
    CHECK_EQ(introspection_allocate_and_get_all_pids(&pids, &count), EOK);
    CHECK(count >= 4 && contains(pids, count, getpid()));
    free(pids);
    CHECK_EQ(introspection_allocate_and_get_all_child_pids(-1, &pids, &count), ESRCH);
    CHECK(pids == NULL && count == 0);
    CHECK_EQ(introspection_allocate_and_get_all_pids(NULL, &count), EFAULT);
    CHECK_EQ(introspection_allocate_and_get_all_pids(&pids, NULL), EFAULT);
    CHECK_EQ(errno, 4711);
    end_family();
}

static void without_memory_a_list_is_an_error(void) {
    pid64_t *pids;
    size_t count;
    /* Takes what the allocator has of its own, too. */
    struct rlimit limit = {0, 0};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(setrlimit(RLIMIT_DATA, &limit) == 0);
    /* Volatile: a compiler may otherwise take it that an unused malloc never fails. */
    void *volatile taken;
    do {
        taken = malloc(4096);
        if (!taken) taken = malloc(64);
    } while (taken);
    CHECK_EQ(introspection_allocate_and_get_all_pids(&pids, &count), ENOMEM);
    CHECK(pids == NULL && count == 0);
}

static char own_path[PATH_MAX];
static size_t own_length(void) {
    ssize_t length = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
    CHECK(length > 1);
    return (size_t)length - 1;
}

static void a_name_is_the_path_without_its_slash_and_fits_or_is_empty(void) {
    size_t length = own_length();
    char name[PATH_MAX];
    memset(name, 0x5a, sizeof name);
    CHECK_EQ(introspection_get_process_name(0, name, sizeof name), length);
    CHECK(strcmp(name, own_path + 1) == 0);
    CHECK_EQ(name[length + 1], 0x5a);
    CHECK_EQ(introspection_get_process_name(getpid64(0), NULL, 0), length);
    /* Exactly, at the end of memory. */
    char *fits = at_end_of_memory(length + 1);
    CHECK_EQ(introspection_get_process_name(0, fits, length + 1), length);
    CHECK(strcmp(fits, own_path + 1) == 0);
    char *enough = at_end_of_memory(length + 1);
    CHECK_EQ(introspection_get_process_name(0, enough, SIZE_MAX), length);
    for (size_t size = 1; size <= length; size++) {
        char *small = at_end_of_memory(size);
        memset(small, 0x5a, size);
        CHECK_EQ(introspection_get_process_name(0, small, size), length);
        CHECK_EQ(small[0], 0);
        for (size_t i = 1; i < size; i++) CHECK_EQ(small[i], 0x5a);
    }
    CHECK_EQ(introspection_get_process_name(0, at_end_of_memory(length), SIZE_MAX), -EFAULT);
    CHECK_EQ(introspection_get_process_name(0, NULL, 1), -EFAULT);
    CHECK_EQ(introspection_get_process_name(0, NULL, 4096), -EFAULT);
    CHECK_EQ(introspection_get_process_name(0, (char *)(uintptr_t)own_length, 1), -EFAULT);
}

static void a_short_name_is_stored_without_a_byte_more(void) {
    /* A zombie's name has no slash, and can be shorter than what a probe writes. */
    for (size_t length = 0; length < 10; length++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            CHECK(prctl(PR_SET_NAME, &"abcdefghij"[10 - length]) == 0);
            _exit(0);
        }
        siginfo_t info;
        CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
        char *name = at_end_of_memory(length + 2);
        name[length + 1] = 0x5a;
        CHECK_EQ(introspection_get_process_name(child, name, length + 1), length);
        CHECK(strcmp(name, &"abcdefghij"[10 - length]) == 0);
        CHECK_EQ(name[length + 1], 0x5a);
        /* It straddles the end of memory. */
        if (length > 0) {
            CHECK_EQ(introspection_get_process_name(child, at_end_of_memory(length), 100), -EFAULT);
        }
        CHECK_EQ(waitpid(child, NULL, 0), child);
    }
}

static void the_status_of_a_process_is_what_it_knows_of_itself(void) {
    debug_process_t info, again;
    mode_t mask = umask(027);
    CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
    CHECK_EQ(introspection_get_proc_info(0, &info), EOK);
    CHECK_EQ(info.pid, getpid());
    CHECK_EQ(info.parent, getppid());
    CHECK_EQ(info.pgrp, getpgrp());
    CHECK_EQ(info.sid, getsid(0));
    CHECK_EQ(info.uid, getuid());
    CHECK_EQ(info.euid, geteuid());
    CHECK_EQ(info.gid, getgid());
    CHECK_EQ(info.egid, getegid());
    CHECK_EQ(info.umask, 027);
    CHECK(info.sig_ignore >> (SIGUSR2 - 1) & 1);
    CHECK_EQ(info.num_threads, 1);
    CHECK_EQ(info.num_fdcons, open_files());
    CHECK_EQ(info.child | info.sibling, 0);
    CHECK_EQ(info.flags & (INTROSPECTION_PF_ZOMBIE | INTROSPECTION_PF_STOPPED), 0);
    CHECK_EQ((info.flags & INTROSPECTION_PF_64BIT) != 0, sizeof(void *) == 8);
    uint64_t now = (uint64_t)time(NULL);
    CHECK(info.start_time / 1000000000 <= now && info.start_time / 1000000000 + 300 >= now);
    /* The program's ELF header, and the number of arguments. */
    const char *header = (const char *)(uintptr_t)info.base_address;
    CHECK(memcmp(header, "\177ELF", 4) == 0);
    CHECK_EQ(*(const long *)(uintptr_t)info.initial_stack, 2);
    umask(mask);
    /* Stopped, by its PID and its unique PID: the same bytes. */
    pid_t child = still_child();
    CHECK_EQ(introspection_get_proc_info(child, &info), EOK);
    CHECK_EQ(introspection_get_proc_info(getpid64(child), &again), EOK);
    CHECK(memcmp(&info, &again, sizeof info) == 0);
    CHECK(info.flags & INTROSPECTION_PF_STOPPED && info.flags & INTROSPECTION_PF_FORKED);
    CHECK(kill(child, SIGKILL) == 0);
    siginfo_t ended;
    CHECK(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT) == 0);
    CHECK_EQ(introspection_get_proc_info(child, &info), EOK);
    CHECK(info.flags & INTROSPECTION_PF_ZOMBIE);
    CHECK_EQ(info.num_threads, 0);
    CHECK_EQ(introspection_get_thread_status(child, 1, &(debug_thread_t){0}), ESRCH);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    CHECK_EQ(introspection_get_proc_info(child, &info), ESRCH);
}

/* Errors of the functions that fill a struct are positive. */
static void a_struct_is_stored_whole_or_not_at_all(void) {
    CHECK_EQ(introspection_get_proc_info(0, NULL), EFAULT);
    CHECK_EQ(introspection_get_thread_status(0, 1, NULL), EFAULT);
    debug_process_t *info = (void *)at_end_of_memory(sizeof *info);
    CHECK_EQ(introspection_get_proc_info(0, info), EOK);
    debug_thread_t *status = (void *)at_end_of_memory(sizeof *status);
    CHECK_EQ(introspection_get_thread_status(0, 1, status), EOK);
    /* One byte is missing. */
    CHECK_EQ(introspection_get_proc_info(0, (void *)((char *)info + 1)), EFAULT);
    CHECK_EQ(introspection_get_thread_status(0, 1, (void *)((char *)status + 1)), EFAULT);
    CHECK_EQ(introspection_get_proc_info(0, (void *)(uintptr_t)"literal"), EFAULT);
    /* Any alignment. */
    char *odd = at_end_of_memory(sizeof *info + 3) + 1;
    odd[sizeof *info] = 0x5a;
    CHECK_EQ(introspection_get_proc_info(0, (void *)odd), EOK);
    CHECK_EQ(odd[sizeof *info], 0x5a);
}

static pthread_barrier_t started;
static _Atomic unsigned ids[3];
static void *waits(void *index) {
    ids[(intptr_t)index] = (unsigned)syscall(SYS_gettid);
    pthread_barrier_wait(&started);
    /* On arm64, pause() is another call. */
    sigset_t none;
    CHECK(sigemptyset(&none) == 0);
    for (;;) sigsuspend(&none);
    return NULL;
}

static void threads_are_found_by_counting_up(void) {
    CHECK_EQ(pthread_barrier_init(&started, NULL, 4), 0);
    pthread_t thread;
    for (intptr_t i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&thread, NULL, waits, (void *)i), 0);
    pthread_barrier_wait(&started);
    debug_thread_t status;
    unsigned found = 0, last = 0, of_ours = 0;
    int result;
    /* As QNX's callers do. */
    for (unsigned tid = 1; (result = introspection_get_thread_status(0, tid, &status)) == EOK;
         tid = status.tid + 1) {
        CHECK(status.tid >= tid && status.tid > last);
        last = status.tid;
        found++;
        CHECK_EQ(status.pid, getpid());
        CHECK_EQ(status.flags, 0);
        for (int i = 0; i < 3; i++) of_ours += status.tid == ids[i];
        if (status.tid == (unsigned)getpid()) {
            CHECK_EQ(status.state, INTROSPECTION_STATE_RUNNING);
            CHECK_EQ(status.policy, INTROSPECTION_POLICY_OTHER);
            CHECK_EQ(status.priority, 10);
            CHECK_EQ(status.real_priority, 10);
        }
    }
    CHECK_EQ(result, ESRCH);
    CHECK_EQ(found, 4);
    CHECK_EQ(of_ours, 3);
    /* A hole is skipped, and a thread's own number finds it. */
    CHECK_EQ(introspection_get_thread_status(0, ids[2], &status), EOK);
    CHECK_EQ(status.tid, ids[2]);
    for (int i = 0; i < 1000 && status.state != INTROSPECTION_STATE_SIGSUSPEND; i++) {
        usleep(1000);
        CHECK_EQ(introspection_get_thread_status(0, ids[2], &status), EOK);
    }
    CHECK_EQ(status.state, INTROSPECTION_STATE_SIGSUSPEND);
    CHECK(status.sp >= status.stkbase && status.sp < status.stkbase + status.stksize);
    CHECK(status.ip != 0 && status.syscall > 0);
    CHECK_EQ(introspection_get_thread_status(0, UINT_MAX, &status), ESRCH);
}

static void need_registers(void) {
    static debug_greg_t set;
    if (introspection_get_generalpurpose_regs(0, (unsigned)getpid(), &set) == -ENOTSUP)
        SKIP("registers of this processor cannot be read");
}

#if defined(__aarch64__)
#define GENERAL 272
#define FLOATING_POINT 520
#define STACK_POINTER(set) (set)->aarch64.gpr[31]
#define INSTRUCTION_POINTER(set) (set)->aarch64.elr
#else
#define GENERAL 160
#define FLOATING_POINT 512
#define STACK_POINTER(set) (set)->x86_64.rsp
#define INSTRUCTION_POINTER(set) (set)->x86_64.rip
#endif

static void registers_are_stored_as_far_as_the_result_says(void) {
    need_registers();
    pid_t child = still_child();
    unsigned tid = (unsigned)child;
    static debug_greg_t general, general_again;
    static debug_fpreg_t floating, floating_again;
    memset(&general, 0x5a, sizeof general);
    memset(&general_again, 0x5a, sizeof general);
    memset(&floating, 0x5a, sizeof floating);
    memset(&floating_again, 0x5a, sizeof floating);
    CHECK_EQ(introspection_get_generalpurpose_regs(child, tid, &general), GENERAL);
    CHECK_EQ(introspection_get_generalpurpose_regs(getpid64(child), tid, &general_again), GENERAL);
    CHECK(memcmp(&general, &general_again, sizeof general) == 0);
    CHECK_EQ(introspection_get_floatingpoint_regs(child, tid, &floating), FLOATING_POINT);
    CHECK_EQ(introspection_get_floatingpoint_regs(child, tid, &floating_again), FLOATING_POINT);
    CHECK(memcmp(&floating, &floating_again, sizeof floating) == 0);
    const char *bytes = (const char *)&general;
    for (size_t i = GENERAL; i < sizeof general; i++) CHECK_EQ(bytes[i], 0x5a);
    bytes = (const char *)&floating;
    for (size_t i = FLOATING_POINT; i < sizeof floating; i++) CHECK_EQ(bytes[i], 0x5a);
    /* The same as the kernel shows of the stopped thread. */
    debug_thread_t status;
    do { /* Until it has stopped again. */
        CHECK_EQ(introspection_get_thread_status(child, tid, &status), EOK);
    } while (status.state != INTROSPECTION_STATE_STOPPED);
    CHECK_EQ(status.why, INTROSPECTION_WHY_JOBCONTROL);
    CHECK_EQ(status.sp, STACK_POINTER(&general));
    CHECK_EQ(status.ip, INSTRUCTION_POINTER(&general));
    /* Only the bytes that are stored are needed. */
    debug_greg_t *short_of = (void *)at_end_of_memory(GENERAL);
    CHECK_EQ(introspection_get_generalpurpose_regs(child, tid, short_of), GENERAL);
    CHECK_EQ(introspection_get_generalpurpose_regs(child, tid, (void *)((char *)short_of + 1)), -EFAULT);
    CHECK_EQ(introspection_get_generalpurpose_regs(child, tid, NULL), -EFAULT);
    CHECK_EQ(introspection_get_floatingpoint_regs(child, tid, NULL), -EFAULT);
    CHECK_EQ(introspection_get_generalpurpose_regs(child, tid + 1, &general), -ESRCH);
    CHECK_EQ(introspection_get_generalpurpose_regs(child, 0, &general), -ESRCH);
    CHECK_EQ(introspection_get_floatingpoint_regs(child, (unsigned)getpid(), &floating), -ESRCH);
    CHECK_EQ(introspection_get_generalpurpose_regs(-1, tid, &general), -ESRCH);
    end_child(child);
}

static void registers_leave_no_child_no_descriptor_and_no_memory(void) {
    need_registers();
    static debug_greg_t general;
    int files = open_files();
    sigset_t before, after;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    CHECK(sigprocmask(SIG_SETMASK, NULL, &before) == 0);
    for (long turns = scaled(300); turns > 0; turns--) {
        errno = 4711;
        CHECK(introspection_get_generalpurpose_regs(0, (unsigned)getpid(), &general) > 0);
        CHECK_EQ(errno, 4711);
    }
    CHECK_EQ(open_files(), files);
    CHECK(sigprocmask(SIG_SETMASK, NULL, &after) == 0);
    CHECK(memcmp(&before, &after, sizeof before) == 0);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG | 0x40000000 /* __WALL */), -1);
    CHECK_EQ(errno, ECHILD);
}

static void *reads_registers(void *tid) {
    for (long turns = scaled(50); turns > 0; turns--) {
        debug_greg_t *set = malloc(sizeof *set);
        int result = introspection_get_generalpurpose_regs(0, (unsigned)(intptr_t)tid, set);
        /* Another thread is reading it. */
        if (result != GENERAL && result != -EBUSY) FAIL("%d", result);
        free(set);
    }
    return NULL;
}

static void threads_may_read_registers_at_once(void) {
    need_registers();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, reads_registers, (void *)(intptr_t)getpid()), 0);
    for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static pid_t of_root;
static void without_rights(void) {
    pid_t child = of_root;
    CHECK(setgid(65534) == 0);
    CHECK(setuid(65534) == 0);
    /* As a program of that user is. */
    CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
    debug_process_t info;
    CHECK_EQ(introspection_get_proc_info(child, &info), EOK);
    CHECK_EQ(info.parent, getppid());
    CHECK_EQ(info.uid, 0);
    CHECK_EQ(info.num_threads, 1);
    CHECK_EQ(info.base_address | info.initial_stack | info.num_fdcons, 0);
    debug_thread_t status;
    CHECK_EQ(introspection_get_thread_status(child, 1, &status), EOK);
    CHECK_EQ(status.state, INTROSPECTION_STATE_STOPPED);
    CHECK_EQ(status.ip | status.sp | status.stkbase | status.stksize, 0);
    CHECK_EQ(status.syscall, -1);
    CHECK_EQ(introspection_get_process_name(child, NULL, 0), -EPERM);
    pid64_t pids[2];
    /* Itself, and the process of root. */
    CHECK_EQ(introspection_get_all_child_pids(getppid(), pids, sizeof pids), 16);
    static debug_greg_t general;
    int result = introspection_get_generalpurpose_regs(child, (unsigned)child, &general);
    CHECK(result == -EPERM || result == -ENOTSUP);
}

static void without_rights_public_members_remain(void) {
    need_root();
    of_root = still_child();
    in_child(without_rights);
    end_child(of_root);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"lists_have_the_unique_pids_of_all_and_of_children",
         lists_have_the_unique_pids_of_all_and_of_children},
        {"a_list_that_does_not_fit_is_cut_to_whole_elements",
         a_list_that_does_not_fit_is_cut_to_whole_elements},
        {"allocated_lists_belong_to_the_caller", allocated_lists_belong_to_the_caller},
        {"without_memory_a_list_is_an_error", without_memory_a_list_is_an_error},
        {"a_name_is_the_path_without_its_slash_and_fits_or_is_empty",
         a_name_is_the_path_without_its_slash_and_fits_or_is_empty},
        {"a_short_name_is_stored_without_a_byte_more", a_short_name_is_stored_without_a_byte_more},
        {"the_status_of_a_process_is_what_it_knows_of_itself",
         the_status_of_a_process_is_what_it_knows_of_itself},
        {"a_struct_is_stored_whole_or_not_at_all", a_struct_is_stored_whole_or_not_at_all},
        {"threads_are_found_by_counting_up", threads_are_found_by_counting_up},
        {"registers_are_stored_as_far_as_the_result_says",
         registers_are_stored_as_far_as_the_result_says},
        {"registers_leave_no_child_no_descriptor_and_no_memory",
         registers_leave_no_child_no_descriptor_and_no_memory},
        {"threads_may_read_registers_at_once", threads_may_read_registers_at_once},
        {"without_rights_public_members_remain", without_rights_public_members_remain},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
