/*
 * Prints the virtual regions of a process and the physical ranges behind them,
 * as programs for QNX do, and compares each range with the page table.
 *
 *     cc regions.c -o regions $(pkg-config --cflags --libs introspection)
 *     sudo ./regions [PID]
 *
 * Exit status: 0; 1 for an error; 2 for wrong usage. On a process that runs
 * meanwhile the page table can differ; such ranges are counted, not printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/introspection.h>

typedef int get_records(pid64_t, uintptr_t, uintptr_t, struct _procfs_map_info *, size_t);

/* Returns all records of a range, in memory that the caller frees, or NULL after
 * a message. Starts with a small buffer and retries with the needed size, more
 * than once, because the target may have mapped more meanwhile. */
static procfs_mapinfo *records_of(const char *name, get_records *get, pid64_t pid,
                                  uintptr_t start, uintptr_t end, size_t *count) {
    size_t bsize = 1024;
    for (;;) {
        procfs_mapinfo *records = malloc(bsize);
        if (records == NULL) {
            perror("malloc");
            return NULL;
        }
        int result = get(pid, start, end, records, bsize);
        if (result >= 0 && (size_t)result <= bsize) {
            *count = (size_t)result / sizeof *records;
            return records;
        }
        free(records);
        if (result < 0) {
            fprintf(stderr, "%s: %s\n", name, strerror(-result));
            return NULL;
        }
        bsize = (size_t)result;
    }
}

static void print(const procfs_mapinfo *record) {
    printf("0x%" PRIx64 " + 0x%" PRIx64 " flags=0x%" PRIx32 " dev=%" PRIu32 " offset=0x%" PRIx64
           " paddr=0x%" PRIx64 " ino=%" PRIu64 "\n",
           record->vaddr, record->size, record->flags, record->dev, (uint64_t)record->offset,
           record->paddr, record->ino);
}

/* Returns 1 if the page table has the range's first address as the range has it,
 * 0 if not, and -1 if the page table could not be read. */
static int agrees(pid64_t pid, const procfs_mapinfo *range) {
    procfs_mapinfo entry;
    uintptr_t start = (uintptr_t)range->vaddr;
    int result = introspection_get_pagetableinfo(pid, start, start, &entry, sizeof entry);
    if (result != (int)sizeof entry) return -1;
    if (entry.paddr == INTROSPECTION_UNBACKED || range->paddr == INTROSPECTION_UNBACKED)
        return entry.paddr == range->paddr;
    /* The entry of a huge page can begin below the range. */
    return entry.paddr + (range->vaddr - entry.vaddr) == range->paddr;
}

int main(int argc, char **argv) {
    pid64_t pid = 0;
    if (argc > 1) {
        char *end;
        errno = 0;
        pid = strtoll(argv[1], &end, 10);
        if (argc > 2 || errno != 0 || end == argv[1] || *end != '\0') {
            fprintf(stderr, "usage: %s [PID]\n", argv[0]);
            return 2;
        }
    }

    size_t regions;
    procfs_mapinfo *region = records_of("virtual regions", introspection_get_virtual_regions, pid,
                                        0, UINTPTR_MAX, &regions);
    if (region == NULL) return 1;
    printf("Regions (%zu)\n", regions);
    for (size_t i = 0; i < regions; i++) print(&region[i]);

    /* The ranges of all regions. */
    procfs_mapinfo *range = NULL;
    size_t ranges = 0, differ = 0;
    for (size_t i = 0; i < regions; i++) {
        size_t count;
        procfs_mapinfo *part = records_of(
            "physical regions", introspection_get_physical_regions, pid,
            (uintptr_t)region[i].vaddr, (uintptr_t)(region[i].vaddr + region[i].size - 1), &count);
        procfs_mapinfo *longer =
            part ? realloc(range, (ranges + count + 1) * sizeof *range) : NULL;
        if (longer == NULL) {
            free(part);
            free(range);
            free(region);
            return 1;
        }
        range = longer;
        memcpy(range + ranges, part, count * sizeof *range);
        ranges += count;
        free(part);
    }
    printf("Ranges (%zu)\n", ranges);
    for (size_t i = 0; i < ranges; i++) {
        print(&range[i]);
        if (agrees(pid, &range[i]) != 1) differ++;
    }
    printf("Page table: %zu of %zu ranges agree\n", ranges - differ, ranges);
    free(range);
    free(region);
    return 0;
}
