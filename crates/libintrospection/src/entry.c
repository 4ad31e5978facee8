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
#include <pthread.h>
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
