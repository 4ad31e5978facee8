/* The layout of the process itself, as the run-time library of a sanitizer reads it:
 * without an allocator, the records in memory from mmap, the name of each mapping by a
 * call of its own. Written for QNX. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/neutrino.h>
#include <sys/procfs.h>

#include <sys/introspection.h>

/* One mapping. Its end is the last byte. */
struct segment {
    uintptr_t start, end;
    uint64_t offset;
    bool is_readable, is_writable, is_executable, is_shared;
    char name[PATH_MAX];
};

struct layout {
    procfs_mapinfo *maps;
    size_t count, next, bytes;
};

/* Returns EOK, or an error number. */
static int layout_read(struct layout *layout) {
    memset(layout, 0, sizeof *layout);
    int needed = introspection_get_virtual_regions(0, 4096, ~(uintptr_t)0, NULL, 0);
    while (needed > 0) {
        /* The memory for the records is a mapping more. */
        size_t bytes = (size_t)needed + 16 * sizeof *layout->maps;
        void *memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, NOFD, 0);
        if (memory == MAP_FAILED) return errno;
        needed = introspection_get_virtual_regions(0, 4096, ~(uintptr_t)0, memory, bytes);
        if (needed > 0 && (size_t)needed <= bytes) {
            layout->maps = memory;
            layout->count = (size_t)needed / sizeof *layout->maps;
            layout->bytes = bytes;
            return EOK;
        }
        munmap(memory, bytes);
    }
    return -needed;
}

static void layout_free(struct layout *layout) {
    if (layout->maps != NULL) munmap(layout->maps, layout->bytes);
    memset(layout, 0, sizeof *layout);
}

/* Stores the next mapping; returns false after the last. */
static bool layout_next(struct layout *layout, struct segment *segment) {
    if (layout->next == layout->count) return false;
    const procfs_mapinfo *map = &layout->maps[layout->next++];
    segment->start = (uintptr_t)map->vaddr;
    segment->end = (uintptr_t)(map->vaddr + map->size - 1);
    segment->offset = (map->flags & MAP_ANON) ? 0 : (uint64_t)map->offset;
    segment->is_readable = (map->flags & PROT_READ) != 0;
    segment->is_writable = (map->flags & PROT_WRITE) != 0;
    segment->is_executable = (map->flags & PROT_EXEC) != 0;
    segment->is_shared = (map->flags & MAP_TYPE) == MAP_SHARED;

    union {
        procfs_debuginfo info;
        char room[sizeof(procfs_debuginfo) + PATH_MAX];
    } debug;
    segment->name[0] = '\0';
    if (introspection_get_mapped_object_path(0, segment->start, &debug.info, sizeof debug) > 0) {
        strncpy(segment->name, debug.room + offsetof(procfs_debuginfo, path), PATH_MAX - 1);
        segment->name[PATH_MAX - 1] = '\0';
    }
    return true;
}

/* Stores the mapping of an address, which a report of an error names. */
static bool module_of(uintptr_t address, struct segment *segment) {
    struct layout layout;
    if (layout_read(&layout) != EOK) return false;
    bool is_found = false;
    while (!is_found && layout_next(&layout, segment))
        is_found = segment->start <= address && address <= segment->end;
    layout_free(&layout);
    return is_found;
}
