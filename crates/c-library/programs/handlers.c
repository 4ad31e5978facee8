/* Walks in a signal handler that interrupts functions that are not reentrant, and
 * on an alternate stack of the documented size. */
#define _GNU_SOURCE
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>


#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static timer_t timer;
static uint64_t seed;
static volatile sig_atomic_t signals;
static long enough;
static const char *volatile failed;
static char *known_memory;

/* Sets the next signal to 10 to 150 microseconds from now. */
static void arm(void) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    struct itimerspec moment = {{0, 0}, {0, 10000 + (long)((seed >> 33) % 140000)}};
    if (timer_settime(timer, 0, &moment, NULL) != 0) failed = "timer_settime";
}

static void walk(void) {
    int saved = errno;
    errno = 4711;
    static procfs_mapinfo records[8];
    static struct {
        uint64_t vaddr;
        char path[512];
    } object;
    uintptr_t at = (uintptr_t)known_memory;
    char byte = 0;
    if (introspection_get_physical_regions(0, at, at, records, RECORD) != (int)RECORD ||
        records[0].vaddr != at || !is_backed(&records[0]))
        failed = "physical";
    if (introspection_get_pagetableinfo(0, at, at, records, RECORD) != (int)RECORD)
        failed = "page table";
    if (introspection_read_process_memory(0, at, &byte, 1) != 1 || byte != 77) failed = "memory";
    /* All of them, but not each time: there are many while libraries are loaded. */
    switch (signals % 4) {
    case 0:
        if (introspection_get_virtual_regions(0, ALL, NULL, 0) <= 0) failed = "virtual";
        break;
    case 1:
        if (introspection_get_physical_regions(0, ALL, records, sizeof records) <= 0)
            failed = "all physical";
        break;
    case 2:
        if (introspection_get_mapped_object_path(0, (uintptr_t)"a literal", (void *)&object,
                                                 sizeof object) <= 1)
            failed = "object";
        break;
    default:
        if (introspection_getpid64(0) <= 0) failed = "unique PID";
    }
    static debug_process_t info;
    static debug_thread_t status;
    static pid64_t pids[8];
    switch (signals % 5) {
    case 0:
        if (introspection_get_all_pids(pids, sizeof pids) <= 0) failed = "list";
        break;
    case 1:
        if (introspection_get_all_child_pids(getppid(), pids, sizeof pids) < 8) failed = "children";
        break;
    case 2:
        if (introspection_get_process_name(0, object.path, sizeof object.path) <= 0) failed = "name";
        break;
    case 3:
        if (introspection_get_proc_info(0, &info) != EOK || info.pid != getpid()) failed = "info";
        break;
    default:
        if (introspection_get_thread_status(0, 1, &status) != EOK) failed = "thread";
    }
    if (errno != 4711) failed = "errno";
    errno = saved;
}

static void walk_in_handler(int number) {
    (void)number;
    walk();
    signals = signals + 1;
    if (signals < enough) arm();
}

static void interrupt_with_walks(void) {
    need_root();
    alarm(120); /* In case of a wait for a lock that the interrupted code holds. */
    enough = scaled(1500);
    known_memory = map_pages(1);
    known_memory[0] = 77;
    /* Completes lazy work of the dynamic linker for the handler. */
    for (signals = 0; signals < 4; signals = signals + 1) walk();
    signals = 0;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = walk_in_handler;
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGPROF, &action, NULL) == 0);
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGPROF;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    arm();
}

/* Returns true until there were enough signals. */
static int is_interrupted(void) {
    if (failed) FAIL("in the handler: %s", failed);
    return signals < enough;
}

static void a_handler_that_interrupts_malloc_may_walk(void) {
    interrupt_with_walks();
    enum { BLOCKS = 64 };
    char *blocks[BLOCKS] = {0};
    for (unsigned turn = 0; is_interrupted(); turn++) {
        unsigned which = turn * 2654435761u >> 26;
        /* From the thread's cache, from the heap, and as mappings of their own. */
        size_t size = (turn % 7 == 0 ? 200000 : turn % 3 == 0 ? 5000 : 40) + turn % 1000;
        blocks[which] = turn % 2 ? realloc(blocks[which], size)
                                 : (free(blocks[which]), malloc(size));
        CHECK(blocks[which]);
        memset(blocks[which], (int)turn, 32);
    }
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
}

static void a_handler_that_interrupts_printf_may_walk(void) {
    FILE *sink = fopen("/dev/null", "w");
    CHECK(sink);
    interrupt_with_walks();
    char text[400];
    for (int turn = 0; is_interrupted(); turn++) {
        CHECK(fprintf(sink, "%d %s %.17g %300s\n", turn, "text", turn / 7.0, "wide") > 300);
        CHECK(snprintf(text, sizeof text, "%Lg %a", (long double)turn, turn / 3.0) > 0);
        if (turn % 16 == 0) CHECK(fflush(sink) == 0);
    }
    fclose(sink);
}

static void a_handler_that_interrupts_dlopen_may_walk(void) {
    static const char *const names[] = {"libutil.so.1", "libresolv.so.2", "libnsl.so.1",
                                        "libm.so.6", "libthread_db.so.1"};
    void *first = dlopen("libresolv.so.2", RTLD_NOW);
    if (!first) SKIP("this program cannot dlopen: %s", dlerror());
    dlclose(first);
    interrupt_with_walks();
    int loaded = 0;
    for (unsigned turn = 0; is_interrupted(); turn++) {
        void *library = dlopen(names[turn % (sizeof names / sizeof *names)], RTLD_NOW);
        if (!library) continue;
        loaded++;
        dlsym(library, "no such symbol");
        CHECK(dlclose(library) == 0);
    }
    CHECK(loaded > 0);
}

/* A thread that calls one function until a cancel made in a signal handler is
 * acted on. */
static introspection_cursor_t thread_cursor, handler_cursor;
static void (*interrupted)(void);
static volatile sig_atomic_t nested;

static void calls_virtual_regions(void) {
    introspection_get_virtual_regions(0, ALL, NULL, 0);
}
static void calls_physical_regions(void) {
    introspection_get_physical_regions(0, ALL, NULL, 0);
}
static void calls_physical_regions_of_another(void) {
    introspection_get_physical_regions(getppid(), ALL, NULL, 0);
}
static void calls_pagetableinfo(void) {
    uintptr_t at = (uintptr_t)known_memory;
    introspection_get_pagetableinfo(0, at, at + 64 * page_size() - 1, NULL, 0);
}
static void calls_mapped_object_path(void) {
    introspection_get_mapped_object_path(0, (uintptr_t)"a literal", NULL, 0);
}
static void calls_read_process_memory(void) {
    char bytes[64];
    introspection_read_process_memory(getppid(), 0, bytes, sizeof bytes);
    introspection_read_process_memory(0, (uintptr_t)known_memory, bytes, sizeof bytes);
}
static void calls_getpid64(void) { getpid64(getppid()); }
static void calls_all_pids(void) {
    pid64_t pids[16];
    introspection_get_all_pids(pids, sizeof pids);
}
static void calls_all_child_pids(void) {
    introspection_get_all_child_pids(getppid(), NULL, 0);
}
static void calls_process_name(void) {
    introspection_get_process_name(getppid(), NULL, 0);
}
static void calls_proc_info(void) {
    debug_process_t info;
    introspection_get_proc_info(getppid(), &info);
}
static void calls_thread_status(void) {
    debug_thread_t status;
    introspection_get_thread_status(getppid(), 1, &status);
}
static void calls_a_cursor(void) {
    procfs_mapinfo some[4];
    introspection_cursor_open(&thread_cursor, getppid(), ALL, INTROSPECTION_PHYSICAL);
    for (int i = 0; i < 8; i++) introspection_cursor_next(&thread_cursor, some, 4);
    introspection_cursor_close(&thread_cursor);
}

/* Every function, with a cancel pending. */
static void cancelled_in_handler(int number) {
    (void)number;
    int state, ignored;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_cancel(pthread_self());
    /* Disabled in a handler means that it interrupted a call of the library. */
    if (state == PTHREAD_CANCEL_DISABLE) nested = nested + 1;
    pthread_setcancelstate(state, &ignored);
    procfs_mapinfo some[4];
    char bytes[8];
    uintptr_t at = (uintptr_t)known_memory;
    introspection_get_virtual_regions(0, at, at, some, sizeof some);
    introspection_get_physical_regions(0, at, at, some, sizeof some);
    introspection_get_pagetableinfo(getppid(), at, at, some, sizeof some);
    introspection_get_mapped_object_path(0, at, NULL, 0);
    introspection_read_process_memory(0, at, bytes, sizeof bytes);
    introspection_getpid64(0);
    getpid64(0);
    introspection_cursor_open(&handler_cursor, 0, at, at, INTROSPECTION_PAGETABLE);
    introspection_cursor_next(&handler_cursor, some, 1);
    introspection_cursor_close(&handler_cursor);
    pid64_t pids[2];
    debug_process_t info;
    debug_thread_t status;
    introspection_get_all_pids(pids, sizeof pids);
    introspection_get_all_child_pids(0, pids, sizeof pids);
    introspection_get_process_name(0, NULL, 0);
    introspection_get_proc_info(0, &info);
    introspection_get_thread_status(0, 1, &status);
    /* Another cancellation point. */
    struct timespec none = {0, 1};
    nanosleep(&none, NULL);
}

static void close_cursor(void *cursor_of_thread) {
    introspection_cursor_close(cursor_of_thread);
}

static void *is_interrupted_for_ever(void *none) {
    pthread_cleanup_push(close_cursor, &thread_cursor);
    for (;;) {
        interrupted();
        pthread_testcancel();
    }
    pthread_cleanup_pop(1);
    return none;
}

static void a_cancel_in_a_handler_waits_for_the_call_that_it_interrupts(void) {
    need_root();
    known_memory = map_pages(64);
    static const struct test_case calls[] = {
        {"virtual_regions", calls_virtual_regions},
        {"physical_regions", calls_physical_regions},
        {"physical_regions_of_another", calls_physical_regions_of_another},
        {"pagetableinfo", calls_pagetableinfo},
        {"mapped_object_path", calls_mapped_object_path},
        {"read_process_memory", calls_read_process_memory},
        {"getpid64", calls_getpid64},
        {"a cursor", calls_a_cursor},
        {"all_pids", calls_all_pids},
        {"all_child_pids", calls_all_child_pids},
        {"process_name", calls_process_name},
        {"proc_info", calls_proc_info},
        {"thread_status", calls_thread_status},
        {NULL, NULL},
    };
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = cancelled_in_handler;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    uint64_t random = 1;
    int before = open_files();
    for (const struct test_case *call = calls; call->name; call++) {
        interrupted = call->run;
        sig_atomic_t had = nested;
        long tries = 0;
        for (; nested - had < scaled(60) && tries < 20000; tries++) {
            pthread_t thread;
            void *result;
            CHECK_EQ(pthread_create(&thread, NULL, is_interrupted_for_ever, NULL), 0);
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            struct timespec moment = {0, (long)((random >> 33) % 200000)};
            nanosleep(&moment, NULL);
            CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
            CHECK_EQ(pthread_join(thread, &result), 0);
            CHECK(result == PTHREAD_CANCELED);
            if (open_files() != before)
                FAIL("%s: %d descriptors, then %d", call->name, before, open_files());
        }
        fprintf(stderr, "%s: interrupted %d times in %ld threads\n", call->name,
                (int)(nested - had), tries);
        if (nested == had) FAIL("%s was never interrupted", call->name);
    }
}

/* Size of the kernel's signal frame, the handler's own frame, and the documented
 * stack of a call. */
#define OWN_FRAME 512
#define DOCUMENTED 6144
#define PAINT 0xa55ac33c0ff06996u

static char *handler_stack;
static size_t handler_stack_size;
static void (*in_handler)(void);

static void on_alternate_stack(int number) {
    (void)number;
    in_handler();
}

static procfs_mapinfo records[4096];
static char path[5000];
static introspection_cursor_t cursor;
static void virtual_regions(void) {
    if (introspection_get_virtual_regions(0, ALL, records, sizeof records) <= 0) failed = "virtual";
}
static void physical_regions(void) {
    if (introspection_get_physical_regions(getppid(), ALL, records, sizeof records) <= 0)
        failed = "physical";
}
static void page_table(void) {
    int result = introspection_get_pagetableinfo(0, ALL, records, sizeof records);
    if (result <= 0 && result != -EOVERFLOW) failed = "page table";
}
static void object_path(void) {
    uintptr_t at = (uintptr_t)"a literal";
    if (introspection_get_mapped_object_path(0, at, (void *)path, sizeof path) <= 1)
        failed = "object";
}
static void memory(void) {
    if (introspection_read_process_memory(0, (uintptr_t)records, path, 8) != 8)
        failed = "memory";
}
static void processes(void) {
    static debug_process_t info;
    static debug_thread_t status;
    static pid64_t pids[64];
    if (introspection_get_all_pids(pids, sizeof pids) <= 0) failed = "list";
    if (introspection_get_all_child_pids(getppid(), pids, sizeof pids) < 8) failed = "children";
    if (introspection_get_process_name(0, path, sizeof path) <= 0) failed = "name";
    if (introspection_get_proc_info(0, &info) != EOK) failed = "info";
    if (introspection_get_thread_status(getppid(), 1, &status) != EOK) failed = "thread";
}
static void streamed(void) {
    if (introspection_cursor_open(&cursor, getppid(), ALL, INTROSPECTION_PHYSICAL) != 0)
        failed = "cursor";
    while (introspection_cursor_next(&cursor, records, 100) > 0) continue;
    introspection_cursor_close(&cursor);
}

/* A guard page lies below: a use of more than this size is a fault. */
static void make_alternate_stack(void) {
    unsigned long frame = getauxval(AT_MINSIGSTKSZ);
    if (frame == 0) frame = 4096; /* Unknown before Linux 5.14 on x86. */
    size_t page = page_size();
    handler_stack_size = (frame + OWN_FRAME + DOCUMENTED + 15) & ~(size_t)15;
    size_t pages = (handler_stack_size + page - 1) / page;
    handler_stack = map_pages(pages);
    stack_t stack;
    memset(&stack, 0, sizeof stack);
    stack.ss_sp = handler_stack;
    stack.ss_size = handler_stack_size;
    CHECK(sigaltstack(&stack, NULL) == 0);
}

static void a_walk_fits_an_alternate_stack_of_the_documented_size(void) {
    need_root();
    static void (*const calls[])(void) = {virtual_regions, physical_regions, page_table,
                                          object_path,     memory,           streamed,
                                          processes};
    make_alternate_stack();
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alternate_stack;
    action.sa_flags = SA_ONSTACK;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        in_handler = calls[i];
        calls[i](); /* Whatever the dynamic linker has still to do. */
        uint64_t *words = (uint64_t *)(void *)handler_stack;
        size_t count = handler_stack_size / sizeof *words, unused = 0;
        for (size_t word = 0; word < count; word++) words[word] = PAINT;
        CHECK(raise(SIGUSR1) == 0);
        if (failed) FAIL("in the handler: %s", failed);
        while (unused < count && words[unused] == PAINT) unused++;
        CHECK(unused < count); /* It was this stack. */
        fprintf(stderr, "call %zu: %zu of %zu bytes of the alternate stack\n", i,
                (count - unused) * sizeof *words, handler_stack_size);
    }
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"a_handler_that_interrupts_malloc_may_walk", a_handler_that_interrupts_malloc_may_walk},
        {"a_handler_that_interrupts_printf_may_walk", a_handler_that_interrupts_printf_may_walk},
        {"a_handler_that_interrupts_dlopen_may_walk", a_handler_that_interrupts_dlopen_may_walk},
        {"a_cancel_in_a_handler_waits_for_the_call_that_it_interrupts",
         a_cancel_in_a_handler_waits_for_the_call_that_it_interrupts},
        {"a_walk_fits_an_alternate_stack_of_the_documented_size",
         a_walk_fits_an_alternate_stack_of_the_documented_size},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
