/*
 * Two ways to read a list of records that can grow meanwhile, as the list of
 * another process always can: an array that is enlarged until the list fits, and
 * a cursor, which needs no array.
 *
 *     cc growing.c -o growing $(pkg-config --cflags --libs introspection)
 *     sudo ./growing [PID]
 *
 * Prints the bytes of RAM that the process has mapped, by both. Exit status: 0; 1
 * for an error. On a process that runs meanwhile the two can differ.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/introspection.h>

/* Returns all physical records, in memory that the caller frees. After an error
 * returns NULL, with the negative error number in *count. */
static procfs_mapinfo *all_records(pid64_t pid, int *count) {
    size_t bsize = 64 * sizeof(procfs_mapinfo);
    for (;;) {
        procfs_mapinfo *records = malloc(bsize);
        int needed = records == NULL ? -ENOMEM
                                     : introspection_get_physical_regions(
                                           pid, 0, UINTPTR_MAX, records, bsize);
        /* Only a result that fits is the size of the records. */
        if (needed >= 0 && (size_t)needed <= bsize) {
            *count = needed / (int)sizeof(procfs_mapinfo);
            return records;
        }
        free(records);
        if (needed < 0) {
            *count = needed;
            return NULL;
        }
        /* A little more: the list may have grown by the next call. */
        bsize = (size_t)needed + (size_t)needed / 4;
    }
}

static uint64_t ram(const procfs_mapinfo *records, int count) {
    uint64_t bytes = 0;
    for (int i = 0; i < count; i++)
        if (records[i].flags & INTROSPECTION_SYSRAM) bytes += records[i].size;
    return bytes;
}

/* Returns the bytes of RAM, by a cursor, or a negative error number. */
static int64_t ram_by_cursor(pid64_t pid) {
    introspection_cursor_t cursor;
    procfs_mapinfo records[64];
    uint64_t bytes = 0;
    int count = introspection_cursor_open(&cursor, pid, 0, UINTPTR_MAX,
                                          INTROSPECTION_PHYSICAL);
    if (count < 0) return count;
    while ((count = introspection_cursor_next(&cursor, records, 64)) > 0)
        bytes += ram(records, count);
    introspection_cursor_close(&cursor);
    return count < 0 ? count : (int64_t)bytes;
}

int main(int argc, char **argv) {
    pid64_t pid = argc > 1 ? strtoll(argv[1], NULL, 10) : 0;
    int count;
    procfs_mapinfo *records = all_records(pid, &count);
    if (records == NULL) {
        fprintf(stderr, "physical regions: %s\n", strerror(-count));
        return 1;
    }
    printf("by an array: %" PRIu64 "\n", ram(records, count));
    free(records);
    int64_t bytes = ram_by_cursor(pid);
    if (bytes < 0) {
        fprintf(stderr, "cursor: %s\n", strerror((int)-bytes));
        return 1;
    }
    printf("by a cursor: %" PRId64 "\n", bytes);
    return 0;
}
