/* Handling of the caller's arguments and buffer. */
#include "check.h"

#include <limits.h>

static array_call *const calls[] = {
    introspection_get_virtual_regions,
    introspection_get_physical_regions,
    introspection_get_pagetableinfo,
};
#define EACH_CALL(call)                                                        \
    for (size_t call_ = 0; call_ < 3; call_++)                                 \
        for (array_call *call = calls[call_]; call; call = NULL)

/* Memory with a known number of records of each kind: eight pages of
 * alternating protection, of which every second pair is touched. */
#define PAGES 8
static char *eight_regions(void) {
    char *memory = map_pages(PAGES);
    for (size_t i = 0; i < PAGES; i++) {
        memory[i * page_size()] = 1;
        if (i % 2)
            CHECK(mprotect(memory + i * page_size(), page_size(), PROT_READ) == 0);
    }
    return memory;
}
#define EIGHT(memory)                                                          \
    (uintptr_t)(memory), ((uintptr_t)(memory) + PAGES * page_size() - 1)

static void a_range_that_runs_backwards_is_invalid(void) {
    need_root();
    char room[4 * RECORD];
    EACH_CALL(call) {
        CHECK_EQ(call(0, 2, 1, NULL, 0), -EINVAL);
        CHECK_EQ(call(0, ~(uintptr_t)0, 0, (void *)room, sizeof room), -EINVAL);
        /* Before anything of the target is examined. */
        CHECK_EQ(call(-1, 2, 1, NULL, 0), -EINVAL);
    }
}

static void the_size_is_asked_for_and_then_filled_exactly(void) {
    need_root();
    char *memory = eight_regions();
    EACH_CALL(call) {
        int size = call(0, EIGHT(memory), NULL, 0);
        CHECK_EQ(size, PAGES * RECORD);
        unsigned char room[PAGES * RECORD + 16];
        memset(room, 0xa5, sizeof room);
        CHECK_EQ(call(0, EIGHT(memory), (void *)room, (size_t)size), size);
        for (size_t i = 0; i < 16; i++) CHECK_EQ(room[PAGES * RECORD + i], 0xa5);
        procfs_mapinfo records[PAGES];
        memcpy(records, room, sizeof records);
        for (size_t i = 0; i < PAGES; i++) {
            CHECK_EQ(records[i].vaddr, (uintptr_t)memory + i * page_size());
            CHECK_EQ(records[i].size, page_size());
        }
    }
}

static void a_short_buffer_gets_whole_records_and_nothing_behind(void) {
    need_root();
    char *memory = eight_regions();
    EACH_CALL(call) {
        procfs_mapinfo whole[PAGES];
        CHECK_EQ(call(0, EIGHT(memory), whole, sizeof whole), sizeof whole);
        for (size_t bsize = 0; bsize < sizeof whole; bsize++) {
            unsigned char room[sizeof whole];
            memset(room, 0xa5, sizeof room);
            CHECK_EQ(call(0, EIGHT(memory), (void *)room, bsize), sizeof whole);
            size_t written = bsize / RECORD * RECORD;
            CHECK(memcmp(room, whole, written) == 0);
            for (size_t i = written; i < sizeof room; i++) CHECK_EQ(room[i], 0xa5);
        }
    }
}

static void what_is_not_written_is_not_examined(void) {
    need_root();
    char *memory = eight_regions();
    /* A good page, and a bad one behind it. */
    char *room = map_pages(1);
    char *end = room + page_size();
    EACH_CALL(call) {
        procfs_mapinfo *records = (void *)(end - PAGES * RECORD);
        CHECK_EQ(call(0, EIGHT(memory), records, SIZE_MAX - (uintptr_t)records),
                 PAGES * RECORD);
        /* Less than a record fits: a bad buffer is not examined. */
        CHECK_EQ(call(0, EIGHT(memory), (void *)end, RECORD - 1), PAGES * RECORD);
        CHECK_EQ(call(0, EIGHT(memory), NULL, RECORD - 1), PAGES * RECORD);
    }
}

static void no_record_needs_no_buffer(void) {
    need_root();
    char *memory = map_pages(1);
    uintptr_t hole = (uintptr_t)memory;
    CHECK(munmap(memory, page_size()) == 0);
    uintptr_t last = hole + page_size() - 1;
    CHECK_EQ(introspection_get_virtual_regions(0, hole, last, NULL, 4096), 0);
    CHECK_EQ(introspection_get_physical_regions(0, hole, last, NULL, 4096), 0);
    CHECK_EQ(introspection_get_physical_regions(0, hole, last, (void *)16, 4096), 0);
}

static void a_buffer_that_cannot_be_written_is_a_fault(void) {
    need_root();
    char *memory = eight_regions();
    char *unmapped = map_pages(2), *read_only = map_pages(2), *no_access = map_pages(2);
    /* The very last page: on a 64-bit kernel, the addresses 64 KiB below the end
     * of a 32-bit program can be its stack. */
    char *kernel = (char *)(~(uintptr_t)0 - 4095);
    CHECK(munmap(unmapped, 2 * page_size()) == 0);
    CHECK(mprotect(read_only, 2 * page_size(), PROT_READ) == 0);
    CHECK(mprotect(no_access, 2 * page_size(), PROT_NONE) == 0);
    char *bad[] = {NULL,      (char *)8,     unmapped,           read_only,
                   no_access, read_only + 1, no_access + 4096 - 7, kernel,
                   (char *)(~(uintptr_t)0 - 8)};
    EACH_CALL(call) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            CHECK_EQ(call(0, EIGHT(memory), (void *)bad[i], RECORD), -EFAULT);
            CHECK_EQ(call(0, EIGHT(memory), (void *)bad[i], 1 << 20), -EFAULT);
        }
    }
}

static void a_buffer_that_is_partly_bad_is_a_fault(void) {
    need_root();
    char *memory = eight_regions();
    /* Two good pages and a bad one behind; the border in every place of the
     * array, also within a record. */
    char *room = map_pages(2);
    char *end = room + 2 * page_size();
    EACH_CALL(call) {
        for (size_t good = 0; good < PAGES * RECORD; good++)
            CHECK_EQ(call(0, EIGHT(memory), (void *)(end - good), PAGES * RECORD), -EFAULT);
        CHECK_EQ(call(0, EIGHT(memory), (void *)(end - PAGES * RECORD), PAGES * RECORD),
                 PAGES * RECORD);
        /* From a bad page into a good one. */
        CHECK_EQ(call(0, EIGHT(memory), (void *)(room - 1), PAGES * RECORD), -EFAULT);
        CHECK_EQ(call(0, EIGHT(memory), (void *)(room - 47), PAGES * RECORD), -EFAULT);
    }
}

static void a_buffer_may_have_any_alignment(void) {
    need_root();
    char *memory = eight_regions();
    EACH_CALL(call) {
        procfs_mapinfo aligned[PAGES];
        CHECK_EQ(call(0, EIGHT(memory), aligned, sizeof aligned), sizeof aligned);
        /* Across a page's border, too. */
        char *room = map_pages(2) + page_size() - 200;
        for (size_t shift = 0; shift < 64; shift++) {
            char *at = room + shift;
            CHECK_EQ(call(0, EIGHT(memory), (void *)at, sizeof aligned), sizeof aligned);
            CHECK(memcmp(at, aligned, sizeof aligned) == 0);
        }
    }
}

static void a_long_array_is_written_over_many_pages(void) {
    need_root();
    enum { MANY = 1000 };
    char *memory = map_pages(MANY);
    memset(memory, 1, MANY * page_size());
    uintptr_t first = (uintptr_t)memory, last = first + MANY * page_size() - 1;
    /* Fresh memory: each page is written for the first time by the call. */
    char *room = map_pages(MANY * RECORD / page_size() + 2);
    procfs_mapinfo *records = (void *)(room + 8);
    CHECK_EQ(introspection_get_pagetableinfo(0, first, last, records, MANY * RECORD),
             MANY * RECORD);
    for (size_t i = 0; i < MANY; i++) {
        CHECK_EQ(records[i].vaddr, first + i * page_size());
        CHECK(is_backed(&records[i]));
    }
    /* A bad page in the middle of the array. */
    size_t middle = MANY * RECORD / page_size() / 2;
    CHECK(middle > 0);
    CHECK(mprotect(room + middle * page_size(), page_size(), PROT_NONE) == 0);
    CHECK_EQ(introspection_get_pagetableinfo(0, first, last, records, MANY * RECORD),
             -EFAULT);
}

static void a_result_that_does_not_fit_an_int_overflows(void) {
    need_root();
    need_page_scan();
    if (sizeof(size_t) < 8) SKIP("needs room for a reservation of more than 32 bits");
    size_t page = page_size();
    size_t most = INT_MAX / RECORD;
    size_t pages = most + 2;
    char *memory = mmap(NULL, pages * page, PROT_READ,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) SKIP("needs room for %zu bytes of reservation", pages * page);
    uintptr_t start = (uintptr_t)memory;
    CHECK_EQ(introspection_get_pagetableinfo(0, start, start + most * page - 1, NULL, 0),
             most * RECORD);
    CHECK_EQ(introspection_get_pagetableinfo(0, start, start + (most + 1) * page - 1, NULL, 0),
             -EOVERFLOW);
    CHECK_EQ(introspection_get_physical_regions(0, start, start + pages * page - 1, NULL, 0),
             RECORD);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"a_range_that_runs_backwards_is_invalid", a_range_that_runs_backwards_is_invalid},
        {"the_size_is_asked_for_and_then_filled_exactly",
         the_size_is_asked_for_and_then_filled_exactly},
        {"a_short_buffer_gets_whole_records_and_nothing_behind",
         a_short_buffer_gets_whole_records_and_nothing_behind},
        {"what_is_not_written_is_not_examined", what_is_not_written_is_not_examined},
        {"no_record_needs_no_buffer", no_record_needs_no_buffer},
        {"a_buffer_that_cannot_be_written_is_a_fault",
         a_buffer_that_cannot_be_written_is_a_fault},
        {"a_buffer_that_is_partly_bad_is_a_fault", a_buffer_that_is_partly_bad_is_a_fault},
        {"a_buffer_may_have_any_alignment", a_buffer_may_have_any_alignment},
        {"a_long_array_is_written_over_many_pages", a_long_array_is_written_over_many_pages},
        {"a_result_that_does_not_fit_an_int_overflows",
         a_result_that_does_not_fit_an_int_overflows},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
