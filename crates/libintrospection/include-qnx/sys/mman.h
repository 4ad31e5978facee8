/*
 * <sys/mman.h> for sources written for QNX (pkg-config: introspection-qnx).
 *
 * PROT_* and MAP_* have QNX's values, which are those of a record's flags
 * (<sys/introspection.h>), and the functions that take them convert them to
 * Linux's: mmap, mmap64, mprotect and pkey_mprotect. A bit that Linux cannot
 * honour fails with EINVAL: it is never dropped. Linux's other flags are not
 * defined, because their bits have another meaning here, and remap_file_pages
 * cannot be called. All other functions and constants are those of Linux.
 *
 * The functions here are static and have the names of libc's, so that pointers to
 * them convert, too. Functions of other libraries that take such values, and
 * system calls through syscall(), need Linux's values.
 */
#ifndef INTROSPECTION_QNX_SYS_MMAN_H
#define INTROSPECTION_QNX_SYS_MMAN_H

/* #include_next is an extension. */
#pragma GCC system_header

#ifdef PROT_READ
#error "Linux's PROT_* are defined before QNX's <sys/mman.h>"
#endif

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>

/* A function that cannot be used, and why. */
#if defined __has_attribute
#if __has_attribute(unavailable)
#define INTROSPECTION_QNX_UNAVAILABLE(why) __attribute__((unavailable(why)))
#endif
#endif
#ifndef INTROSPECTION_QNX_UNAVAILABLE
#define INTROSPECTION_QNX_UNAVAILABLE(why) __attribute__((error(why)))
#endif

/* Functions that this libc declares. */
#if defined __GLIBC__ && defined __USE_LARGEFILE64
#define INTROSPECTION_QNX_MMAP64
#elif !defined __GLIBC__ && (defined _LARGEFILE64_SOURCE || defined _GNU_SOURCE)
#define INTROSPECTION_QNX_MMAP64_IS_MMAP
#endif
#if defined __GLIBC__ && defined __USE_GNU
#if __GLIBC_PREREQ(2, 27)
#define INTROSPECTION_QNX_PKEY
#endif
#endif

/* libc's functions get other names in C and keep their symbols, which its header
 * itself selects for mmap with 64-bit offsets. */
#ifndef __USE_FILE_OFFSET64
#pragma redefine_extname introspection_libc_mmap mmap
#endif
#ifdef INTROSPECTION_QNX_MMAP64
#pragma redefine_extname introspection_libc_mmap64 mmap64
#endif
#pragma redefine_extname introspection_libc_mprotect mprotect
#ifdef INTROSPECTION_QNX_PKEY
#pragma redefine_extname introspection_libc_pkey_mprotect pkey_mprotect
#endif
#define mmap introspection_libc_mmap
#define mmap64 introspection_libc_mmap64
#define mprotect introspection_libc_mprotect
#define pkey_mprotect introspection_libc_pkey_mprotect
#define remap_file_pages introspection_libc_remap_file_pages
#include_next <sys/mman.h>
#undef mmap
#undef mmap64
#undef mprotect
#undef pkey_mprotect
#undef remap_file_pages

/* Linux's values, some of which strictly standard C hides. */
#if defined __mips__ || defined __alpha__ || defined __hppa__ || defined __xtensa__
#error "QNX's <sys/mman.h> does not know this architecture's MAP_ANONYMOUS"
#endif
enum {
    introspection_linux_PROT_READ = PROT_READ,
    introspection_linux_PROT_WRITE = PROT_WRITE,
    introspection_linux_PROT_EXEC = PROT_EXEC,
    introspection_linux_MAP_SHARED = MAP_SHARED,
    introspection_linux_MAP_PRIVATE = MAP_PRIVATE,
    introspection_linux_MAP_FIXED = MAP_FIXED,
#ifdef MAP_ANONYMOUS
    introspection_linux_MAP_ANON = MAP_ANONYMOUS,
#else
    introspection_linux_MAP_ANON = 0x20,
#endif
#ifdef MAP_STACK
    introspection_linux_MAP_STACK = MAP_STACK
#else
    introspection_linux_MAP_STACK = 0x20000
#endif
};

#undef MAP_32BIT
#undef MAP_ABOVE4G
#undef MAP_ANON
#undef MAP_ANONYMOUS
#undef MAP_DENYWRITE
#undef MAP_DROPPABLE
#undef MAP_EXECUTABLE
#undef MAP_FILE
#undef MAP_FIXED
#undef MAP_FIXED_NOREPLACE
#undef MAP_GROWSDOWN
#undef MAP_GROWSUP
#undef MAP_HUGETLB
#undef MAP_HUGE_16GB
#undef MAP_HUGE_16KB
#undef MAP_HUGE_16MB
#undef MAP_HUGE_1GB
#undef MAP_HUGE_1MB
#undef MAP_HUGE_256MB
#undef MAP_HUGE_2GB
#undef MAP_HUGE_2MB
#undef MAP_HUGE_32MB
#undef MAP_HUGE_512KB
#undef MAP_HUGE_512MB
#undef MAP_HUGE_64KB
#undef MAP_HUGE_8MB
#undef MAP_HUGE_MASK
#undef MAP_HUGE_SHIFT
#undef MAP_LOCKED
#undef MAP_NONBLOCK
#undef MAP_NORESERVE
#undef MAP_POPULATE
#undef MAP_PRIVATE
#undef MAP_SHARED
#undef MAP_SHARED_VALIDATE
#undef MAP_STACK
#undef MAP_SYNC
#undef MAP_TYPE
#undef MAP_UNINITIALIZED
#undef PROT_ADI
#undef PROT_BTI
#undef PROT_EXEC
#undef PROT_GROWSDOWN
#undef PROT_GROWSUP
#undef PROT_MTE
#undef PROT_NONE
#undef PROT_READ
#undef PROT_SAO
#undef PROT_SEM
#undef PROT_WRITE

#define PROT_NONE 0x00000000
#define PROT_READ 0x00000100
#define PROT_WRITE 0x00000200
#define PROT_EXEC 0x00000400
#define PROT_NOCACHE 0x00000800 /* EINVAL: memory is always cached */
#define PROT_MASK 0x00000f00

#define MAP_FILE 0x00000000
#define MAP_SHARED 0x00000001
#define MAP_PRIVATE 0x00000002
#define MAP_TYPE 0x00000003
#define MAP_FIXED 0x00000010
#define MAP_ELF 0x00000020  /* in records only */
#define MAP_LAZY 0x00000080 /* without effect: memory is always lazy */
#define MAP_STACK 0x00001000
#define MAP_PHYS 0x00010000 /* in records only */
#define MAP_ANON 0x00080000
#define MAP_ANONYMOUS MAP_ANON
#define MAP_SYSRAM 0x01000000 /* in records only */

/* In records only. */
#define PG_MODIFIED 0x00100000
#define PG_REFERENCED 0x00200000
#define PG_HWMAPPED 0x00400000
#define PG_MASK 0x00700000

/* The descriptor of a mapping without a file. */
#define NOFD (-1)

#ifdef __cplusplus
extern "C" {
#endif

/* The functions have symbols of their own: in the assembler's text libc's name
 * stands for libc's function. */
static inline void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
    __asm__("introspection_qnx_mmap");
static inline int mprotect(void *addr, size_t len, int prot)
    __asm__("introspection_qnx_mprotect");
#ifdef INTROSPECTION_QNX_MMAP64
static inline void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
    __asm__("introspection_qnx_mmap64");
#endif
#ifdef INTROSPECTION_QNX_PKEY
static inline int pkey_mprotect(void *addr, size_t len, int prot, int pkey)
    __asm__("introspection_qnx_pkey_mprotect");
#endif

/* Returns the bits `to` if `value` has the bits `from`. */
static inline int introspection_qnx_bits(int value, int from, int to) {
    return (value & from) == 0 ? 0 : to;
}

/* Converts a protection; returns whether Linux has it. */
static inline int introspection_qnx_prot(int *prot) {
    int value = *prot;
    *prot = introspection_qnx_bits(value, PROT_READ, introspection_linux_PROT_READ) |
            introspection_qnx_bits(value, PROT_WRITE, introspection_linux_PROT_WRITE) |
            introspection_qnx_bits(value, PROT_EXEC, introspection_linux_PROT_EXEC);
    return (value & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) == 0;
}

/* Converts flags of mmap; returns whether Linux has them. */
static inline int introspection_qnx_flags(int *flags) {
    int value = *flags;
    *flags = introspection_qnx_bits(value, MAP_SHARED, introspection_linux_MAP_SHARED) |
             introspection_qnx_bits(value, MAP_PRIVATE, introspection_linux_MAP_PRIVATE) |
             introspection_qnx_bits(value, MAP_FIXED, introspection_linux_MAP_FIXED) |
             introspection_qnx_bits(value, MAP_ANON, introspection_linux_MAP_ANON) |
             introspection_qnx_bits(value, MAP_STACK, introspection_linux_MAP_STACK);
    /* Both types are Linux's MAP_SHARED_VALIDATE. */
    return (value & MAP_TYPE) != MAP_TYPE &&
           (value & ~(MAP_TYPE | MAP_FIXED | MAP_ANON | MAP_STACK | MAP_LAZY)) == 0;
}

static inline void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off) {
    if (!introspection_qnx_prot(&prot) || !introspection_qnx_flags(&flags)) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    return introspection_libc_mmap(addr, len, prot, flags, fd, off);
}

#if defined INTROSPECTION_QNX_MMAP64
static inline void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off) {
    if (!introspection_qnx_prot(&prot) || !introspection_qnx_flags(&flags)) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    return introspection_libc_mmap64(addr, len, prot, flags, fd, off);
}
#elif defined INTROSPECTION_QNX_MMAP64_IS_MMAP
#define mmap64 mmap
#endif

static inline int mprotect(void *addr, size_t len, int prot) {
    if (!introspection_qnx_prot(&prot)) {
        errno = EINVAL;
        return -1;
    }
    return introspection_libc_mprotect(addr, len, prot);
}

#ifdef INTROSPECTION_QNX_PKEY
static inline int pkey_mprotect(void *addr, size_t len, int prot, int pkey) {
    if (!introspection_qnx_prot(&prot)) {
        errno = EINVAL;
        return -1;
    }
    return introspection_libc_pkey_mprotect(addr, len, prot, pkey);
}
#endif

/* Not in QNX; its flags are those of mmap. */
#ifdef _GNU_SOURCE
int remap_file_pages(void *addr, size_t size, int prot, size_t pgoff, int flags)
    INTROSPECTION_QNX_UNAVAILABLE("its values are Linux's, <sys/mman.h> has QNX's here");
#endif

#ifdef __cplusplus
}
#endif

#endif /* INTROSPECTION_QNX_SYS_MMAN_H */
