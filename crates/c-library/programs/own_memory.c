/* Reading the caller's own memory with any remaining privilege: QNX requires no
 * ability for it. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <sys/prctl.h>

#include "children.h"

#define NOBODY 65534

/* Three pages, then one that cannot be read, then none. */
static char *memory;
static uint64_t path[600];

static void make_memory(void) {
    size_t page = page_size();
    memory = map_pages(4);
    for (size_t i = 0; i < 3 * page; i++) memory[i] = (char)(i * 7 + i / page);
    CHECK(mprotect(memory + 3 * page, page, PROT_NONE) == 0);
}

static void read_by(pid64_t pid) {
    size_t page = page_size(), size = 3 * page - 200;
    uintptr_t at = (uintptr_t)memory;
    char *buffer = map_pages(4);
    memset(buffer, 0x55, 4 * page);
    CHECK_EQ(introspection_read_process_memory(pid, at + 100, buffer, size), size);
    CHECK(memcmp(buffer, memory + 100, size) == 0);
    CHECK(buffer[size] == 0x55);
    CHECK_EQ(introspection_read_process_memory(pid, at, buffer, 0), 0);
    /* Not mapped, at the beginning and in the middle; and an empty range. */
    uintptr_t gap = at + 4 * page;
    CHECK_EQ(introspection_read_process_memory(pid, gap, buffer, 1), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(pid, gap, buffer, 0), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(pid, at + page, buffer, 3 * page + 1),
             -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(pid, 0, buffer, 8), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(pid, ~(uintptr_t)7, buffer, 8), -ESRVRFAULT);
    /* A bad buffer, at the beginning and in the middle. */
    CHECK_EQ(introspection_read_process_memory(pid, at, (void *)8, 8), -EFAULT);
    CHECK_EQ(introspection_read_process_memory(pid, at, buffer + 3 * page, 2 * page), -EFAULT);
    CHECK(mprotect(buffer, page, PROT_READ) == 0);
    CHECK_EQ(introspection_read_process_memory(pid, at, buffer, 8), -EFAULT);
    munmap(buffer, 4 * page);
}

/* Functions that need no privilege for the caller itself. */
static void ask_about(pid64_t pid) {
    read_by(pid);
    procfs_mapinfo record;
    uintptr_t at = (uintptr_t)memory;
    CHECK_EQ(introspection_get_virtual_regions(pid, at, at, &record, RECORD), RECORD);
    CHECK(record.vaddr <= at && record.vaddr + record.size > at);
    CHECK(introspection_get_mapped_object_path(pid, (uintptr_t)"a literal", (void *)path,
                                               sizeof path) > 1);
}

static int may_ask_by_number; /* Before Linux 5.14 fdinfo was closed, too. */

static void *ask(void *none) {
    ask_about(0);
    if (may_ask_by_number) {
        ask_about(getpid());
        ask_about(getpid64(0));
    }
    return none;
}

static void ask_in_both_threads(void) {
    may_ask_by_number = open("/proc/self/fdinfo/1", O_RDONLY | O_CLOEXEC) >= 0;
    ask(NULL);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, ask, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    /* The child's memory is not its parent's, and the parent's is refused. */
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        memory[0] ^= 1;
        ask_about(0);
        char byte;
        if (introspection_read_process_memory(getppid(), (uintptr_t)memory, &byte, 1) == 1)
            _exit(byte == memory[0]);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

/* /proc/self/mem must be closed now, otherwise the test proves nothing. */
static void must_be_refused(void) { CHECK(open("/proc/self/mem", O_RDONLY) < 0); }

static void with_all_privileges(void) {
    make_memory();
    ask_in_both_threads();
}

static void after_setuid(void) {
    need_root();
    make_memory();
    CHECK(setuid(NOBODY) == 0);
    must_be_refused();
    ask_in_both_threads();
}

static void after_seteuid(void) {
    need_root();
    make_memory();
    CHECK(seteuid(NOBODY) == 0);
    must_be_refused();
    ask_in_both_threads();
}

static void not_dumpable(void) {
    need_root();
    make_memory();
    CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
    ask_in_both_threads();
    CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
    must_be_refused();
    ask_in_both_threads();
}

static void *asks_without_first_thread(void *none) {
    wait_for_end_of_first_thread(getpid());
    ask_about(0);
    _exit(0);
    return none;
}

static void first_thread_ends(void) {
    CHECK(setuid(NOBODY) == 0);
    must_be_refused();
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, asks_without_first_thread, NULL), 0);
    pthread_exit(NULL);
}

static void when_the_first_thread_has_ended(void) {
    need_root();
    make_memory();
    in_child(first_thread_ends);
}

/* Only a process that may attach to the target reads its protected memory. */
static void a_protected_page_is_read_with_the_right_to_attach_only(void) {
    need_root();
    make_memory();
    uintptr_t at = (uintptr_t)memory + 3 * page_size();
    char bytes[8];
    int with = introspection_read_process_memory(0, at, bytes, sizeof bytes);
    /* Linux 6.12 can be built to refuse it to everybody. */
    CHECK(with == sizeof bytes || with == -ESRVRFAULT);
    CHECK(setuid(NOBODY) == 0);
    must_be_refused();
    CHECK_EQ(introspection_read_process_memory(0, at, bytes, sizeof bytes), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(0, at - 4, bytes, sizeof bytes), -ESRVRFAULT);
}

/* The buffer may lie in the range that is read. Its contents are unspecified then,
 * but nothing outside of it is written. */
static void nothing_but_an_overlapping_buffer_is_written(void) {
    make_memory();
    size_t page = page_size();
    char *copy = map_pages(3);
    for (int dropped = 0; dropped < 2; dropped++) {
        static const long distances[] = {0, 1, -1, 100, -100, 4000, -4000};
        for (size_t i = 0; i < sizeof distances / sizeof *distances; i++) {
            memcpy(copy, memory, 3 * page);
            size_t size = page - 100, from = page - 50, to = from + (size_t)distances[i];
            CHECK_EQ(introspection_read_process_memory(0, (uintptr_t)memory + from, memory + to,
                                                       size),
                     size);
            CHECK(memcmp(copy, memory, to) == 0);
            CHECK(memcmp(copy + to + size, memory + to + size, 3 * page - to - size) == 0);
            memcpy(memory, copy, 3 * page);
        }
        if (geteuid() != 0) break;
        CHECK(setuid(NOBODY) == 0);
        must_be_refused();
    }
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"with_all_privileges", with_all_privileges},
        {"after_setuid", after_setuid},
        {"after_seteuid", after_seteuid},
        {"not_dumpable", not_dumpable},
        {"when_the_first_thread_has_ended", when_the_first_thread_has_ended},
        {"a_protected_page_is_read_with_the_right_to_attach_only",
         a_protected_page_is_read_with_the_right_to_attach_only},
        {"nothing_but_an_overlapping_buffer_is_written",
         nothing_but_an_overlapping_buffer_is_written},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
