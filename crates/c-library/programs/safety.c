/* State that a call does not change, and the contexts in which it works: in any
 * thread, in a signal handler, in a child of fork, under a pending cancel. */
#define _GNU_SOURCE
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "children.h"
#include "every_call.h"

static void errno_and_descriptors_are_left_alone(void) {
    need_root();
    introspection_cursor_t cursor = INTROSPECTION_CURSOR_CLOSED;
    int files = open_files();
    int number = 0;
    for (;; number++) {
        errno = 7777;
        int holds = call_number(number, &cursor);
        int after = errno;
        if (holds < 0) break;
        if (!holds) FAIL("call %d", number);
        if (after != 7777) FAIL("call %d changed errno", number);
        /* An open cursor holds files. */
        if (number < 13 || number > 15) CHECK_EQ(open_files(), files);
    }
    CHECK_EQ(number, CALLS);
}

static void a_cursors_files_are_closed_on_exec(void) {
    need_root();
    introspection_cursor_t cursor;
    int before = open_files();
    CHECK_EQ(introspection_cursor_open(&cursor, getppid(), ALL, INTROSPECTION_PHYSICAL), 0);
    int held = 0;
    for (int fd = 0; fd < 1024; fd++)
        if (dup2(fd, fd) == fd) {
            char link[64];
            char target[64] = "";
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            if (readlink(link, target, sizeof target - 1) < 0 ||
                strncmp(target, "/proc/", 6) != 0)
                continue;
            held++;
            snprintf(link, sizeof link, "/proc/self/fdinfo/%d", fd);
            FILE *info = fopen(link, "r");
            CHECK(info);
            unsigned flags = 0;
            char line[256];
            while (fgets(line, sizeof line, info)) sscanf(line, "flags: %o", &flags);
            fclose(info);
            CHECK(flags & 02000000);
        }
    CHECK(held > 0 && held <= 4);
    CHECK_EQ(open_files(), before + held);
    introspection_cursor_close(&cursor);
    CHECK_EQ(open_files(), before);
}

static volatile sig_atomic_t signals, handler_failed;
static char *known_memory;

static void on_signal(int number) {
    (void)number;
    int saved = errno;
    procfs_mapinfo record;
    uintptr_t at = (uintptr_t)known_memory;
    if (introspection_get_physical_regions(0, at, at, &record, RECORD) != (int)RECORD ||
        record.vaddr != at || !is_backed(&record))
        handler_failed = 1;
    if (introspection_get_virtual_regions(0, ALL, NULL, 0) <= 0) handler_failed = 1;
    if (errno != saved) handler_failed = 1;
    signals = signals + 1;
}

static void a_signal_handler_may_call(void) {
    need_root();
    known_memory = map_pages(1);
    known_memory[0] = 1;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    struct itimerval every = {{0, 1000}, {0, 1000}};
    CHECK(setitimer(ITIMER_PROF, &every, NULL) == 0);
    unsigned seed = 1;
    /* Interrupted anywhere: in malloc, in the library itself. */
    long enough = scaled(200);
    for (long turn = 0; signals < enough; turn++) {
        seed = seed * 1103515245u + 12345u;
        char *block = malloc(seed % 100000 + 1);
        CHECK(block);
        block[0] = (char)turn;
        int result = introspection_get_physical_regions(0, ALL, some_records, sizeof some_records);
        CHECK(result > 0);
        free(block);
        CHECK(!handler_failed);
    }
    struct itimerval never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
    CHECK(!handler_failed);
}

static void *calls_in_a_thread(void *memory) {
    char *mine = memory;
    uintptr_t at = (uintptr_t)mine, end = at + 2 * page_size() - 1;
    procfs_mapinfo first[2], again[2];
    CHECK_EQ(introspection_get_physical_regions(0, at, end, first, sizeof first), sizeof first);
    for (long turns = scaled(500); turns > 0; turns--) {
        CHECK_EQ(introspection_get_physical_regions(0, at, end, again, sizeof again), sizeof again);
        CHECK(memcmp(first, again, sizeof first) == 0);
        CHECK(introspection_get_virtual_regions(getppid(), ALL, NULL, 0) > 0);
        CHECK_EQ(introspection_get_pagetableinfo(0, at, end, again, sizeof again), sizeof again);
        CHECK_EQ(again[0].paddr, first[0].paddr);
        introspection_cursor_t cursor;
        CHECK_EQ(introspection_cursor_open(&cursor, 0, at, end, INTROSPECTION_PHYSICAL), 0);
        CHECK_EQ(introspection_cursor_next(&cursor, again, 2), 2);
        introspection_cursor_close(&cursor);
        CHECK(memcmp(first, again, sizeof first) == 0);
        uint64_t object[64];
        CHECK(introspection_get_mapped_object_path(0, (uintptr_t)"a literal", (void *)object,
                                                   sizeof object) > 1);
        CHECK_EQ(introspection_read_process_memory(0, at, object, 1), 1);
    }
    return NULL;
}

static void eight_threads_may_call_at_once(void) {
    need_root();
    enum { THREADS = 8 };
    int files = open_files();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        char *memory = map_pages(2);
        memory[0] = 1;
        CHECK_EQ(pthread_create(&threads[i], NULL, calls_in_a_thread, memory), 0);
    }
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(open_files(), files);
}

static void *forks(void *none) {
    for (long turns = scaled(20); turns > 0; turns--) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(20); /* In case of a wait for a lock that nobody releases. */
            _exit(introspection_get_physical_regions(0, ALL, NULL, 0) > 0 ? 0 : 1);
        }
        int status;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    return none;
}

static _Atomic int stop;
static void *calls_until_stopped(void *none) {
    while (!stop) CHECK(introspection_get_physical_regions(0, ALL, NULL, 0) > 0);
    return none;
}

static void a_child_of_a_threaded_program_may_call(void) {
    need_root();
    pthread_t calling, forking;
    CHECK_EQ(pthread_create(&calling, NULL, calls_until_stopped, NULL), 0);
    CHECK_EQ(pthread_create(&forking, NULL, forks, NULL), 0);
    CHECK_EQ(pthread_join(forking, NULL), 0);
    stop = 1;
    CHECK_EQ(pthread_join(calling, NULL), 0);
}

/* A thread cancels itself and then calls: the call must not return. */
static int to_call;
static int cleaned, returned;
static introspection_cursor_t thread_cursor;
static void clean(void *argument) { cleaned += *(int *)argument; }
static void *is_cancelled(void *none) {
    int one = 1, two = 2;
    pthread_cleanup_push(clean, &one);
    pthread_cleanup_push(clean, &two);
    CHECK_EQ(pthread_cancel(pthread_self()), 0);
    call_number(to_call, &thread_cursor);
    returned = 1;
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return none;
}

/* Returns the numbers of mapped pages and of allocated bytes. */
static long mapped(void) {
    FILE *statm = fopen("/proc/self/statm", "r");
    long pages = 0;
    CHECK(statm && fscanf(statm, "%ld", &pages) == 1);
    fclose(statm);
    return pages;
}
static size_t allocated(void) { return mallinfo2().uordblks + mallinfo2().hblkhd; }

static void run_cancelled(int number) {
    to_call = number;
    cleaned = returned = 0;
    pthread_t thread;
    void *result;
    int files = open_files();
    CHECK_EQ(pthread_create(&thread, NULL, is_cancelled, NULL), 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK_EQ(open_files(), files);
    if (returned) {
        CHECK(result == NULL);
    } else {
        CHECK(result == PTHREAD_CANCELED);
        CHECK_EQ(cleaned, 3);
    }
}

static void a_pending_cancel_is_acted_on_at_entry(void) {
    /* No new thread may have a heap of its own. */
    CHECK(mallopt(M_ARENA_MAX, 1));
    static const int points[] = {0, 1, 2, 3, 4, 5, 6, 8, 12, 13, 20, 21, 22, 23, 24};
    /* A thread's stack is kept for the next one. */
    run_cancelled(0);
    long pages = mapped();
    size_t bytes = allocated();
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        run_cancelled(points[i]);
        if (returned) FAIL("call %d is no cancellation point", points[i]);
    }
    static const int others[] = {14, 16, 18};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        run_cancelled(others[i]);
        if (!returned) FAIL("call %d is a cancellation point", others[i]);
    }
    CHECK_EQ(mapped(), pages);
    CHECK_EQ(allocated(), bytes);
}

static void *calls_with_cancel_disabled(void *none) {
    int state;
    CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state), 0);
    CHECK_EQ(pthread_cancel(pthread_self()), 0);
    CHECK(introspection_get_virtual_regions(0, ALL, NULL, 0) > 0);
    return none;
}

/* Cancelled by another thread at any moment, also in the middle of a call. */
static void *calls_for_ever(void *none) {
    for (;;) introspection_get_virtual_regions(getppid(), ALL, NULL, 0);
    return none;
}

static void a_cancel_never_stops_a_call_half_way(void) {
    pthread_t thread;
    void *result;
    CHECK_EQ(pthread_create(&thread, NULL, calls_with_cancel_disabled, NULL), 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == NULL);
    CHECK(mallopt(M_ARENA_MAX, 1));
    run_cancelled(0);
    int files = open_files();
    long pages = mapped();
    size_t bytes = allocated();
    long times = scaled(200);
    for (long i = 0; i < times; i++) {
        CHECK_EQ(pthread_create(&thread, NULL, calls_for_ever, NULL), 0);
        struct timespec moment = {0, i * 7919 % 300000};
        nanosleep(&moment, NULL);
        CHECK_EQ(pthread_cancel(thread), 0);
        CHECK_EQ(pthread_join(thread, &result), 0);
        CHECK(result == PTHREAD_CANCELED);
        CHECK_EQ(open_files(), files);
    }
    CHECK_EQ(mapped(), pages);
    CHECK_EQ(allocated(), bytes);
}

static void *calls_without_first_thread(void *memory) {
    uintptr_t at = (uintptr_t)memory;
    procfs_mapinfo record;
    wait_for_end_of_first_thread(getpid());
    CHECK_EQ(introspection_get_physical_regions(0, at, at, &record, RECORD), RECORD);
    CHECK(is_backed(&record));
    CHECK_EQ(introspection_get_physical_regions(getpid(), at, at, &record, RECORD), RECORD);
    CHECK(is_backed(&record));
    _exit(0);
}

static void first_thread_ends(void) {
    char *memory = map_pages(1);
    memory[0] = 1;
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, calls_without_first_thread, memory), 0);
    pthread_exit(NULL);
}

static void a_process_outlives_its_first_thread(void) {
    need_root();
    in_child(first_thread_ends);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"errno_and_descriptors_are_left_alone", errno_and_descriptors_are_left_alone},
        {"a_cursors_files_are_closed_on_exec", a_cursors_files_are_closed_on_exec},
        {"a_signal_handler_may_call", a_signal_handler_may_call},
        {"eight_threads_may_call_at_once", eight_threads_may_call_at_once},
        {"a_child_of_a_threaded_program_may_call", a_child_of_a_threaded_program_may_call},
        {"a_pending_cancel_is_acted_on_at_entry", a_pending_cancel_is_acted_on_at_entry},
        {"a_cancel_never_stops_a_call_half_way", a_cancel_never_stops_a_call_half_way},
        {"a_process_outlives_its_first_thread", a_process_outlives_its_first_thread},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
