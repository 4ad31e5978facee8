/* Walks in steps. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/resource.h>

#include "children.h"
#include "without_ioctls.h"

static const struct {
    int kind;
    array_call *call;
} kinds[] = {
    {INTROSPECTION_VIRTUAL, introspection_get_virtual_regions},
    {INTROSPECTION_PHYSICAL, introspection_get_physical_regions},
    {INTROSPECTION_PAGETABLE, introspection_get_pagetableinfo},
};

static void steps_of_any_size_give_the_arrays_records(void) {
    need_root();
    char *memory = map_pages(300);
    for (size_t i = 0; i < 300; i += 1 + i % 7) memory[i * page_size()] = 1;
    pid_t child = still_child();
    /* From a hole, through known memory and the mappings above it. */
    uintptr_t start = (uintptr_t)memory - page_size();
    for (int k = 0; k < 3; k++) {
        uintptr_t end = kinds[k].kind == INTROSPECTION_PAGETABLE
                            ? start + 400 * page_size() : ~(uintptr_t)0;
        size_t count;
        procfs_mapinfo *whole = records_of(kinds[k].call, child, start, end, &count);
        CHECK(count > 2);
        static const size_t steps[] = {1, 2, 3, 7, 64, 100000};
        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
            introspection_cursor_t cursor;
            memset(&cursor, 0xa5, sizeof cursor);
            CHECK_EQ(introspection_cursor_open(&cursor, child, start, end, kinds[k].kind), 0);
            procfs_mapinfo *room = calloc(count + 1, RECORD);
            CHECK(room);
            size_t at = 0;
            int stored;
            do {
                size_t step = steps[s] < count + 1 - at ? steps[s] : count + 1 - at;
                stored = introspection_cursor_next(&cursor, room + at, step);
                if (stored < 0 || (size_t)stored > step)
                    FAIL("kind %d, step %zu at %zu of %zu: %d", k, step, at, count, stored);
                at += (size_t)stored;
            } while (stored > 0);
            CHECK_EQ(at, count);
            CHECK(memcmp(room, whole, count * RECORD) == 0);
            CHECK_EQ(introspection_cursor_next(&cursor, room, 1), 0);
            introspection_cursor_close(&cursor);
            free(room);
        }
    }
    end_child(child);
}

static void a_fault_loses_no_record(void) {
    need_root();
    char *memory = map_pages(4);
    for (size_t i = 0; i < 4; i += 2) memory[i * page_size()] = 1;
    uintptr_t start = (uintptr_t)memory, end = start + 4 * page_size() - 1;
    procfs_mapinfo whole[4], given[4];
    CHECK_EQ(introspection_get_pagetableinfo(0, start, end, whole, sizeof whole), sizeof whole);
    introspection_cursor_t cursor;
    CHECK_EQ(introspection_cursor_open(&cursor, 0, start, end, INTROSPECTION_PAGETABLE), 0);
    CHECK_EQ(introspection_cursor_next(&cursor, NULL, 4), -EFAULT);
    char *edge = map_pages(1) + page_size();
    CHECK_EQ(introspection_cursor_next(&cursor, (void *)(edge - 2 * RECORD), 4), 2);
    memcpy(given, edge - 2 * RECORD, 2 * RECORD);
    CHECK_EQ(introspection_cursor_next(&cursor, (void *)edge, 4), -EFAULT);
    CHECK_EQ(introspection_cursor_next(&cursor, given + 2, 4), 2);
    CHECK(memcmp(given, whole, sizeof whole) == 0);
    CHECK_EQ(introspection_cursor_next(&cursor, NULL, 4), 0);
    introspection_cursor_close(&cursor);
}

static void misuse_is_safe(void) {
    procfs_mapinfo record;
    introspection_cursor_t cursor = INTROSPECTION_CURSOR_CLOSED;
    int files = open_files();
    CHECK_EQ(introspection_cursor_next(&cursor, &record, 1), -EBADF);
    introspection_cursor_close(&cursor);
    introspection_cursor_close(&cursor);
    CHECK_EQ(introspection_cursor_open(&cursor, 0, ALL, -1), -EINVAL);
    CHECK_EQ(introspection_cursor_open(&cursor, 0, ALL, 3), -EINVAL);
    CHECK_EQ(introspection_cursor_open(&cursor, 0, 2, 1, INTROSPECTION_VIRTUAL), -EINVAL);
    CHECK_EQ(introspection_cursor_open(&cursor, -1, ALL, INTROSPECTION_VIRTUAL), -ESRCH);
    CHECK_EQ(introspection_cursor_next(&cursor, &record, 1), -EBADF);
    introspection_cursor_close(&cursor);
    CHECK_EQ(introspection_cursor_open(&cursor, 0, ALL, INTROSPECTION_VIRTUAL), 0);
    CHECK_EQ(introspection_cursor_next(&cursor, &record, 0), -EINVAL);
    CHECK_EQ(introspection_cursor_next(&cursor, &record, 1), 1);
    introspection_cursor_close(&cursor);
    introspection_cursor_close(&cursor);
    CHECK_EQ(introspection_cursor_next(&cursor, &record, 1), -EBADF);
    CHECK_EQ(introspection_cursor_open(NULL, 0, ALL, INTROSPECTION_VIRTUAL), -EFAULT);
    CHECK_EQ(introspection_cursor_next(NULL, &record, 1), -EBADF);
    introspection_cursor_close(NULL);
    CHECK_EQ(open_files(), files);
}

static void a_target_that_ends_is_an_error_for_good(void) {
    need_root();
    for (int k = 0; k < 3; k++) {
        pid_t child = still_child();
        introspection_cursor_t cursor;
        procfs_mapinfo records[4096];
        CHECK_EQ(introspection_cursor_open(&cursor, child, ALL, kinds[k].kind), 0);
        CHECK_EQ(introspection_cursor_next(&cursor, records, 2), 2);
        end_child(child);
        /* Some records may have been read already. */
        int result, calls = 0;
        do result = introspection_cursor_next(&cursor, records, 1);
        while (result == 1 && ++calls < 100000);
        CHECK_EQ(result, -ESRCH);
        CHECK_EQ(introspection_cursor_next(&cursor, records, 1), -ESRCH);
        introspection_cursor_close(&cursor);
    }
}

static void an_error_is_final(void) {
    /* Without ioctls the first step opens the text of maps, for which no
     * descriptor is left. */
    forbid_ioctls();
    for (int kind = 0; kind < (geteuid() == 0 ? 3 : 1); kind++) {
        introspection_cursor_t cursor;
        procfs_mapinfo record;
        struct rlimit usual, none;
        CHECK_EQ(introspection_cursor_open(&cursor, 0, ALL, kinds[kind].kind), 0);
        CHECK(getrlimit(RLIMIT_NOFILE, &usual) == 0);
        none = usual;
        none.rlim_cur = 0;
        CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
        CHECK_EQ(introspection_cursor_next(&cursor, &record, 1), -EMFILE);
        CHECK(setrlimit(RLIMIT_NOFILE, &usual) == 0);
        CHECK_EQ(introspection_cursor_next(&cursor, &record, 1), -EMFILE);
        introspection_cursor_close(&cursor);
        CHECK_EQ(introspection_cursor_open(&cursor, 0, ALL, kinds[kind].kind), 0);
        CHECK_EQ(introspection_cursor_next(&cursor, &record, 1), 1);
        introspection_cursor_close(&cursor);
    }
}

static void any_number_of_records_is_streamed(void) {
    need_root();
    if (sizeof(size_t) < 8) SKIP("needs room for a reservation of 1 TiB");
    /* More page-table records than an array call can count. */
    size_t tib = (size_t)((uint64_t)1 << 40);
    char *memory = mmap(NULL, tib, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) SKIP("needs room for a reservation of 1 TiB");
    uintptr_t start = (uintptr_t)memory;
    introspection_cursor_t cursor;
    static procfs_mapinfo records[1000];
    CHECK_EQ(introspection_cursor_open(&cursor, 0, start, start + tib - 1,
                                       INTROSPECTION_PAGETABLE), 0);
    for (uintptr_t i = 0; i < 100; i++) {
        CHECK_EQ(introspection_cursor_next(&cursor, records, 1000), 1000);
        CHECK_EQ(records[0].vaddr, start + i * 1000 * page_size());
        CHECK_EQ(records[999].vaddr, start + (i * 1000 + 999) * page_size());
    }
    introspection_cursor_close(&cursor);
    munmap(memory, tib);
}

static void a_moved_cursor_goes_on(void) {
    introspection_cursor_t *one = malloc(sizeof *one), *other = malloc(sizeof *other);
    CHECK(one && other);
    size_t count;
    pid_t child = still_child();
    procfs_mapinfo record;
    procfs_mapinfo *whole = records_of(introspection_get_virtual_regions, child, ALL, &count);
    CHECK_EQ(introspection_cursor_open(one, child, ALL, INTROSPECTION_VIRTUAL), 0);
    for (size_t i = 0; i < count; i++) {
        memcpy(other, one, sizeof *one);
        memset(one, 0xa5, sizeof *one);
        CHECK_EQ(introspection_cursor_next(other, &record, 1), 1);
        CHECK(memcmp(&record, &whole[i], RECORD) == 0);
        introspection_cursor_t *moved = other;
        other = one;
        one = moved;
    }
    CHECK_EQ(introspection_cursor_next(one, &record, 1), 0);
    introspection_cursor_close(one);
    free(one);
    free(other);
    end_child(child);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"steps_of_any_size_give_the_arrays_records", steps_of_any_size_give_the_arrays_records},
        {"a_fault_loses_no_record", a_fault_loses_no_record},
        {"misuse_is_safe", misuse_is_safe},
        {"a_target_that_ends_is_an_error_for_good", a_target_that_ends_is_an_error_for_good},
        {"an_error_is_final", an_error_is_final},
        {"any_number_of_records_is_streamed", any_number_of_records_is_streamed},
        {"a_moved_cursor_goes_on", a_moved_cursor_goes_on},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
