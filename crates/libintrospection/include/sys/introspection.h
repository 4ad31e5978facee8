/*
 * <sys/introspection.h>: the physical memory behind a range of a process's
 * addresses. Link with -lintrospection (pkg-config: introspection).
 *
 * The functions, records and flag values are those of QNX's libintrospection.
 *
 * Rules for every function, unless its comment says otherwise:
 *
 *   Target      pid64 is 0 for the caller, a positive 32-bit number for a PID
 *               in the caller's PID namespace, or a unique PID (getpid64),
 *               which never comes to mean another process.
 *   Range       startaddr and endaddr are both inclusive; the whole space is
 *               0 .. ~0. Bounds within a page stand for the whole page.
 *   Tags        on arm64 the upper byte of an address of the target can be a
 *               tag (top byte ignore, memory tagging): it is ignored, as by
 *               the kernel's system calls. Records have no tags. A buffer may
 *               have one where the process's system calls accept it
 *               (PR_SET_TAGGED_ADDR_CTRL).
 *   Result      not negative: see the function's comment; negative: the error
 *               number, as in -EPERM. errno is neither used nor changed.
 *   Errors      -EPERM      access to the target is refused or the target is
 *                           hidden, or a function that needs frame numbers
 *                           cannot see them (CAP_SYS_ADMIN in the initial
 *                           user namespace is required)
 *               -ESRCH      no such process (a thread's id is none), or its
 *                           memory went away (exit, exec) before the end
 *               -EFAULT     the buffer cannot be written; no signal is raised
 *               -ENOSYS     there is no usable /proc
 *               -EMFILE, -ENFILE, -ENOMEM and other errors of the kernel;
 *                           never -EINTR
 *   Buffers     belong to the caller, may have any alignment, and are not used
 *               after the call. Only the bytes that are written are examined.
 *               Another thread must not unmap a buffer during the call. After
 *               an error the contents of a buffer are unspecified.
 *   Safety      can be called in any thread, in signal handlers, and in the
 *               child of a fork of a threaded program: no lock, no allocation,
 *               no thread-local data, less than 6 KiB of stack. No file
 *               descriptor is left open. During a call its descriptors are
 *               close-on-exec, and a child that another thread forks in that
 *               moment has them until it executes or ends.
 *   Cancelling  each function that opens files is a cancellation point: a
 *               pending deferred cancel is acted on at entry, before anything
 *               is done, and never half-way. Cancellation is disabled during
 *               a call, so that a signal handler that interrupts it may call
 *               cancellation points, these functions included: a cancel is
 *               then acted on after the interrupted call. Asynchronous
 *               cancellation must be disabled.
 *   Jumping out a handler that leaves a call by siglongjmp leaves the call's
 *               file descriptors open and cancellation disabled.
 *
 * The target keeps running while it is read: every record was true when it was
 * read. An address stays true only while the page is pinned. It is an address
 * of the CPU, not of a device behind an IOMMU.
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
    uint64_t vaddr;  /* first virtual address */
    uint64_t size;   /* in bytes, whole pages */
    uint32_t flags;  /* INTROSPECTION_... */
    uint32_t dev;    /* device that contains the object (the low half of
                        dev_t, see makedev(3)); 0 without an object */
    int64_t offset;  /* of the record's first byte in the object; else 0 */
    uint64_t ino;    /* inode number of the object; 0 without an object */
    uint64_t paddr;  /* physical address of vaddr; INTROSPECTION_UNBACKED if
                        nothing is behind it; 0 in virtual records */
} procfs_mapinfo;

/* The result of introspection_get_mapped_object_path. */
typedef struct _procfs_debug_info {
    uint64_t vaddr;
    char path[1]; /* as long as the buffer */
} procfs_debuginfo;

/* Value of paddr where no physical memory is mapped. */
#define INTROSPECTION_UNBACKED UINT64_C(0xffffffffffffffff)

/* The flags of a record. The values are QNX's, and differ from those of similar
 * names in <sys/mman.h>: introspection_prot() converts. */
#define INTROSPECTION_SHARED 0x00000001u
#define INTROSPECTION_PRIVATE 0x00000002u
#define INTROSPECTION_TYPE 0x00000003u  /* mask: shared or private */
#define INTROSPECTION_FIXED 0x00000010u /* never set on Linux */
#define INTROSPECTION_ELF 0x00000020u   /* a program or shared library */
#define INTROSPECTION_LAZY 0x00000080u  /* never set on Linux */
#define INTROSPECTION_PROT_READ 0x00000100u
#define INTROSPECTION_PROT_WRITE 0x00000200u
#define INTROSPECTION_PROT_EXEC 0x00000400u
#define INTROSPECTION_PROT_NOCACHE 0x00000800u /* known not to be cached */
#define INTROSPECTION_PROT_MASK 0x00000f00u
#define INTROSPECTION_STACK 0x00001000u
#define INTROSPECTION_PHYS 0x00010000u /* device memory */
#define INTROSPECTION_ANON 0x00080000u /* no object, or a private copy */
#define INTROSPECTION_PG_MODIFIED 0x00100000u
#define INTROSPECTION_PG_REFERENCED 0x00200000u
#define INTROSPECTION_PG_HWMAPPED 0x00400000u
#define INTROSPECTION_PG_MASK 0x00700000u /* all three on backed records */
#define INTROSPECTION_SYSRAM 0x01000000u
#define INTROSPECTION_SWAPPED 0x20000000u /* unbacked: in swap; not in QNX */

/*
 * INTROSPECTION_QNX_NAMES adds the names that QNX programs use for these flags
 * and that Linux lacks. MAP_SHARED, MAP_PRIVATE and MAP_FIXED have the same
 * value in both. MAP_TYPE, MAP_STACK, MAP_ANON and PROT_READ, PROT_WRITE,
 * PROT_EXEC, PROT_MASK have different values: they keep those of Linux, and a
 * record's flags must be tested with the names above.
 * None of the names defined here has a meaning for Linux's mmap().
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

/* QNX's error for a fault in the target's memory; no error of Linux has this
 * number. */
#ifndef ESRVRFAULT
#define ESRVRFAULT 312
#endif

#ifndef EOK
#define EOK 0
#endif

/*
 * Reports the virtual regions of the target that intersect the range: each
 * whole, not clipped to the range, in ascending order. paddr is 0, no PG flag is
 * set. The result for a range without mappings is 0. No privilege is required
 * for processes of the caller's user.
 *
 * Stores as many whole records as fit in bsize bytes, in order, and touches
 * nothing behind them. (NULL, 0) queries the size.
 *
 * Returns the number of bytes that the whole range needs: sizeof(procfs_mapinfo)
 * times the number of its records, 0 for a process that has ended but was not
 * waited for. If the result is greater than bsize, call again with a larger
 * buffer until it is not: the target may have mapped more meanwhile. Only then
 * is the result the size of the records in the buffer.
 * Errors besides those above: -EINVAL if startaddr is greater than endaddr,
 * -EOVERFLOW if the result does not fit an int.
 */
int introspection_get_virtual_regions(pid64_t pid64, uintptr_t startaddr,
                                      uintptr_t endaddr,
                                      struct _procfs_map_info *mapinfo,
                                      size_t bsize);

/*
 * Reports the physical regions of the range: maximal runs of pages that are
 * physically consecutive and in the same state, in ascending order. They tile
 * the mappings in the range, and none crosses a border of a virtual region.
 * Where nothing is behind the addresses, paddr is INTROSPECTION_UNBACKED and no
 * PG flag is set.
 *
 * Buffer, result and errors as with introspection_get_virtual_regions; -EPERM
 * whenever frame numbers are hidden from this caller, whatever the range
 * contains: no address is ever made up.
 */
int introspection_get_physical_regions(pid64_t pid64, uintptr_t startaddr,
                                       uintptr_t endaddr,
                                       struct _procfs_map_info *mapinfo,
                                       size_t bsize);

/*
 * Reports the page-table entries of the range: a record for each leaf entry, of
 * the size of its page and from the page's own start (which for a huge page can
 * lie before startaddr), and a record of a base page for each page of a mapping
 * that is not present. If startaddr is in no mapping, the first record is its
 * page, without flags. startaddr == endaddr gives exactly one record. The index
 * of a record is not that of a page: a huge page is one record, and a page that
 * is not mapped is none.
 *
 * Buffer, result and errors as with introspection_get_physical_regions. Pages
 * that are not present are counted, not walked: to query the size of a large
 * hole costs little, but the result soon is -EOVERFLOW; see
 * introspection_cursor_open.
 */
int introspection_get_pagetableinfo(pid64_t pid64, uintptr_t startaddr,
                                    uintptr_t endaddr,
                                    struct _procfs_map_info *mapinfo,
                                    size_t bsize);

/*
 * Reports the path of the object (file, shared memory, device) that is mapped
 * at vaddr, NUL-terminated, as in /proc/PID/maps: any bytes, absolute in the
 * target's mount namespace, with " (deleted)" behind the name of a file that has
 * been unlinked. buf->vaddr is the address that the byte at vaddr was linked to,
 * for a program or shared library that could be read (vaddr less its load
 * offset), else vaddr itself.
 *
 * Returns the length of the path with its NUL, whatever bsize is. If the path
 * does not fit, buf->vaddr is stored if there is room for it, and an empty path
 * if there is room for one. (NULL, 0) queries the length.
 * Errors besides those above: -ENXIO if nothing or anonymous memory is mapped
 * there, -ENAMETOOLONG for a path of more than 4095 bytes.
 */
int introspection_get_mapped_object_path(pid64_t pid64, uintptr_t vaddr,
                                         struct _procfs_debug_info *buf,
                                         size_t bsize);

/*
 * Copies bsize bytes from the address `offset` of the target into buf: all of
 * them or none, with an error. Requires the right to attach to the target with
 * ptrace; no privilege for the caller's own memory, also after setuid() or
 * seteuid().
 *
 * Returns bsize. Errors besides those above: -ESRVRFAULT unless all of the
 * range is mapped and can be read (with bsize 0: the address itself is
 * mapped), -EOVERFLOW if bsize does not fit an int. Memory that is protected
 * against reading (PROT_NONE) can be read with the right to attach; a process
 * without that right to itself (it is not dumpable) gets -ESRVRFAULT for its
 * own. If buf lies within the range that is read, its contents afterwards are
 * unspecified; nothing outside of it is written.
 */
int introspection_read_process_memory(pid64_t pid64, uintptr_t offset,
                                      void *buf, size_t bsize);

/*
 * Returns the unique PID of a process (0: the caller): the PID in the low half,
 * above it a mark that no other process with this PID has had since boot. Every
 * call with it fails with -ESRCH once the process has ended. It refers to the
 * same process in all processes of one PID namespace.
 *
 * The result is positive, or -1 on any error, without an error number, as on
 * QNX.
 */
pid64_t introspection_getpid64(pid_t pid);

/* QNX's name of introspection_getpid64. */
pid64_t getpid64(pid_t pid);

/*
 * A walk in steps, for any number of records in constant memory. The storage
 * belongs to the caller, its contents to the library. A walk holds up to four
 * file descriptors (close-on-exec) until it is closed.
 *
 * A cursor can be moved with memcpy, but only one copy may be used afterwards.
 * Only one thread at a time may use it. A signal handler may use a cursor of its
 * own, and a child of fork the one it inherited, which continues with the same
 * target.
 */
typedef struct introspection_cursor {
    uint64_t reserved[960];
} introspection_cursor_t;

/* An initializer for a cursor that is not open. */
#define INTROSPECTION_CURSOR_CLOSED {{0}}

/* The records of a walk: those of introspection_get_virtual_regions,
 * introspection_get_physical_regions or introspection_get_pagetableinfo. */
#define INTROSPECTION_VIRTUAL 0
#define INTROSPECTION_PHYSICAL 1
#define INTROSPECTION_PAGETABLE 2

/*
 * Begins a walk of the range. The contents of `cursor` are overwritten: close an
 * open cursor before.
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
 * Returns the number of records stored, less than `count` only at the end or
 * before an error; 0 at the end, in every further call, too. An error is
 * returned if no record could be stored before it, else by the next call. Errors
 * besides those above: -EINVAL if count is 0, -EBADF if the cursor is all zeros,
 * closed or failed to open. After -EFAULT the walk can continue with another
 * buffer, and no record is lost; any other error is final. Not a cancellation
 * point.
 */
int introspection_cursor_next(introspection_cursor_t *cursor,
                              struct _procfs_map_info *records, size_t count);

/*
 * Ends a walk and closes its files. Does nothing if the cursor is NULL, all
 * zeros or closed. Not a cancellation point.
 */
void introspection_cursor_close(introspection_cursor_t *cursor);

/*
 * Returns the PROT_READ, PROT_WRITE and PROT_EXEC of <sys/mman.h> for a record's
 * flags, as mmap() and mprotect() take them. Cannot fail.
 */
int introspection_prot(uint32_t flags);

#ifdef __cplusplus
}
#endif

#endif /* SYS_INTROSPECTION_H */
