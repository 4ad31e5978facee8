/* The objects, threads, registers and memory of a process, as a debugger lists them.
 * Written for QNX. */
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

/* One mapping of an object, and the address that it was linked to. */
struct part {
    uint64_t vaddr, size, offset, linked;
    uint32_t flags;
};

/* A program or shared library: its code, and the data that is mapped from the same
 * file. */
struct object {
    uint64_t ino;
    uint32_t dev;
    struct part text, data;
    char path[PATH_MAX];
};

static int path_and_address(pid64_t pid, uint64_t vaddr, char *path, uint64_t *linked) {
    struct {
        procfs_debuginfo info;
        char room[PATH_MAX];
    } debug;
    int length =
        introspection_get_mapped_object_path(pid, (uintptr_t)vaddr, &debug.info, sizeof debug);
    if (length < 0) return -length;
    *linked = debug.info.vaddr;
    if (path != NULL) {
        strncpy(path, (const char *)&debug + offsetof(procfs_debuginfo, path), PATH_MAX - 1);
        path[PATH_MAX - 1] = '\0';
    }
    return EOK;
}

static struct part part_of(pid64_t pid, const procfs_mapinfo *map) {
    struct part part = {map->vaddr, map->size, (uint64_t)map->offset, 0, map->flags};
    path_and_address(pid, map->vaddr, NULL, &part.linked);
    return part;
}

/* Returns the objects whose code is mapped, in memory that the caller frees, or NULL. */
static struct object *objects_of(pid64_t pid, size_t *count) {
    int needed = introspection_get_virtual_regions(pid, 0, ~(uintptr_t)0, NULL, 0);
    procfs_mapinfo *maps = NULL;
    size_t bsize = 0;
    while (needed > 0 && (size_t)needed > bsize) {
        free(maps);
        bsize = (size_t)needed;
        maps = malloc(bsize);
        if (maps == NULL) return NULL;
        needed = introspection_get_virtual_regions(pid, 0, ~(uintptr_t)0, maps, bsize);
    }
    size_t maps_count = needed < 0 ? 0 : (size_t)needed / sizeof *maps;
    struct object *objects = calloc(maps_count + 1, sizeof *objects);
    *count = 0;
    for (size_t i = 0; objects != NULL && i < maps_count; i++) {
        const procfs_mapinfo *map = &maps[i];
        if (map->ino == 0 || (map->flags & (MAP_ELF | PROT_EXEC)) != (MAP_ELF | PROT_EXEC))
            continue;
        struct object *object = &objects[*count];
        uint64_t linked;
        if (path_and_address(pid, map->vaddr, object->path, &linked) != EOK) continue;
        ++*count;
        object->ino = map->ino;
        object->dev = map->dev;
        object->text = part_of(pid, map);
        /* The data is the first mapping of the same file that can be written. */
        for (size_t j = 0; j < maps_count; j++) {
            const procfs_mapinfo *other = &maps[j];
            if (other->ino != map->ino || other->dev != map->dev ||
                other->vaddr < map->vaddr || !(other->flags & PROT_WRITE))
                continue;
            object->data = part_of(pid, other);
            break;
        }
    }
    free(maps);
    return objects;
}

/* Copies memory, as far as it is mapped: returns the number of bytes. */
static size_t read_memory(pid64_t pid, uint64_t address, void *buffer, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        size_t to_border = 4096 - (size_t)((address + done) & 4095);
        size_t part = bytes - done < to_border ? bytes - done : to_border;
        int got = introspection_read_process_memory(pid, (uintptr_t)(address + done),
                                                    (char *)buffer + done, part);
        if (got == -ESRVRFAULT) break;
        if (got < 0) return 0;
        done += (size_t)got;
    }
    return done;
}

/* One process of the machine. */
struct process {
    pid64_t pid;
    procfs_info info;
    char name[PATH_MAX];
};

/* Returns all processes that can be read, in memory that the caller frees, or NULL. */
static struct process *all_processes(size_t *count) {
    pid64_t *pids = NULL;
    size_t bsize = 0;
    int needed = introspection_get_all_pids(NULL, 0);
    while (needed > 0 && (size_t)needed > bsize) {
        free(pids);
        bsize = (size_t)needed + 16 * sizeof *pids;
        pids = malloc(bsize);
        if (pids == NULL) return NULL;
        needed = introspection_get_all_pids(pids, bsize);
    }
    size_t pids_count = needed < 0 ? 0 : (size_t)needed / sizeof *pids;
    struct process *processes = calloc(pids_count + 1, sizeof *processes);
    *count = 0;
    for (size_t i = 0; processes != NULL && i < pids_count; i++) {
        struct process *process = &processes[*count];
        process->pid = pids[i];
        if (introspection_get_proc_info(pids[i], &process->info) != EOK) continue;
        if (introspection_get_process_name(pids[i], process->name, sizeof process->name) < 0)
            strcpy(process->name, "unavailable");
        ++*count;
    }
    free(pids);
    return processes;
}

/* Returns the threads of a process, in memory that the caller frees, or NULL. */
static procfs_status *threads_of(pid64_t pid, unsigned *count) {
    procfs_info info;
    if (introspection_get_proc_info(pid, &info) != EOK) return NULL;
    procfs_status *threads = calloc(info.num_threads + 1, sizeof *threads);
    unsigned tid = 1;
    *count = 0;
    while (threads != NULL && *count < info.num_threads) {
        if (introspection_get_thread_status(pid, tid, &threads[*count]) != EOK) break;
        tid = threads[(*count)++].tid + 1;
    }
    return threads;
}

/* Stores the instruction and the stack pointer of a thread. Returns EOK or an error
 * number. */
static int place_of(pid64_t pid, unsigned tid, uint64_t *ip, uint64_t *sp) {
    static procfs_greg registers;
    int bytes = introspection_get_generalpurpose_regs(pid, tid, &registers);
    if (bytes < 0) return -bytes;
#ifdef __aarch64__
    *ip = registers.aarch64.elr;
    *sp = registers.aarch64.gpr[31];
#else
    *ip = registers.x86_64.rip;
    *sp = registers.x86_64.rsp;
#endif
    return EOK;
}
