/*
 * The table of all system calls that the library makes, but for those of
 * register_calls.h. confined.c derives its filter from it, the Rust tests read it
 * (src/system_calls.rs), and a test keeps the list in docs/SAFETY.md equal to it.
 *
 * SYSTEM_CALL(name with 64-bit words, name with 32-bit words, when), in one line.
 */
SYSTEM_CALL(openat, openat, "files under `/proc`, and mapped files")
SYSTEM_CALL(close, close, "every descriptor that the call opened")
SYSTEM_CALL(readlinkat, readlinkat, "the name of a program; a list of processes: the caller's number in this `/proc`")
SYSTEM_CALL(read, read, "the text of `maps`, where there are many small mappings or no `PROCMAP_QUERY`")
SYSTEM_CALL(pread64, pread64, "`pagemap`, `mem`, `auxv`, `stat`, `fdinfo` and mapped files; the files of the status of processes and threads")
SYSTEM_CALL(ioctl, ioctl, "`PROCMAP_QUERY` on `maps`, `PAGEMAP_SCAN` on `pagemap`, no others")
SYSTEM_CALL(statx, statx, "a mapped object; a unique PID, by the inode of its pidfd; the number of open descriptors")
SYSTEM_CALL(fstatfs, fstatfs64, "a mapped object; a unique PID, by the file system of its pidfd")
SYSTEM_CALL(getdents64, getdents64, "processes, threads, open descriptors; VFIO devices")
SYSTEM_CALL(pidfd_open, pidfd_open, "another process")
SYSTEM_CALL(pidfd_send_signal, pidfd_send_signal, "another process: signal 0, which is never delivered")
SYSTEM_CALL(process_vm_readv, process_vm_readv, "memory of the calling process itself, where it may not open its own `mem`")
SYSTEM_CALL(getpid, getpid, "the calling process")
SYSTEM_CALL(gettid, gettid, "the calling process")
SYSTEM_CALL(rt_sigprocmask, rt_sigprocmask, "the check of a buffer; no mask is changed")
SYSTEM_CALL(clock_gettime, clock_gettime64, "the duration of a scan; the time of the boot")
SYSTEM_CALL(getrusage, getrusage, "a long walk: whether it delays the target")
SYSTEM_CALL(clock_nanosleep, clock_nanosleep_time64, "a long walk that delays the target; a target in the middle of an exec")
SYSTEM_CALL(mmap, mmap2, "one page, in a process that locks its memory, or has no zero page mapped")
SYSTEM_CALL(munmap, munmap, "the page of `mmap`")
SYSTEM_CALL(msync, msync, "the page size, by a call with a length of 0; only where an architecture has several page sizes (arm64)")
