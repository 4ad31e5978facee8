/* Assumptions of QNX programs that do not hold on Linux: the tests of the section
 * on idioms in docs/PORTING.md. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

#include "children.h"

#define COUNT_AGAIN "count again"

/* Every second page touched: each page is a record of its own. */
static void the_physical_list_is_longer_than_the_virtual_one(void) {
    need_root();
    enum { PAGES = 512 };
    char *memory = map_pages(PAGES);
    for (size_t i = 0; i < PAGES; i += 2) memory[i * page_size()] = 1;
    uintptr_t start = (uintptr_t)memory, end = start + PAGES * page_size() - 1;
    int virtual_size = introspection_get_virtual_regions(0, start, end, NULL, 0);
    CHECK_EQ(virtual_size, RECORD);
    /* A buffer of that size receives one record and no further byte. */
    procfs_mapinfo records[2];
    memset(records, 0x5a, sizeof records);
    int size = introspection_get_physical_regions(0, start, end, records, (size_t)virtual_size);
    CHECK_EQ(size, PAGES * RECORD);
    const unsigned char *behind = (const unsigned char *)&records[1];
    for (size_t i = 0; i < RECORD; i++) CHECK_EQ(behind[i], 0x5a);
}

static _Atomic int stop;
static void *changes_for_ever(void *memory) {
    size_t page = page_size();
    for (unsigned turn = 0; !stop; turn++) {
        char *at = (char *)memory + (turn * 7 % 512) * page;
        mprotect(at, page, turn % 3 ? PROT_READ : PROT_READ | PROT_WRITE);
    }
    return NULL;
}

/* Queries the size and then fills that much, as many programs do. */
static void a_list_that_grows_between_two_calls_stays_within_its_buffer(void) {
    char *memory = map_pages(512);
    uintptr_t start = (uintptr_t)memory, end = start + 512 * page_size() - 1;
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, changes_for_ever, memory), 0);
    long grew = 0, tries = 0;
    static procfs_mapinfo records[2048];
    for (; grew < 3 && tries < 200000; tries++) {
        int first = introspection_get_virtual_regions(0, start, end, NULL, 0);
        CHECK(first > 0 && (size_t)first + RECORD <= sizeof records);
        procfs_mapinfo *behind = &records[(size_t)first / RECORD];
        memset(behind, 0x5a, RECORD);
        int second = introspection_get_virtual_regions(0, start, end, records, (size_t)first);
        CHECK(second > 0);
        for (size_t i = 0; i < RECORD; i++) CHECK_EQ(((unsigned char *)behind)[i], 0x5a);
        grew += second > first;
    }
    stop = 1;
    CHECK_EQ(pthread_join(thread, NULL), 0);
    fprintf(stderr, "grew %ld times in %ld tries\n", grew, tries);
    CHECK(grew > 0);
}

/* Returns the index of the record that contains an address; -1 without one. */
static int record_of(const procfs_mapinfo *records, int count, uintptr_t at) {
    for (int i = 0; i < count; i++)
        if (records[i].vaddr <= at && at - records[i].vaddr < records[i].size) return i;
    return -1;
}

static void page_table_records_have_no_number_of_a_page(void) {
    need_root();
    size_t page = page_size();
    char *memory = map_pages(4);
    memset(memory, 1, 4 * page);
    CHECK(munmap(memory + page, page) == 0);
    procfs_mapinfo records[8];
    uintptr_t start = (uintptr_t)memory, end = start + 4 * page - 1;
    int size = introspection_get_pagetableinfo(0, start, end, records, sizeof records);
    /* The missing page has no record: the rest has moved up. */
    CHECK_EQ(size, 3 * RECORD);
    CHECK_EQ(record_of(records, 3, start), 0);
    CHECK_EQ(record_of(records, 3, start + page), -1);
    CHECK_EQ(record_of(records, 3, start + 2 * page + 5), 1);
    CHECK_EQ(record_of(records, 3, start + 3 * page), 2);
}

static void *walks_for_ever(void *none) {
    while (!stop) introspection_get_physical_regions(0, ALL, NULL, 0);
    return none;
}

/* Returns the number of open page maps, before the privilege is dropped. */
static int page_maps[64];
static int open_page_maps(void) {
    int count = 0;
    for (int fd = 3; fd < 64; fd++) {
        char link[64], target[64] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof target - 1) > 0 && strstr(target, "/pagemap"))
            page_maps[count++] = fd;
    }
    return count;
}

static void count_again(void) { _exit(open_page_maps()); }

/* Returns whether an inherited page map shows frame numbers to a child that has
 * dropped its privilege: those of its parent, whose pages it shares until they are
 * written. */
static int shows_frames(const char *known) {
    int count = open_page_maps();
    if (setuid(65534) != 0) return 0;
    for (int i = 0; i < count; i++) {
        uint64_t entry;
        off_t at = (off_t)((uintptr_t)known / page_size() * sizeof entry);
        if (pread(page_maps[i], &entry, sizeof entry, at) == sizeof entry &&
            entry & (((uint64_t)1 << 55) - 1))
            return 1;
    }
    return 0;
}

static int status_of(pid_t child) {
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_child_inherits_a_calls_descriptors_until_it_executes(void) {
    need_root();
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, walks_for_ever, NULL), 0);
    char *known = map_pages(1);
    known[0] = 1;
    int inherited = 0, forks = 0;
    for (; inherited < 10 && forks < 5000; forks++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) _exit(shows_frames(known));
        inherited += status_of(child) > 0;
    }
    fprintf(stderr, "%d of %d children saw frames\n", inherited, forks);
    CHECK(inherited > 0);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            execl("/proc/self/exe", "idioms", COUNT_AGAIN, (char *)NULL);
            _exit(99);
        }
        CHECK_EQ(status_of(child), 0);
    }
    stop = 1;
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(open_page_maps(), 0);
}

static sigjmp_buf out;
static volatile sig_atomic_t in_call;
static void jump(int number) {
    (void)number;
    int state, ignored;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_setcancelstate(state, &ignored);
    /* Disabled means that a call has begun and not ended. */
    if (in_call && state == PTHREAD_CANCEL_DISABLE) siglongjmp(out, 1);
}

static __attribute__((noinline)) void calls_until_jumped_out_of(void) {
    if (sigsetjmp(out, 1) == 0) {
        in_call = 1;
        for (;;) introspection_get_physical_regions(getppid(), ALL, NULL, 0);
    }
    in_call = 0;
}

static void a_jump_out_of_a_call_leaves_its_descriptors_and_cancellation_disabled(void) {
    need_root();
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = jump;
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    int before = open_files();
    struct itimerval every = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0);
    /* The call may have none open at that moment. */
    for (int jumps = 0; jumps < 50 && open_files() == before; jumps++) {
        calls_until_jumped_out_of();
        int state;
        CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state), 0);
        CHECK_EQ(state, PTHREAD_CANCEL_DISABLE);
    }
    CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
    CHECK(open_files() > before);
    /* The library continues to work. */
    CHECK(introspection_get_physical_regions(0, ALL, NULL, 0) > 0);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], COUNT_AGAIN) == 0) count_again();
    static const struct test_case cases[] = {
        {"the_physical_list_is_longer_than_the_virtual_one",
         the_physical_list_is_longer_than_the_virtual_one},
        {"a_list_that_grows_between_two_calls_stays_within_its_buffer",
         a_list_that_grows_between_two_calls_stays_within_its_buffer},
        {"page_table_records_have_no_number_of_a_page",
         page_table_records_have_no_number_of_a_page},
        {"a_child_inherits_a_calls_descriptors_until_it_executes",
         a_child_inherits_a_calls_descriptors_until_it_executes},
        {"a_jump_out_of_a_call_leaves_its_descriptors_and_cancellation_disabled",
         a_jump_out_of_a_call_leaves_its_descriptors_and_cancellation_disabled},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
