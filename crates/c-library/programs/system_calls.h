/*
 * The system calls that a call of the library may make, and no other: the one
 * table of them. The filter of confined.c is made from it, the Rust tests read it
 * (src/system_calls.rs), and the list in docs/SAFETY.md is held equal to it.
 *
 * SYSTEM_CALL(name with 64-bit words, name with 32-bit words, when), in one line.
 */
SYSTEM_CALL(openat, openat, "the files under `/proc`, and those that are mapped")
SYSTEM_CALL(close, close, "the same")
SYSTEM_CALL(read, read, "the text of `maps`, where there are many small mappings or no `PROCMAP_QUERY`")
SYSTEM_CALL(pread64, pread64, "`pagemap`, `mem`, `auxv`, `stat`, `fdinfo` and what is mapped")
SYSTEM_CALL(ioctl, ioctl, "`PROCMAP_QUERY` on `maps`, `PAGEMAP_SCAN` on `pagemap`, no other")
SYSTEM_CALL(statx, statx, "a mapped object; a unique PID, by the inode of its pidfd")
SYSTEM_CALL(fstatfs, fstatfs64, "the same")
SYSTEM_CALL(getdents64, getdents64, "the threads of a process whose first thread has ended; VFIO devices")
SYSTEM_CALL(pidfd_open, pidfd_open, "another process")
SYSTEM_CALL(pidfd_send_signal, pidfd_send_signal, "the same: signal 0, which is never delivered")
SYSTEM_CALL(process_vm_readv, process_vm_readv, "memory of the calling process itself, where its `mem` is closed to it")
SYSTEM_CALL(getpid, getpid, "the calling process")
SYSTEM_CALL(gettid, gettid, "the same")
SYSTEM_CALL(rt_sigprocmask, rt_sigprocmask, "the check of a buffer; no mask is changed")
SYSTEM_CALL(clock_gettime, clock_gettime64, "how long a scan takes")
SYSTEM_CALL(getrusage, getrusage, "a long walk: whether it keeps the target waiting")
SYSTEM_CALL(clock_nanosleep, clock_nanosleep_time64, "a long walk that does; a target in the middle of an exec")
SYSTEM_CALL(mmap, mmap2, "one page, in a process that locks its memory, or has no zero page to look at")
SYSTEM_CALL(munmap, munmap, "the same")
SYSTEM_CALL(msync, msync, "the size of a page, with a length of 0; only where an architecture has several sizes (arm64)")
