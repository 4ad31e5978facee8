/* The code that a profiler assigns samples to, the ranges that it shows, the pages that
 * are in memory, and where threads are. Written for QNX. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/debug.h>
#include <sys/mman.h>
#include <sys/neutrino.h>
#include <sys/procfs.h>
#include <sys/states.h>

#include <sys/introspection.h>

/* Code of a program or shared library. */
struct library {
    uint64_t start, end; /* the end is the first byte behind */
    char path[PATH_MAX];
};

typedef int records_call(pid64_t, uintptr_t, uintptr_t, struct _procfs_map_info *, size_t);

/* Returns all records, in memory that the caller frees, or NULL. */
static procfs_mapinfo *all_records(records_call *call, pid64_t pid, int *count) {
    size_t bsize = 1024;
    procfs_mapinfo *maps = malloc(bsize);
    while (maps != NULL) {
        int needed = call(pid, 4096, ~(uintptr_t)0, maps, bsize);
        if (needed < 0) break;
        if ((size_t)needed <= bsize) {
            *count = needed / (int)sizeof *maps;
            return maps;
        }
        free(maps);
        bsize = (size_t)needed;
        maps = malloc(bsize);
    }
    free(maps);
    return NULL;
}

/* Stores the path of what is mapped at an address; returns whether there is one. */
static bool path_at(pid64_t pid, uint64_t vaddr, char path[PATH_MAX]) {
    struct {
        procfs_debuginfo info;
        char room[PATH_MAX];
    } debug;
    memset(&debug, 0, sizeof debug);
    if (introspection_get_mapped_object_path(pid, (uintptr_t)vaddr, &debug.info, sizeof debug) <= 0)
        return false;
    const char *text = (const char *)&debug + offsetof(procfs_debuginfo, path);
    strncpy(path, text, PATH_MAX - 1);
    path[PATH_MAX - 1] = '\0';
    return true;
}

/* Returns the executable mappings of programs and shared libraries, in memory that the
 * caller frees, or NULL. */
static struct library *code_of(pid64_t pid, int *count) {
    int maps_count;
    procfs_mapinfo *maps = all_records(introspection_get_virtual_regions, pid, &maps_count);
    if (maps == NULL) return NULL;
    struct library *libraries = calloc((size_t)maps_count + 1, sizeof *libraries);
    *count = 0;
    for (int i = 0; libraries != NULL && i < maps_count; i++) {
        struct library *library = &libraries[*count];
        if ((maps[i].flags & (MAP_ELF | PROT_EXEC)) != (MAP_ELF | PROT_EXEC)) continue;
        library->start = maps[i].vaddr;
        library->end = maps[i].vaddr + maps[i].size;
        if (path_at(pid, maps[i].vaddr, library->path)) ++*count;
    }
    free(maps);
    return libraries;
}

/* Returns the bytes of mappings that can be written and are not shared. */
static uint64_t private_bytes(pid64_t pid) {
    int count;
    uint64_t bytes = 0;
    procfs_mapinfo *maps = all_records(introspection_get_virtual_regions, pid, &count);
    if (maps == NULL) return 0;
    for (int i = 0; i < count; i++)
        if ((maps[i].flags & (PROT_WRITE | MAP_TYPE)) == (PROT_WRITE | MAP_PRIVATE))
            bytes += maps[i].size;
    free(maps);
    return bytes;
}

/* Returns the bytes in memory. */
static uint64_t resident_bytes(pid64_t pid) {
    int count;
    uint64_t bytes = 0;
    procfs_mapinfo *maps = all_records(introspection_get_physical_regions, pid, &count);
    if (maps == NULL) return 0;
    for (int i = 0; i < count; i++)
        if (maps[i].flags & PG_HWMAPPED) bytes += maps[i].size;
    free(maps);
    return bytes;
}

/* Stores for each page of the caller's memory whether it is in memory, as mincore()
 * does on other systems. Returns 0 or an error number. */
static int in_core(const void *address, size_t pages, size_t page, unsigned char *result) {
    for (size_t i = 0; i < pages; i++) {
        procfs_mapinfo entry;
        uintptr_t at = (uintptr_t)address + i * page;
        int bytes = introspection_get_pagetableinfo(0, at, at, &entry, sizeof entry);
        if (bytes < 0) return -bytes;
        if (entry.flags == 0) return ENOMEM; /* nothing is mapped there */
        result[i] = (entry.flags & PG_HWMAPPED) != 0;
    }
    return EOK;
}

/* Where a thread is. */
struct sample {
    unsigned tid;
    int state;
    uint64_t ip, sp, stack, stack_bytes, cpu_time;
};

/* Stores samples of the threads of a process. Returns their number, or a negative error
 * number. */
static int sample_threads(pid64_t pid, struct sample *samples, int room) {
    procfs_status status;
    unsigned tid = 1;
    int count = 0, error;
    while (count < room && (error = introspection_get_thread_status(pid, tid, &status)) != ESRCH) {
        if (error != EOK) return -error;
        struct sample *sample = &samples[count++];
        sample->tid = status.tid;
        sample->state = status.state;
        sample->ip = status.ip;
        sample->sp = status.sp;
        sample->stack = status.stkbase;
        sample->stack_bytes = status.stksize;
        sample->cpu_time = status.sutime;
        tid = status.tid + 1;
    }
    return count;
}
