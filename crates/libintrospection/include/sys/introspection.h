/*
 * <sys/introspection.h>: the physical memory behind a range of a process's
 * addresses; lists of processes, and the status of processes and threads. Link
 * with -lintrospection (pkg-config: introspection).
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
 *   Safety      (all functions but the introspection_allocate_... and those of
 *               registers, see there)
 *               can be called in any thread, in signal handlers, and in the
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
/* Of a process's flags, a thread's state, flags and reason. Which of these occur
 * on Linux is said with the prefixed names below. */
#define STATE_DEAD 0
#define STATE_RUNNING 1
#define STATE_READY 2
#define STATE_STOPPED 3
#define STATE_SEND 4
#define STATE_RECEIVE 5
#define STATE_REPLY 6
#define STATE_WAITPAGE 9
#define STATE_SIGSUSPEND 10
#define STATE_SIGWAITINFO 11
#define STATE_NANOSLEEP 12
#define STATE_MUTEX 13
#define STATE_CONDVAR 14
#define STATE_JOIN 15
#define STATE_INTR 16
#define STATE_SEM 17
#define STATE_WAITCTX 18
#define STATE_MAX 63
#define _NTO_PF_NOCLDSTOP 0x00000001u
#define _NTO_PF_LOADING 0x00000002u
#define _NTO_PF_TERMING 0x00000004u
#define _NTO_PF_ZOMBIE 0x00000008u
#define _NTO_PF_NOZOMBIE 0x00000010u
#define _NTO_PF_FORKED 0x00000020u
#define _NTO_PF_STOPPED 0x00000080u
#define _NTO_PF_DEBUG_STOPPED 0x00000100u
#define _NTO_PF_BKGND_PGRP 0x00000200u
#define _NTO_PF_NOISYNC 0x00000400u
#define _NTO_PF_CONTINUED 0x00000800u
#define _NTO_PF_CHECK_INTR 0x00001000u
#define _NTO_PF_COREDUMP 0x00002000u
#define _NTO_PF_SLEADER 0x00010000u
#define _NTO_PF_WAITINFO 0x00020000u
#define _NTO_PF_NOCOREDUMP 0x00100000u
#define _NTO_PF_WAITDONE 0x00400000u
#define _NTO_PF_ASLR 0x01000000u
#define _NTO_PF_EXECED 0x02000000u
#define _NTO_PF_APP_STOPPED 0x04000000u
#define _NTO_PF_64BIT 0x08000000u
#define _NTO_PF_NOEXEC_STACK 0x40000000u
#define _NTO_PF_LOADER_PERMS 0x80000000u
#define _DEBUG_FLAG_STOPPED 0x00000001u
#define _DEBUG_FLAG_ISTOP 0x00000002u
#define _DEBUG_FLAG_IPINVAL 0x00000010u
#define _DEBUG_FLAG_ISSYS 0x00000020u
#define _DEBUG_FLAG_SSTEP 0x00000040u
#define _DEBUG_FLAG_CURTID 0x00000080u
#define _DEBUG_FLAG_TRACE_EXEC 0x00000100u
#define _DEBUG_FLAG_TRACE_RD 0x00000200u
#define _DEBUG_FLAG_TRACE_WR 0x00000400u
#define _DEBUG_FLAG_TRACE_MODIFY 0x00000800u
#define _DEBUG_FLAG_RLC 0x00010000u
#define _DEBUG_FLAG_KLC 0x00020000u
#define _DEBUG_FLAG_FORK 0x00040000u
#define _DEBUG_FLAG_EXEC 0x00080000u
#define _DEBUG_FLAG_MASK 0x000f0000u
#define _DEBUG_FLAG_THREAD_EV 0x00100000u
#define _DEBUG_FLAG_64BIT 0x00200000u
#define _DEBUG_FLAG_EXC 0x00400000u
#define _DEBUG_WHY_REQUESTED 0
#define _DEBUG_WHY_SIGNALLED 1
#define _DEBUG_WHY_FAULTED 2
#define _DEBUG_WHY_JOBCONTROL 3
#define _DEBUG_WHY_TERMINATED 4
#define _DEBUG_WHY_CHILD 5
#define _DEBUG_WHY_EXEC 6
#define _DEBUG_WHY_THREAD 7
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

/*
 * Processes and threads.
 */

/* Status of a process, of 272 bytes: QNX's debug_process_t. What Linux does not
 * have, or this caller may not know, is 0: docs/PORTING.md lists each member. A
 * set of signals has bit n - 1 for signal n, by Linux's numbers. */
typedef struct introspection_debug_process {
    pid_t pid;
    pid_t parent;     /* 0 outside of the caller's PID namespace */
    uint32_t flags;   /* INTROSPECTION_PF_... */
    uint32_t umask;
    pid_t child;      /* 0 */
    pid_t sibling;    /* 0 */
    pid_t pgrp;
    pid_t sid;
    uint64_t base_address;  /* of the program's ELF header */
    uint64_t initial_stack; /* address of argc, below argv and the environment */
    uid_t uid;
    gid_t gid;
    uid_t euid;
    gid_t egid;
    uid_t suid;
    gid_t sgid;
    uint64_t sig_ignore;
    uint64_t sig_queue; /* 0 */
    uint64_t sig_pending;
    uint32_t num_chancons; /* 0 */
    uint32_t num_fdcons;   /* open file descriptors */
    uint32_t num_threads;  /* threads that have not ended */
    uint32_t num_timers;   /* POSIX timers */
    uint64_t start_time;   /* nanoseconds since the Epoch, exact to 10 ms */
    uint64_t utime;        /* nanoseconds of CPU time, exact to 10 ms */
    uint64_t stime;
    uint64_t cutime; /* of children that were waited for */
    uint64_t cstime;
    uint8_t priority;  /* 1 to 99 of real-time policies, else 10 */
    uint8_t crit_proc; /* 0 */
    uint8_t reserved2[6];
    uint64_t extsched;    /* 0 */
    uint64_t pls;         /* 0 */
    uint64_t sigstub;     /* 0 */
    uint64_t canstub;     /* 0 */
    uint64_t private_mem; /* bytes of anonymous memory, resident or in swap */
    uint32_t appid;       /* 0 */
    uint32_t type_id;     /* 0 */
    uint64_t reserved[8]; /* 0 */
} debug_process_t;

/* flags of a process, with QNX's values. */
#define INTROSPECTION_PF_TERMING 0x00000004u       /* is ending */
#define INTROSPECTION_PF_ZOMBIE 0x00000008u        /* has ended */
#define INTROSPECTION_PF_FORKED 0x00000020u        /* forked, executed nothing */
#define INTROSPECTION_PF_STOPPED 0x00000080u       /* by job control */
#define INTROSPECTION_PF_DEBUG_STOPPED 0x00000100u /* by a debugger */
#define INTROSPECTION_PF_COREDUMP 0x00002000u      /* dumps core */
#define INTROSPECTION_PF_SLEADER 0x00010000u       /* leads a session */
#define INTROSPECTION_PF_ASLR 0x01000000u          /* random addresses */
#define INTROSPECTION_PF_64BIT 0x08000000u         /* a 64-bit program */

/* Status of a thread, of 272 bytes: QNX's debug_thread_t. As debug_process_t. */
typedef struct introspection_debug_thread {
    pid_t pid;
    uint32_t tid;   /* Linux's thread id */
    uint32_t flags; /* INTROSPECTION_DEBUG_FLAG_..., 0 unless it is traced */
    uint16_t why;   /* INTROSPECTION_WHY_JOBCONTROL, or 0 */
    uint16_t what;  /* 0 */
    uint64_t ip;    /* of a thread that does not run, else 0; so are sp, ... */
    uint64_t sp;
    uint64_t stkbase; /* lowest address of the mapping that contains sp */
    uint64_t tls;     /* 0 */
    uint32_t stksize; /* size of that mapping, 4 GiB - 1 if larger */
    uint32_t tid_flags;    /* 0 */
    uint8_t priority;      /* with inheritance */
    uint8_t real_priority; /* 1 to 99 of real-time policies, else 10 */
    uint8_t policy;        /* INTROSPECTION_POLICY_... */
    uint8_t state;         /* INTROSPECTION_STATE_... */
    int16_t syscall;       /* Linux's number; -1 outside of a call, or unknown */
    uint16_t last_cpu;
    uint32_t timeout;   /* 0 */
    uint32_t last_chid; /* 0 */
    uint64_t sig_blocked;
    uint64_t sig_pending;
    uint8_t info32[40]; /* 0 */
    union {
        struct {
            uint32_t tid;
        } join; /* 0 */
        struct {
            int64_t id;    /* 0 */
            uint64_t sync; /* the futex of INTROSPECTION_STATE_MUTEX, _CONDVAR */
        } sync;
        struct {
            uint32_t nd;
            pid_t pid;
            int32_t coid;
            int32_t chid;
            int32_t scoid;
            uint32_t flags;
        } connect; /* 0 */
        struct {
            int32_t chid;
        } channel; /* 0 */
        struct {
            pid_t pid;
            uint32_t flags;
            uint64_t vaddr;
        } waitpage; /* 0 */
        struct {
            uint64_t size;
        } stack; /* 0 */
        struct {
            uint32_t tid;
        } thread_event; /* 0 */
        struct {
            pid_t child;
        } fork_event; /* 0 */
        uint64_t reserved[4];
    } blocked;
    uint64_t start_time; /* nanoseconds since the Epoch, exact to 10 ms */
    uint64_t sutime;     /* nanoseconds of CPU time */
    uint64_t extsched;         /* 0 */
    uint64_t nsec_since_block; /* 0 */
    struct {
        int32_t si_signo;
        int32_t si_code;
        int32_t si_errno;
        uint32_t reserved;
        uint64_t data[4];
    } info;               /* 0 */
    uint64_t reserved[4]; /* 0 */
} debug_thread_t;

/* state of a thread, with QNX's values. A thread of another process whose
 * system call this caller may not know is RUNNING, STOPPED, WAITPAGE or REPLY. */
#define INTROSPECTION_STATE_RUNNING 1 /* runs, or is ready to run */
#define INTROSPECTION_STATE_STOPPED 3
#define INTROSPECTION_STATE_REPLY 6       /* waits in another system call */
#define INTROSPECTION_STATE_WAITPAGE 9    /* waits, and cannot be interrupted */
#define INTROSPECTION_STATE_SIGSUSPEND 10 /* pause(), sigsuspend() */
#define INTROSPECTION_STATE_SIGWAITINFO 11
#define INTROSPECTION_STATE_NANOSLEEP 12
#define INTROSPECTION_STATE_MUTEX 13   /* a mutex with priority inheritance */
#define INTROSPECTION_STATE_CONDVAR 14 /* another futex: a mutex, a condition
                                          variable, a semaphore, a join */

/* policy of a thread, with QNX's values, which are not those of <sched.h>. */
#define INTROSPECTION_POLICY_FIFO 1
#define INTROSPECTION_POLICY_RR 2
#define INTROSPECTION_POLICY_OTHER 3    /* SCHED_OTHER, _BATCH, _IDLE */
#define INTROSPECTION_POLICY_SPORADIC 4 /* SCHED_DEADLINE */

/* flags of a thread that a debugger traces, and why it is stopped. */
#define INTROSPECTION_DEBUG_FLAG_STOPPED 0x00000001u
#define INTROSPECTION_DEBUG_FLAG_ISTOP 0x00000002u   /* by the debugger */
#define INTROSPECTION_DEBUG_FLAG_IPINVAL 0x00000010u /* ip is unknown */
#define INTROSPECTION_WHY_JOBCONTROL 3

/* Registers of x86-64 and of arm64, general ones and those of the floating-point
 * unit. */
struct introspection_x86_64_registers {
    uint64_t rdi, rsi, rdx, r10, r8, r9, rax, rbx, rbp, rcx;
    uint64_t r11, r12, r13, r14, r15, rip;
    uint32_t cs, rsvd1;
    uint64_t rflags, rsp;
    uint32_t ss, rsvd2;
};
struct introspection_x86_64_fxsave {
    uint16_t fpu_control_word, fpu_status_word, fpu_tag_word, fpu_operand;
    uint64_t fpu_rip, fpu_rdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st_regs[128];
    uint8_t xmm_regs[256];
    uint8_t reserved[96];
};
union introspection_x86_64_fpu_registers {
    struct introspection_x86_64_fxsave fxsave_area;
    uint8_t data[1024];
};
struct introspection_aarch64_registers {
    uint64_t gpr[32]; /* x0 to x30, sp */
    uint64_t elr, pstate;
};
struct introspection_aarch64_fpu_registers {
    struct {
        uint64_t qlo, qhi;
    } reg[32];
    uint32_t fpsr, fpcr;
};

#ifdef __aarch64__
#define INTROSPECTION_REGISTER_ALIGNMENT 16
#else
#define INTROSPECTION_REGISTER_ALIGNMENT 8
#endif

/* The general registers of a thread, of 8192 bytes, of which a call stores as
 * many as it returns: those of x86_64 or of aarch64. */
typedef union introspection_debug_greg {
    struct introspection_x86_64_registers x86_64;
    struct introspection_aarch64_registers aarch64;
    uint64_t padding[1024];
} __attribute__((__aligned__(INTROSPECTION_REGISTER_ALIGNMENT))) debug_greg_t;

/* The floating-point registers, likewise. */
typedef union introspection_debug_fpreg {
    union introspection_x86_64_fpu_registers x86_64;
    struct introspection_aarch64_fpu_registers aarch64;
    uint64_t padding[1024];
} __attribute__((__aligned__(INTROSPECTION_REGISTER_ALIGNMENT))) debug_fpreg_t;

/* QNX's other names of these types. */
typedef debug_process_t procfs_info;
typedef debug_thread_t procfs_status;
typedef debug_greg_t procfs_greg;
typedef debug_fpreg_t procfs_fpreg;

/*
 * Lists the unique PIDs (getpid64) of all processes that /proc shows, zombies and
 * threads of the kernel included, in ascending order of PIDs. Processes that
 * are hidden from this caller (hidepid) are missing, as may be one that begins
 * during the call.
 *
 * Stores as many whole elements as fit in bsize bytes, and touches nothing behind
 * them. (NULL, 0) queries the size.
 *
 * Returns the number of bytes that all elements need. If the result is greater
 * than bsize, call again with a larger buffer until it is not.
 * Errors besides those above: -EPERM if /proc is that of another PID namespace.
 */
int introspection_get_all_pids(pid64_t *const pids, const size_t bsize);

/*
 * Lists the unique PIDs of the children of a process, as
 * introspection_get_all_pids; 0 if it has none.
 */
int introspection_get_all_child_pids(pid64_t parent, pid64_t *const pids,
                                     const size_t bsize);

/*
 * Lists all processes, or the children of one, in memory from malloc(), which the
 * caller frees; stores its address, never NULL, in *list, and the number of PIDs in
 * *num_pids. After an error they are NULL and 0.
 *
 * Returns EOK, or an error number, which is positive: those above, ENOMEM, EAGAIN
 * if the list grew faster than it could be read, EFAULT if a pointer is NULL.
 * Not safe in signal handlers, nor in the child of a fork of a threaded program.
 */
int introspection_allocate_and_get_all_pids(pid64_t **const list,
                                            size_t *num_pids);
int introspection_allocate_and_get_all_child_pids(pid64_t parent,
                                                  pid64_t **const list,
                                                  size_t *num_pids);

/*
 * Reports the path of the program that a process executes, without its leading
 * '/', NUL-terminated: any bytes, with " (deleted)" behind that of a deleted file;
 * of a script that of its interpreter. A thread of the kernel and a zombie have
 * no program: their names are reported, of up to 63 bytes. Requires the right to
 * read the process with ptrace, but for these.
 *
 * Returns the length without the NUL, whatever bsize is. If the name with its NUL
 * does not fit, an empty one is stored if there is room for it. (NULL, 0)
 * queries the length.
 * Errors besides those above: -ENAMETOOLONG for 4096 bytes or more.
 */
int introspection_get_process_name(pid64_t pid64, char *buf, size_t bsize);

/*
 * Reports the status of a process. Any caller may call it for any process that
 * it can see; members that need the right to read the process with ptrace, or
 * to attach to it, are 0 without it.
 *
 * Returns EOK, or an error number, which is positive.
 */
int introspection_get_proc_info(pid64_t pid64, debug_process_t *info);

/*
 * Reports the status of the thread with the lowest id from tid on: 1 gives that of
 * the lowest, status->tid + 1 the next. Thread ids are Linux's, and not
 * consecutive. Threads that have ended are none. Any caller may call it for any
 * process that it can see; members that need the right to attach to the process with
 * ptrace are 0 without it.
 *
 * Returns EOK, or an error number, which is positive: also ESRCH if there is no such
 * thread.
 */
int introspection_get_thread_status(pid64_t pid64, unsigned tid,
                                    debug_thread_t *status);

/*
 * Reads the general registers of the thread with this id in user mode. The thread is
 * stopped for some microseconds, by a child process that attaches to it with
 * ptrace, as which it requires the right to do so; it is neither stopped nor
 * traced afterwards, and no signal for it is lost. Some system calls in which it
 * waits fail with EINTR, such as epoll_wait(): docs/PORTING.md lists them. A
 * thread that is stopped already stays so.
 *
 * Returns the number of bytes stored: 160 (x86_64), 272 (aarch64).
 * Errors besides those above: -ENOTSUP on other processors, and for programs of
 * another word size; -EBUSY if the thread is traced; -ETIMEDOUT if it does not
 * stop within a second, as in a vfork() or an uninterruptible wait; -EAGAIN if
 * no child can be made. No thread of that id, or one that has ended: -ESRCH.
 * Not safe in signal handlers. Not usable under Valgrind.
 */
int introspection_get_generalpurpose_regs(pid64_t pid64, unsigned tid,
                                          debug_greg_t *registers);

/*
 * Reads the floating-point and vector registers: as
 * introspection_get_generalpurpose_regs. Returns 512 (x86_64: the image of the
 * instruction fxsave), 520 (aarch64).
 */
int introspection_get_floatingpoint_regs(pid64_t pid64, unsigned tid,
                                         debug_fpreg_t *registers);

#ifdef __cplusplus
}
#endif

#endif /* SYS_INTROSPECTION_H */
