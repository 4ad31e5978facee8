/* A panic, if one were ever reached, ends the process at once and unwinds
 * nothing. PANIC is the name of the library's panic handler, which is
 * exported for this test only. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "children.h"

extern void panic(const void *) __asm__(PANIC);

static void clean(void *none) {
    (void)none;
    _exit(3); /* Unwound. */
}

static void *panics(void *none) {
    pthread_cleanup_push(clean, NULL);
    panic(none);
    pthread_cleanup_pop(0);
    return none;
}

static void a_panic_aborts_and_unwinds_nothing(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, panics, NULL), 0);
        pthread_join(thread, NULL);
        _exit(4); /* Returned. */
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(WTERMSIG(status), SIGABRT);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"a_panic_aborts_and_unwinds_nothing", a_panic_aborts_and_unwinds_nothing},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
