/*
 * The exported functions. Each acts on a pending cancel, which unwinds the
 * caller's stack, and then hands over to Rust. No Rust frame is there to be
 * unwound: Rust compiled with panic=abort must not be, and a foreign unwind
 * through a Rust `extern "C"` function is undefined.
 *
 * Compiled with the public header, so that the compiler holds the prototypes
 * here equal to the promised ones.
 */
#include <pthread.h>
#include <sys/introspection.h>

/* Of lib.rs. Not exported from the shared library. */
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

int introspection_get_virtual_regions(pid64_t pid64, uintptr_t startaddr,
                                      uintptr_t endaddr,
                                      struct _procfs_map_info *mapinfo,
                                      size_t bsize) {
    pthread_testcancel();
    return libintrospection_virtual_regions(pid64, startaddr, endaddr, mapinfo,
                                            bsize);
}

int introspection_get_physical_regions(pid64_t pid64, uintptr_t startaddr,
                                       uintptr_t endaddr,
                                       struct _procfs_map_info *mapinfo,
                                       size_t bsize) {
    pthread_testcancel();
    return libintrospection_physical_regions(pid64, startaddr, endaddr, mapinfo,
                                             bsize);
}

int introspection_get_pagetableinfo(pid64_t pid64, uintptr_t startaddr,
                                    uintptr_t endaddr,
                                    struct _procfs_map_info *mapinfo,
                                    size_t bsize) {
    pthread_testcancel();
    return libintrospection_pagetableinfo(pid64, startaddr, endaddr, mapinfo,
                                          bsize);
}

int introspection_get_mapped_object_path(pid64_t pid64, uintptr_t vaddr,
                                         struct _procfs_debug_info *buf,
                                         size_t bsize) {
    pthread_testcancel();
    return libintrospection_mapped_object_path(pid64, vaddr, buf, bsize);
}

int introspection_read_process_memory(pid64_t pid64, uintptr_t offset,
                                      void *buf, size_t bsize) {
    pthread_testcancel();
    return libintrospection_read_process_memory(pid64, offset, buf, bsize);
}

pid64_t introspection_getpid64(pid_t pid) {
    pthread_testcancel();
    return libintrospection_unique_pid(pid);
}

int introspection_cursor_open(introspection_cursor_t *cursor, pid64_t pid64,
                              uintptr_t startaddr, uintptr_t endaddr,
                              int kind) {
    pthread_testcancel();
    return libintrospection_cursor_open(cursor, pid64, startaddr, endaddr, kind);
}

int introspection_cursor_next(introspection_cursor_t *cursor,
                              struct _procfs_map_info *records, size_t count) {
    return libintrospection_cursor_next(cursor, records, count);
}

void introspection_cursor_close(introspection_cursor_t *cursor) {
    libintrospection_cursor_close(cursor);
}

int introspection_prot(uint32_t flags) {
    return libintrospection_prot(flags);
}
