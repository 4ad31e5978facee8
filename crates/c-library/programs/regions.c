/* The records of known memory. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/stat.h>

#include "children.h"
#include "without_ioctls.h"

#define RANGE(memory, pages)                                                   \
    (uintptr_t)(memory), ((uintptr_t)(memory) + (pages) * page_size() - 1)

static int physical(void *memory, size_t pages, procfs_mapinfo *records, size_t count) {
    int result = introspection_get_physical_regions(0, RANGE(memory, pages), records,
                                                    count * RECORD);
    CHECK(result >= 0);
    return result / (int)RECORD;
}

static void read_byte(const char *at) { (void)*(const volatile char *)at; }

static void touched_memory_is_backed_and_untouched_is_not(void) {
    need_root();
    char *heap = malloc(64);
    CHECK(heap);
    heap[0] = 1;
    procfs_mapinfo record;
    CHECK_EQ(introspection_get_physical_regions(0, (uintptr_t)heap, (uintptr_t)heap,
                                                &record, RECORD), RECORD);
    CHECK(is_backed(&record) && record.paddr != 0);
    CHECK_EQ(record.flags & INTROSPECTION_PG_MASK, INTROSPECTION_PG_MASK);
    CHECK(record.flags & INTROSPECTION_SYSRAM);
    CHECK(record.flags & INTROSPECTION_ANON);
    CHECK_EQ(record.flags & INTROSPECTION_TYPE, INTROSPECTION_PRIVATE);
    CHECK_EQ(record.vaddr, (uintptr_t)heap & ~(page_size() - 1));
    CHECK_EQ(record.size, page_size());

    char *memory = map_pages(4);
    CHECK_EQ(physical(memory, 4, &record, 1), 1);
    CHECK(!is_backed(&record));
    CHECK_EQ(record.flags & (INTROSPECTION_PG_MASK | INTROSPECTION_SYSRAM), 0);
    CHECK_EQ(record.flags, INTROSPECTION_PRIVATE | INTROSPECTION_ANON |
                               INTROSPECTION_PROT_READ | INTROSPECTION_PROT_WRITE);
    CHECK_EQ(record.size, 4 * page_size());
    CHECK_EQ(record.dev, 0);
    CHECK_EQ(record.ino, 0);
    CHECK_EQ(record.offset, 0);
    memory[2 * page_size()] = 1;
    procfs_mapinfo three[3];
    CHECK_EQ(physical(memory, 4, three, 3), 3);
    CHECK(!is_backed(&three[0]) && is_backed(&three[1]) && !is_backed(&three[2]));
    CHECK_EQ(three[1].vaddr, (uintptr_t)memory + 2 * page_size());
}

static void each_zero_page_is_a_record_at_the_same_address(void) {
    need_root();
    char *memory = map_pages(2);
    read_byte(memory);
    read_byte(memory + page_size());
    procfs_mapinfo records[2];
    CHECK_EQ(physical(memory, 2, records, 2), 2);
    CHECK(is_backed(&records[0]));
    CHECK_EQ(records[0].paddr, records[1].paddr);
}

static void two_mappings_of_one_page_have_one_address(void) {
    need_root();
    int file = memfd_create("pages", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, 4 * (off_t)page_size()) == 0);
    char *one = mmap(NULL, 4 * page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *other = mmap(NULL, page_size(), PROT_READ, MAP_SHARED, file, 2 * (off_t)page_size());
    CHECK(one != MAP_FAILED && other != MAP_FAILED);
    memset(one, 7, 4 * page_size());
    CHECK_EQ(other[0], 7);
    procfs_mapinfo mine, its;
    CHECK_EQ(physical(one + 2 * page_size(), 1, &mine, 1), 1);
    CHECK_EQ(physical(other, 1, &its, 1), 1);
    CHECK(is_backed(&mine));
    CHECK_EQ(mine.paddr, its.paddr);
    CHECK_EQ(mine.offset, 2 * page_size());
    CHECK_EQ(its.offset, 2 * page_size());
    struct stat status;
    CHECK_EQ(fstat(file, &status), 0);
    CHECK_EQ(mine.ino, status.st_ino);
    CHECK_EQ(mine.dev, (uint32_t)status.st_dev);
    CHECK_EQ(mine.flags & INTROSPECTION_TYPE, INTROSPECTION_SHARED);
    CHECK_EQ(mine.flags & INTROSPECTION_ANON, 0);
    CHECK_EQ(its.flags & INTROSPECTION_PROT_MASK, INTROSPECTION_PROT_READ);
    close(file);
}

static void a_private_copy_is_split_off_and_anonymous(void) {
    need_root();
    int file = memfd_create("pages", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, 3 * (off_t)page_size()) == 0);
    char *memory = mmap(NULL, 3 * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    CHECK(memory != MAP_FAILED);
    for (size_t i = 0; i < 3; i++) read_byte(memory + i * page_size());
    memory[page_size()] = 1;
    procfs_mapinfo records[3];
    CHECK_EQ(physical(memory, 3, records, 3), 3);
    CHECK_EQ(records[0].flags & INTROSPECTION_ANON, 0);
    CHECK_EQ(records[1].flags & INTROSPECTION_ANON, INTROSPECTION_ANON);
    CHECK_EQ(records[2].flags & INTROSPECTION_ANON, 0);
    CHECK(records[1].ino != 0 && records[1].ino == records[0].ino);
    CHECK_EQ(records[1].offset, page_size());
    close(file);
}

static void check_ascending(const procfs_mapinfo *records, size_t count) {
    for (size_t i = 0; i < count; i++) {
        CHECK(records[i].size > 0 && records[i].size % page_size() == 0);
        CHECK_EQ(records[i].vaddr % page_size(), 0);
        if (i > 0) CHECK(records[i - 1].vaddr + records[i - 1].size <= records[i].vaddr);
    }
}

static void physical_records_tile_the_virtual_ones(void) {
    need_root();
    map_pages(3)[page_size()] = 1;
    pid_t child = still_child();
    size_t regions, ranges;
    procfs_mapinfo *region =
        records_of(introspection_get_virtual_regions, child, ALL, &regions);
    procfs_mapinfo *range =
        records_of(introspection_get_physical_regions, child, ALL, &ranges);
    CHECK(regions > 5 && ranges >= regions);
    check_ascending(region, regions);
    check_ascending(range, ranges);
    size_t at = 0;
    for (size_t i = 0; i < regions; i++) {
        CHECK_EQ(region[i].paddr, 0);
        CHECK_EQ(region[i].flags & INTROSPECTION_PG_MASK, 0);
        uint64_t next = region[i].vaddr;
        while (next < region[i].vaddr + region[i].size) {
            CHECK(at < ranges);
            CHECK_EQ(range[at].vaddr, next);
            CHECK_EQ(range[at].ino, region[i].ino);
            CHECK_EQ(range[at].dev, region[i].dev);
            CHECK_EQ(range[at].flags & INTROSPECTION_PROT_MASK & ~INTROSPECTION_PROT_NOCACHE,
                     region[i].flags & INTROSPECTION_PROT_MASK);
            if (region[i].ino)
                CHECK_EQ(range[at].offset - region[i].offset, (int64_t)(next - region[i].vaddr));
            CHECK_EQ(is_backed(&range[at]), (range[at].flags & INTROSPECTION_PG_MASK) != 0);
            next += range[at++].size;
        }
        CHECK_EQ(next, region[i].vaddr + region[i].size);
    }
    CHECK_EQ(at, ranges);
    /* One region at a time has the same records. */
    at = 0;
    for (size_t i = 0; i < regions; i++) {
        size_t count;
        procfs_mapinfo *part =
            records_of(introspection_get_physical_regions, child, region[i].vaddr,
                       region[i].vaddr + region[i].size - 1, &count);
        CHECK(count > 0 && at + count <= ranges);
        CHECK(memcmp(part, range + at, count * RECORD) == 0);
        at += count;
    }
    CHECK_EQ(at, ranges);
    end_child(child);
}

static void every_flag_of_the_kind_is_there(void) {
    size_t regions;
    procfs_mapinfo *region = records_of(introspection_get_virtual_regions, 0, ALL, &regions);
    unsigned found = 0;
    char local;
    for (size_t i = 0; i < regions; i++) {
        uint64_t end = region[i].vaddr + region[i].size;
        if (region[i].vaddr <= (uintptr_t)&local && (uintptr_t)&local < end) {
            CHECK(region[i].flags & INTROSPECTION_STACK);
            CHECK(region[i].flags & INTROSPECTION_ANON);
            found |= 1;
        }
        uintptr_t code;
        void (*function)(void) = every_flag_of_the_kind_is_there;
        memcpy(&code, &function, sizeof code);
        if (region[i].vaddr <= code && code < end) {
            CHECK(region[i].flags & INTROSPECTION_ELF);
            CHECK(region[i].flags & INTROSPECTION_PROT_EXEC);
            CHECK(!(region[i].flags & (INTROSPECTION_ANON | INTROSPECTION_PROT_WRITE)));
            found |= 2;
        }
    }
    CHECK_EQ(found, 3);
}

static void virtual_records_are_whole_regions(void) {
    char *memory = map_pages(5);
    procfs_mapinfo record;
    uintptr_t middle = (uintptr_t)memory + 2 * page_size() + 123;
    CHECK_EQ(introspection_get_virtual_regions(0, middle, middle, &record, RECORD), RECORD);
    CHECK_EQ(record.vaddr, (uintptr_t)memory);
    CHECK_EQ(record.size, 5 * page_size());
    /* A region that begins within the range, which itself begins in a hole. */
    CHECK_EQ(introspection_get_virtual_regions(0, (uintptr_t)memory - 1, (uintptr_t)memory,
                                               &record, RECORD), RECORD);
    CHECK_EQ(record.vaddr, (uintptr_t)memory);
    /* The hole alone. */
    uintptr_t hole = (uintptr_t)memory - page_size();
    CHECK_EQ(introspection_get_virtual_regions(0, hole, hole + page_size() - 1, NULL, 0), 0);
}

static void physical_records_are_cut_to_whole_pages_of_the_range(void) {
    need_root();
    char *memory = map_pages(5);
    procfs_mapinfo record;
    uintptr_t middle = (uintptr_t)memory + 2 * page_size() + 123;
    CHECK_EQ(introspection_get_physical_regions(0, middle, middle + page_size(), &record,
                                                RECORD), RECORD);
    CHECK_EQ(record.vaddr, (uintptr_t)memory + 2 * page_size());
    CHECK_EQ(record.size, 2 * page_size());
}

static void one_address_is_one_page_table_record(void) {
    need_root();
    char *memory = map_pages(16);
    memset(memory, 1, 8 * page_size());
    for (size_t i = 0; i < 16; i++) {
        uintptr_t address = (uintptr_t)memory + i * page_size() + i;
        procfs_mapinfo entry, range;
        CHECK_EQ(introspection_get_pagetableinfo(0, address, address, &entry, RECORD), RECORD);
        CHECK_EQ(introspection_get_physical_regions(0, address, address, &range, RECORD),
                 RECORD);
        CHECK_EQ(entry.vaddr, (uintptr_t)memory + i * page_size());
        CHECK_EQ(entry.size, page_size());
        CHECK_EQ(entry.paddr, range.paddr);
        CHECK_EQ(entry.flags, range.flags);
        CHECK_EQ(is_backed(&entry), i < 8);
    }
}

static void each_page_has_a_page_table_record(void) {
    need_root();
    char *memory = map_pages(16);
    memset(memory, 1, 8 * page_size());
    procfs_mapinfo entries[16], ranges[16];
    CHECK_EQ(introspection_get_pagetableinfo(0, RANGE(memory, 16), entries, sizeof entries),
             sizeof entries);
    int count = physical(memory, 16, ranges, 16);
    CHECK(count >= 2);
    size_t at = 0;
    for (int i = 0; i < count; i++)
        for (uint64_t done = 0; done < ranges[i].size; done += page_size(), at++) {
            CHECK_EQ(entries[at].vaddr, ranges[i].vaddr + done);
            CHECK_EQ(entries[at].size, page_size());
            CHECK_EQ(entries[at].flags, ranges[i].flags);
            CHECK_EQ(entries[at].paddr, is_backed(&ranges[i]) ? ranges[i].paddr + done
                                                              : INTROSPECTION_UNBACKED);
        }
    CHECK_EQ(at, 16);
}

static void an_unmapped_start_is_a_page_table_record_without_flags(void) {
    need_root();
    char *memory = map_pages(2);
    memory[0] = 1;
    uintptr_t hole = (uintptr_t)memory - page_size();
    procfs_mapinfo entries[4];
    CHECK_EQ(introspection_get_pagetableinfo(0, hole + 5, hole + 5, entries, sizeof entries),
             RECORD);
    CHECK_EQ(entries[0].vaddr, hole);
    CHECK_EQ(entries[0].size, page_size());
    CHECK_EQ(entries[0].flags, 0);
    CHECK(!is_backed(&entries[0]));
    CHECK_EQ(introspection_get_pagetableinfo(0, hole, (uintptr_t)memory + 2 * page_size() - 1,
                                             entries, sizeof entries), 3 * RECORD);
    CHECK_EQ(entries[0].flags, 0);
    CHECK_EQ(entries[1].vaddr, (uintptr_t)memory);
    CHECK(is_backed(&entries[1]) && !is_backed(&entries[2]));
    CHECK(entries[2].flags != 0);
    /* Also at the very end of the address space. */
    for (uintptr_t last = ~(uintptr_t)0; last > ~(uintptr_t)2; last--) {
        CHECK_EQ(introspection_get_pagetableinfo(0, last, last, entries, sizeof entries), RECORD);
        CHECK_EQ(entries[0].vaddr, last & ~(uintptr_t)(page_size() - 1));
        CHECK_EQ(entries[0].size, page_size());
        CHECK_EQ(entries[0].flags, 0);
        CHECK(!is_backed(&entries[0]));
    }
}

static void a_page_table_record_of_an_object_knows_its_offset(void) {
    need_root();
    int file = memfd_create("pages", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, 6 * (off_t)page_size()) == 0);
    char *memory = mmap(NULL, 4 * page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, file,
                        2 * (off_t)page_size());
    CHECK(memory != MAP_FAILED);
    memory[page_size()] = 1;
    procfs_mapinfo entries[4];
    CHECK_EQ(introspection_get_pagetableinfo(0, RANGE(memory, 4), entries, sizeof entries),
             sizeof entries);
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQ(entries[i].offset, (2 + i) * page_size());
        CHECK(entries[i].ino != 0);
    }
    close(file);
}

static void a_huge_page_is_one_page_table_record(void) {
    need_root();
    size_t huge = 2 << 20;
    if (page_size() != 4096) SKIP("needs base pages of 4 KiB");
    char *room = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(room != MAP_FAILED);
    char *memory = (char *)(((uintptr_t)room + huge - 1) & ~(uintptr_t)(huge - 1));
    madvise(memory, huge, MADV_HUGEPAGE);
    memory[0] = 1;
    procfs_mapinfo entry, range;
    uintptr_t inside = (uintptr_t)memory + 5 * page_size() + 1;
    CHECK_EQ(introspection_get_pagetableinfo(0, inside, inside, &entry, RECORD), RECORD);
    if (entry.size == page_size()) SKIP("the kernel gave no huge page");
    CHECK_EQ(entry.size, huge);
    CHECK_EQ(entry.vaddr, (uintptr_t)memory);
    CHECK_EQ(introspection_get_physical_regions(0, inside, inside, &range, RECORD), RECORD);
    CHECK_EQ(range.paddr, entry.paddr + (range.vaddr - entry.vaddr));
    CHECK_EQ(introspection_get_pagetableinfo(0, RANGE(memory, 512), NULL, 0), RECORD);
}

static void an_enormous_reservation_costs_nothing(void) {
    need_root();
    need_page_scan();
    if (sizeof(size_t) < 8) SKIP("needs room for a reservation of 1 TiB");
    size_t tib = (size_t)((uint64_t)1 << 40);
    char *memory = mmap(NULL, tib, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) SKIP("needs room for a reservation of 1 TiB");
    madvise(memory, tib, MADV_NOHUGEPAGE);
    memory[tib / 2] = 1;
    alarm(20);
    procfs_mapinfo records[3];
    CHECK_EQ(physical(memory, tib / page_size(), records, 3), 3);
    CHECK_EQ(introspection_get_pagetableinfo(0, RANGE(memory, tib / page_size()), records,
                                             sizeof records), -EOVERFLOW);
    alarm(0);
}

static void prot_converts_to_linux_values(void) {
    CHECK_EQ(introspection_prot(0), PROT_NONE);
    CHECK_EQ(introspection_prot(INTROSPECTION_PROT_READ), PROT_READ);
    CHECK_EQ(introspection_prot(INTROSPECTION_PROT_WRITE), PROT_WRITE);
    CHECK_EQ(introspection_prot(INTROSPECTION_PROT_EXEC), PROT_EXEC);
    CHECK_EQ(introspection_prot(~0u), PROT_READ | PROT_WRITE | PROT_EXEC);
    /* Its purpose: to set a mapping's own protection again. */
    char *memory = map_pages(1);
    procfs_mapinfo record;
    CHECK_EQ(introspection_get_virtual_regions(0, RANGE(memory, 1), &record, RECORD), RECORD);
    CHECK(mprotect(memory, page_size(), PROT_NONE) == 0);
    CHECK(mprotect(memory, page_size(), introspection_prot(record.flags)) == 0);
    memory[0] = 1;
}

static const struct test_case cases[] = {
    {"touched_memory_is_backed_and_untouched_is_not",
     touched_memory_is_backed_and_untouched_is_not},
    {"each_zero_page_is_a_record_at_the_same_address",
     each_zero_page_is_a_record_at_the_same_address},
    {"two_mappings_of_one_page_have_one_address", two_mappings_of_one_page_have_one_address},
    {"a_private_copy_is_split_off_and_anonymous", a_private_copy_is_split_off_and_anonymous},
    {"physical_records_tile_the_virtual_ones", physical_records_tile_the_virtual_ones},
    {"every_flag_of_the_kind_is_there", every_flag_of_the_kind_is_there},
    {"virtual_records_are_whole_regions", virtual_records_are_whole_regions},
    {"physical_records_are_cut_to_whole_pages_of_the_range",
     physical_records_are_cut_to_whole_pages_of_the_range},
    {"one_address_is_one_page_table_record", one_address_is_one_page_table_record},
    {"each_page_has_a_page_table_record", each_page_has_a_page_table_record},
    {"an_unmapped_start_is_a_page_table_record_without_flags",
     an_unmapped_start_is_a_page_table_record_without_flags},
    {"a_page_table_record_of_an_object_knows_its_offset",
     a_page_table_record_of_an_object_knows_its_offset},
    {"a_huge_page_is_one_page_table_record", a_huge_page_is_one_page_table_record},
    {"an_enormous_reservation_costs_nothing", an_enormous_reservation_costs_nothing},
    {"prot_converts_to_linux_values", prot_converts_to_linux_values},
    {"older_kernels_give_the_same", NULL},
    {NULL, NULL},
};

/* All cases but the two that need a scan, in this one process, and compared with
 * the results of the newer calls. */
static void older_kernels_give_the_same(void) {
    need_root();
    pid_t child = still_child();
    size_t counts[2][3];
    procfs_mapinfo *records[2][3];
    uintptr_t first = (uintptr_t)&child & ~(uintptr_t)0xfffff, last = first + 0x1fffff;
    if (last < first) last = ~(uintptr_t)0; /* Stacks of 32-bit programs are there. */
    for (int old = 0; old < 2; old++) {
        if (old) forbid_ioctls();
        records[old][0] = records_of(introspection_get_virtual_regions, child, ALL, &counts[old][0]);
        records[old][1] = records_of(introspection_get_physical_regions, child, ALL, &counts[old][1]);
        records[old][2] = records_of(introspection_get_pagetableinfo, child, first, last,
                                     &counts[old][2]);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(counts[0][i], counts[1][i]);
        CHECK(counts[0][i] > 0);
        CHECK(memcmp(records[0][i], records[1][i], counts[0][i] * RECORD) == 0);
    }
    end_child(child);
    for (const struct test_case *each = cases; each->name; each++)
        if (each->run && each->run != a_huge_page_is_one_page_table_record &&
            each->run != an_enormous_reservation_costs_nothing)
            each->run();
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "older_kernels_give_the_same") == 0) {
        older_kernels_give_the_same();
        return 0;
    }
    return run_case(cases, argc, argv);
}
