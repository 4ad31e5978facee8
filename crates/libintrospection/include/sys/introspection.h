/*
 * <sys/introspection.h>: which physical memory is behind a range of a
 * process's addresses. Link with -lintrospection (pkg-config: introspection).
 *
 * The functions, records and flag values are those of QNX's libintrospection,
 * carried over to Linux.
 *
 * What holds for every function, unless its comment says otherwise:
 *
 *   Target      pid64 is 0 for the caller, a positive 32-bit number for a PID
 *               in the caller's PID namespace, or a unique PID (getpid64),
 *               which never comes to mean another process.
 *   Range       startaddr and endaddr are both inclusive; the whole space is
 *               0 .. ~0. Bounds within a page stand for the whole page.
 *   Tags        on arm64 the upper byte of an address of the target can be a
 *               tag (top byte ignore, memory tagging): it is ignored, as by
 *               the kernel's system calls. Records have none. A buffer may
 *               have one where the process's system calls accept it
 *               (PR_SET_TAGGED_ADDR_CTRL).
 *   Result      not negative: what the comment says; negative: the error's
 *               number, as in -EPERM. errno is neither used nor changed.
 *   Errors      -EPERM      access to the target is refused or it is hidden,
 *                           or frame numbers are wanted and hidden from this
 *                           caller (CAP_SYS_ADMIN in the initial user
 *                           namespace shows them)
 *               -ESRCH      no such process (a thread's id is none), or its
 *                           memory went away (exit, exec) before the end
 *               -EFAULT     the buffer cannot be written; no signal is raised
 *               -ENOSYS     there is no /proc, or it lacks what is needed
 *               -EMFILE, -ENFILE, -ENOMEM and others as the kernel gives them;
 *                           never -EINTR
 *   Buffers     belong to the caller, have any alignment, and are kept by no
 *               call. Only what is written to is looked at. Their memory must
 *               not be unmapped by another thread meanwhile. After an error
 *               what a buffer holds is not stated.
 *   Safety      can be called in any thread, in signal handlers, and in the
 *               child of a fork of a threaded program: no lock, no allocation,
 *               no thread-local data, less than 6 KiB of stack. No file
 *               descriptor is left open; while a call runs, its own are
 *               close-on-exec, and a child that another thread forks in that
 *               moment has them until it executes or ends.
 *   Cancelling  each function that opens files is a cancellation point: a
 *               pending cancel of deferred type is acted on at entry, before
 *               anything is done, and never half-way. Cancellation is disabled
 *               while a call runs, so that a signal handler which interrupts
 *               it may call cancellation points, these functions included: a
 *               cancel is then acted on after the interrupted call. Not to be
 *               called with cancellation of asynchronous type enabled.
 *   Jumping out a handler that leaves a call by siglongjmp leaves the call's
 *               file descriptors open and cancellation disabled.
 *
 * The target runs on while it is read: every record was true when it was
 * read. An address stays true only while the page is pinned, and it is the
 * CPU's, not that of a device behind an IOMMU.
 */
#ifndef SYS_INTROSPECTION_H
#define SYS_INTROSPECTION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A PID (0 is the caller) or a unique PID, whose low 32 bits are the PID. */
typedef int64_t pid64_t;

/* One record, of 48 bytes. */
typedef struct _procfs_map_info {
    uint64_t vaddr;  /* the first virtual address */
    uint64_t size;   /* in bytes, whole pages */
    uint32_t flags;  /* INTROSPECTION_... */
    uint32_t dev;    /* the device that holds the object (the low half of
                        dev_t, see makedev(3)); 0 without an object */
    int64_t offset;  /* of the record's first byte in the object; else 0 */
    uint64_t ino;    /* the object's inode number; 0 without an object */
    uint64_t paddr;  /* the physical address of vaddr; INTROSPECTION_UNBACKED
                        if nothing is behind it; 0 in virtual records */
} procfs_mapinfo;

/* What introspection_get_mapped_object_path stores. */
typedef struct _procfs_debug_info {
    uint64_t vaddr;
    char path[1]; /* as long as the buffer */
} procfs_debuginfo;

/* paddr where no physical memory is mapped. */
#define INTROSPECTION_UNBACKED UINT64_C(0xffffffffffffffff)

/* The flags of a record. The values are QNX's, and not those that <sys/mman.h>
 * has under similar names: introspection_prot() converts. */
#define INTROSPECTION_SHARED 0x00000001u
#define INTROSPECTION_PRIVATE 0x00000002u
#define INTROSPECTION_TYPE 0x00000003u  /* mask: shared or private */
#define INTROSPECTION_FIXED 0x00000010u /* never set on Linux */
#define INTROSPECTION_ELF 0x00000020u   /* of a program or shared library */
#define INTROSPECTION_LAZY 0x00000080u  /* never set on Linux */
#define INTROSPECTION_PROT_READ 0x00000100u
#define INTROSPECTION_PROT_WRITE 0x00000200u
#define INTROSPECTION_PROT_EXEC 0x00000400u
#define INTROSPECTION_PROT_NOCACHE 0x00000800u /* known not to be cached */
#define INTROSPECTION_PROT_MASK 0x00000f00u
#define INTROSPECTION_STACK 0x00001000u
#define INTROSPECTION_PHYS 0x00010000u /* a device's memory */
#define INTROSPECTION_ANON 0x00080000u /* no object, or a private copy */
#define INTROSPECTION_PG_MODIFIED 0x00100000u
#define INTROSPECTION_PG_REFERENCED 0x00200000u
#define INTROSPECTION_PG_HWMAPPED 0x00400000u
#define INTROSPECTION_PG_MASK 0x00700000u /* together, on backed records */
#define INTROSPECTION_SYSRAM 0x01000000u
#define INTROSPECTION_SWAPPED 0x20000000u /* unbacked: in swap; not of QNX */

/*
 * With INTROSPECTION_QNX_NAMES, the names that QNX programs use for these
 * flags, as far as Linux lacks them. MAP_SHARED, MAP_PRIVATE and MAP_FIXED have
 * one value in both. MAP_TYPE, MAP_STACK, MAP_ANON and PROT_READ, PROT_WRITE,
 * PROT_EXEC, PROT_MASK do not: Linux's are left as they are, and a record's
 * flags must be tested with the names above.
 * None of the names defined here means anything to Linux's mmap().
 */
#ifdef INTROSPECTION_QNX_NAMES
#include <sys/mman.h>
#define MAP_ELF 0x00000020
#define MAP_LAZY 0x00000080
#define MAP_PHYS 0x00010000
#define MAP_SYSRAM 0x01000000
#define PROT_NOCACHE 0x00000800
#define PG_MODIFIED 0x00100000
#define PG_REFERENCED 0x00200000
#define PG_HWMAPPED 0x00400000
#define PG_MASK 0x00700000
#endif

/* QNX's error for a fault in the target's memory; no error of Linux's has
 * this number. */
#ifndef ESRVRFAULT
#define ESRVRFAULT 312
#endif

#ifndef EOK
#define EOK 0
#endif

/*
 * The virtual regions of the target that touch the range: each whole, not cut
 * to the range, in ascending order. paddr is 0, no PG flag is set. A range in
 * which nothing is mapped gives 0. Needs no privilege for the caller's own
 * processes.
 *
 * Stores as many whole records as fit in bsize bytes, in order, and touches
 * nothing behind them. (NULL, 0) asks for the size.
 *
 * Returns how many bytes the whole range needs: sizeof(procfs_mapinfo) times
 * the number of its records, 0 for a process that has ended but was not waited
 * for. If that is more than bsize, call again with a larger buffer, until the
 * result is not: the target may have mapped more meanwhile. The number of
 * records in the buffer is that of the result only then.
 * Errors besides those above: -EINVAL if startaddr is greater than endaddr,
 * -EOVERFLOW if the result does not fit an int.
 */
int introspection_get_virtual_regions(pid64_t pid64, uintptr_t startaddr,
                                      uintptr_t endaddr,
                                      struct _procfs_map_info *mapinfo,
                                      size_t bsize);

/*
 * The physical regions of the range: maximal runs of pages that are physically
 * consecutive and alike, in ascending order. They tile what is mapped in the
 * range, and none crosses a border of a virtual region. Where nothing is
 * behind the addresses, paddr is INTROSPECTION_UNBACKED and no PG flag is set.
 *
 * Buffer, result and errors as with introspection_get_virtual_regions; -EPERM
 * whenever frame numbers are hidden from this caller, whatever the range
 * holds: no address is ever made up.
 */
int introspection_get_physical_regions(pid64_t pid64, uintptr_t startaddr,
                                       uintptr_t endaddr,
                                       struct _procfs_map_info *mapinfo,
                                       size_t bsize);

/*
 * The page-table entries of the range: a record for each leaf entry, of the
 * size of its page and from the page's own start (which for a huge page can
 * lie before startaddr), and one of a base page for each page of a mapping
 * that is not present. If startaddr is in no mapping, first one record for its
 * page, without flags. startaddr == endaddr gives exactly one record. The
 * index of a record is not that of a page: huge pages are one record, and pages
 * that are not mapped none.
 *
 * Buffer, result and errors as with introspection_get_physical_regions. Pages
 * that are not present are counted, not walked: asking for the size of a large
 * hole costs little, but soon is -EOVERFLOW; see introspection_cursor_open.
 */
int introspection_get_pagetableinfo(pid64_t pid64, uintptr_t startaddr,
                                    uintptr_t endaddr,
                                    struct _procfs_map_info *mapinfo,
                                    size_t bsize);

/*
 * The path of the object (file, shared memory, device) that is mapped at
 * vaddr, NUL-terminated, as /proc/PID/maps names it: any bytes, absolute in
 * the target's mount namespace, with " (deleted)" behind the name of a file
 * that has been unlinked. buf->vaddr is the address that the byte at vaddr was
 * linked to, for a program or shared library that could be read (vaddr less
 * its load offset), else vaddr itself.
 *
 * Returns the length of the path with its NUL, whatever bsize is. If not all
 * of it fits, buf->vaddr is stored if there is room for it, and an empty path
 * if there is room for one. (NULL, 0) asks for the length.
 * Errors besides those above: -ENXIO if nothing or anonymous memory is mapped
 * there, -ENAMETOOLONG for a path of more than 4095 bytes.
 */
int introspection_get_mapped_object_path(pid64_t pid64, uintptr_t vaddr,
                                         struct _procfs_debug_info *buf,
                                         size_t bsize);

/*
 * Copies bsize bytes from the address `offset` of the target into buf: all of
 * them or an error. Needs the right to attach to the target with ptrace;
 * nothing for the caller's own memory, also after setuid() or seteuid().
 *
 * Returns bsize. Errors besides those above: -ESRVRFAULT unless all of the
 * range is mapped and can be read (with bsize 0: the address itself is
 * mapped), -EOVERFLOW if bsize does not fit an int. Memory that is protected
 * against reading (PROT_NONE) can be read with the right to attach; a process
 * that has none to itself (it is not dumpable) gets -ESRVRFAULT for its own.
 * If buf lies within the range that is read, its contents afterwards are not
 * stated; nothing outside of it is written.
 */
int introspection_read_process_memory(pid64_t pid64, uintptr_t offset,
                                      void *buf, size_t bsize);

/*
 * The unique PID of a process (0: the caller): the PID in the low half, above
 * it a mark that no other process with this PID has had since boot. Every
 * call with it fails with -ESRCH once the process has ended. It means the same
 * to all processes of one PID namespace.
 *
 * Returns -1 on any error, else a positive number. No error number is told,
 * as on QNX.
 */
pid64_t introspection_getpid64(pid_t pid);

/* QNX's name for it. */
pid64_t getpid64(pid_t pid);

/*
 * A walk in steps, for any number of records in constant memory. The storage
 * is the caller's; its contents are the library's. A walk holds up to four
 * file descriptors (close-on-exec) until it is closed.
 *
 * It can be moved with memcpy, but only one copy may be used after. One thread
 * may use it at a time. A signal handler may use a cursor of its own, and a
 * child of fork the one it inherited, which goes on with the same target.
 */
typedef struct introspection_cursor {
    uint64_t reserved[960];
} introspection_cursor_t;

/* An initializer for a cursor that is not open. */
#define INTROSPECTION_CURSOR_CLOSED {{0}}

/* What a walk gives: records of introspection_get_virtual_regions,
 * introspection_get_physical_regions or introspection_get_pagetableinfo. */
#define INTROSPECTION_VIRTUAL 0
#define INTROSPECTION_PHYSICAL 1
#define INTROSPECTION_PAGETABLE 2

/*
 * Begins a walk of the range. `cursor` is overwritten, whatever it held: an
 * open one must be closed before.
 *
 * Returns 0. Errors besides those above: -EINVAL if startaddr is greater than
 * endaddr or kind is none of the three, -EFAULT if cursor is NULL. After an
 * error there is nothing to close.
 */
int introspection_cursor_open(introspection_cursor_t *cursor, pid64_t pid64,
                              uintptr_t startaddr, uintptr_t endaddr,
                              int kind);

/*
 * Stores the next records, up to `count` (not bytes).
 *
 * Returns how many were stored, less than `count` only at the end or before an
 * error; 0 at the end, as often as it is called. An error is returned if no
 * record could be stored before it, else by the next call. Errors besides
 * those above: -EINVAL if count is 0, -EBADF if the cursor is all zeros, closed
 * or failed to open. After -EFAULT the walk can go on with another buffer,
 * no record is lost; any other error is final. Not a cancellation point.
 */
int introspection_cursor_next(introspection_cursor_t *cursor,
                              struct _procfs_map_info *records, size_t count);

/*
 * Ends a walk and closes its files. Nothing is done if the cursor is NULL, all
 * zeros or closed. Not a cancellation point.
 */
void introspection_cursor_close(introspection_cursor_t *cursor);

/*
 * The PROT_READ, PROT_WRITE and PROT_EXEC of <sys/mman.h> that a record's
 * flags stand for: what mmap() and mprotect() take. Cannot fail.
 */
int introspection_prot(uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif /* SYS_INTROSPECTION_H */
