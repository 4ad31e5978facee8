/*
 * The exported functions. Each acts on a pending cancel, which unwinds the
 * caller's stack, and then calls Rust with cancellation disabled. No Rust frame
 * is unwound: that is forbidden for Rust compiled with panic=abort, and a
 * foreign unwind through a Rust `extern "C"` function is undefined.
 *
 * Nothing in Rust is a cancellation point. Cancellation is disabled because of
 * signal handlers: one that interrupts a call may call these functions, or
 * another cancellation point, and a cancel acted on there would abandon the
 * interrupted call with its descriptors open.
 *
 * pthread_setcancelstate is safe there. It changes one field of the calling
 * thread's own descriptor, without a lock: a store (musl 1.2
 * src/thread/pthread_setcancelstate.c; glibc 2.34 to 2.36
 * nptl/pthread_setcancelstate.c) or a compare-and-swap loop (the same file of
 * older glibc). An inner call that interrupts it restores the former state.
 *
 * Compiled with the public header, so that the compiler compares the prototypes
 * with the promised ones.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/introspection.h>

/* Defined in lib.rs, and not exported from the shared library. */
int libintrospection_virtual_regions(pid64_t, uintptr_t, uintptr_t,
                                     procfs_mapinfo *, size_t);
int libintrospection_physical_regions(pid64_t, uintptr_t, uintptr_t,
                                      procfs_mapinfo *, size_t);
int libintrospection_pagetableinfo(pid64_t, uintptr_t, uintptr_t,
                                   procfs_mapinfo *, size_t);
int libintrospection_mapped_object_path(pid64_t, uintptr_t, procfs_debuginfo *,
                                        size_t);
int libintrospection_read_process_memory(pid64_t, uintptr_t, void *, size_t);
pid64_t libintrospection_unique_pid(pid_t);
int libintrospection_cursor_open(introspection_cursor_t *, pid64_t, uintptr_t,
                                 uintptr_t, int);
int libintrospection_cursor_next(introspection_cursor_t *, procfs_mapinfo *,
                                 size_t);
void libintrospection_cursor_close(introspection_cursor_t *);
int libintrospection_prot(uint32_t);
int libintrospection_all_pids(pid64_t *, size_t);
int libintrospection_all_child_pids(pid64_t, pid64_t *, size_t);
int libintrospection_process_name(pid64_t, char *, size_t);
int libintrospection_proc_info(pid64_t, debug_process_t *);
int libintrospection_thread_status(pid64_t, unsigned, debug_thread_t *);
int libintrospection_general_registers(pid64_t, unsigned, debug_greg_t *);
int libintrospection_floating_point_registers(pid64_t, unsigned,
                                              debug_fpreg_t *);

/* Disables cancellation; returns the state that ends this. */
static int disable_cancel(void) {
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

static void restore_cancel(int state) {
    int disabled;
    pthread_setcancelstate(state, &disabled);
}

/* A cancellation point. */
static int enter(void) {
    pthread_testcancel();
    return disable_cancel();
}

int introspection_get_virtual_regions(pid64_t pid64, uintptr_t startaddr,
                                      uintptr_t endaddr,
                                      struct _procfs_map_info *mapinfo,
                                      size_t bsize) {
    int state = enter();
    int result = libintrospection_virtual_regions(pid64, startaddr, endaddr,
                                                  mapinfo, bsize);
    restore_cancel(state);
    return result;
}

int introspection_get_physical_regions(pid64_t pid64, uintptr_t startaddr,
                                       uintptr_t endaddr,
                                       struct _procfs_map_info *mapinfo,
                                       size_t bsize) {
    int state = enter();
    int result = libintrospection_physical_regions(pid64, startaddr, endaddr,
                                                   mapinfo, bsize);
    restore_cancel(state);
    return result;
}

int introspection_get_pagetableinfo(pid64_t pid64, uintptr_t startaddr,
                                    uintptr_t endaddr,
                                    struct _procfs_map_info *mapinfo,
                                    size_t bsize) {
    int state = enter();
    int result = libintrospection_pagetableinfo(pid64, startaddr, endaddr,
                                                mapinfo, bsize);
    restore_cancel(state);
    return result;
}

int introspection_get_mapped_object_path(pid64_t pid64, uintptr_t vaddr,
                                         struct _procfs_debug_info *buf,
                                         size_t bsize) {
    int state = enter();
    int result = libintrospection_mapped_object_path(pid64, vaddr, buf, bsize);
    restore_cancel(state);
    return result;
}

int introspection_read_process_memory(pid64_t pid64, uintptr_t offset,
                                      void *buf, size_t bsize) {
    int state = enter();
    int result =
        libintrospection_read_process_memory(pid64, offset, buf, bsize);
    restore_cancel(state);
    return result;
}

pid64_t introspection_getpid64(pid_t pid) {
    int state = enter();
    pid64_t result = libintrospection_unique_pid(pid);
    restore_cancel(state);
    return result;
}

pid64_t getpid64(pid_t pid) {
    return introspection_getpid64(pid);
}

int introspection_cursor_open(introspection_cursor_t *cursor, pid64_t pid64,
                              uintptr_t startaddr, uintptr_t endaddr,
                              int kind) {
    int state = enter();
    int result = libintrospection_cursor_open(cursor, pid64, startaddr,
                                              endaddr, kind);
    restore_cancel(state);
    return result;
}

int introspection_cursor_next(introspection_cursor_t *cursor,
                              struct _procfs_map_info *records, size_t count) {
    int state = disable_cancel();
    int result = libintrospection_cursor_next(cursor, records, count);
    restore_cancel(state);
    return result;
}

void introspection_cursor_close(introspection_cursor_t *cursor) {
    int state = disable_cancel();
    libintrospection_cursor_close(cursor);
    restore_cancel(state);
}

int introspection_prot(uint32_t flags) {
    return libintrospection_prot(flags);
}

int introspection_get_all_pids(pid64_t *const pids, const size_t bsize) {
    int state = enter();
    int result = libintrospection_all_pids(pids, bsize);
    restore_cancel(state);
    return result;
}

int introspection_get_all_child_pids(pid64_t parent, pid64_t *const pids,
                                     const size_t bsize) {
    int state = enter();
    int result = libintrospection_all_child_pids(parent, pids, bsize);
    restore_cancel(state);
    return result;
}

/* The children of a process, or all processes without one. */
static int list(const pid64_t *parent, pid64_t *pids, size_t bsize) {
    return parent ? libintrospection_all_child_pids(*parent, pids, bsize)
                  : libintrospection_all_pids(pids, bsize);
}

/* Attempts to read a list whole. Each has room for a quarter more than the one
 * before needed. */
#define ATTEMPTS 16

/* Lists PIDs in memory of their own; returns EOK or a positive error number.
 * The C library's allocator leaves errno alone in success only. */
static int allocate(const pid64_t *parent, pid64_t **list_of_pids,
                    size_t *num_pids) {
    size_t room = 512 * sizeof(pid64_t);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        pid64_t *pids = malloc(room);
        if (!pids) return ENOMEM;
        int needed = list(parent, pids, room);
        if (needed >= 0 && (size_t)needed <= room) {
            *list_of_pids = pids;
            *num_pids = (size_t)needed / sizeof(pid64_t);
            return EOK;
        }
        free(pids);
        if (needed < 0) return -needed;
        room = (size_t)needed + (size_t)needed / 4;
    }
    return EAGAIN;
}

static int allocate_list(const pid64_t *parent, pid64_t **list_of_pids,
                         size_t *num_pids) {
    int state = enter();
    int error = errno, result = EFAULT;
    if (list_of_pids) *list_of_pids = NULL;
    if (num_pids) *num_pids = 0;
    if (list_of_pids && num_pids)
        result = allocate(parent, list_of_pids, num_pids);
    errno = error;
    restore_cancel(state);
    return result;
}

int introspection_allocate_and_get_all_pids(pid64_t **const list_of_pids,
                                            size_t *num_pids) {
    return allocate_list(NULL, list_of_pids, num_pids);
}

int introspection_allocate_and_get_all_child_pids(pid64_t parent,
                                                  pid64_t **const list_of_pids,
                                                  size_t *num_pids) {
    return allocate_list(&parent, list_of_pids, num_pids);
}

int introspection_get_process_name(pid64_t pid64, char *buf, size_t bsize) {
    int state = enter();
    int result = libintrospection_process_name(pid64, buf, bsize);
    restore_cancel(state);
    return result;
}

int introspection_get_proc_info(pid64_t pid64, debug_process_t *info) {
    int state = enter();
    int result = libintrospection_proc_info(pid64, info);
    restore_cancel(state);
    return result;
}

int introspection_get_thread_status(pid64_t pid64, unsigned tid,
                                    debug_thread_t *status) {
    int state = enter();
    int result = libintrospection_thread_status(pid64, tid, status);
    restore_cancel(state);
    return result;
}

int introspection_get_generalpurpose_regs(pid64_t pid64, unsigned tid,
                                          debug_greg_t *registers) {
    int state = enter();
    int result = libintrospection_general_registers(pid64, tid, registers);
    restore_cancel(state);
    return result;
}

int introspection_get_floatingpoint_regs(pid64_t pid64, unsigned tid,
                                         debug_fpreg_t *registers) {
    int state = enter();
    int result = libintrospection_floating_point_registers(pid64, tid, registers);
    restore_cancel(state);
    return result;
}

/* The layouts that the library stores. */
_Static_assert(sizeof(debug_process_t) == 272, "debug_process_t");
_Static_assert(sizeof(debug_thread_t) == 272, "debug_thread_t");
_Static_assert(sizeof(debug_greg_t) == 8192, "debug_greg_t");
_Static_assert(sizeof(debug_fpreg_t) == 8192, "debug_fpreg_t");
_Static_assert(sizeof(struct introspection_x86_64_registers) == 160, "x86_64");
_Static_assert(sizeof(struct introspection_x86_64_fxsave) == 512, "fxsave");
_Static_assert(sizeof(struct introspection_aarch64_registers) == 272, "aarch64");
_Static_assert(sizeof(struct introspection_aarch64_fpu_registers) == 520, "fpu");
