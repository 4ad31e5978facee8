/* An error of the caller, which the thread sanitizer must find: two threads let
 * the library write into one buffer. */
#include "check.h"

#include <pthread.h>

static procfs_mapinfo shared_records[64];

static void *walks(void *none) {
    for (int i = 0; i < 100; i++)
        CHECK(introspection_get_virtual_regions(0, ALL, shared_records, sizeof shared_records) > 0);
    return none;
}

static void two_threads_share_a_buffer(void) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&threads[i], NULL, walks, NULL), 0);
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"two_threads_share_a_buffer", two_threads_share_a_buffer},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
