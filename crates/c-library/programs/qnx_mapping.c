/* Memory that is mapped and protected by QNX's names, compared with /proc and with
 * the library's records, whose flags have the same names. */
#define _GNU_SOURCE
#include "check.h"

#include "children.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>

#define BITS 31

/* The call that libc makes for mmap; its protection and flags are the third and the
 * fourth argument. */
#ifdef SYS_mmap2
#define MAP_CALL SYS_mmap2
#else
#define MAP_CALL SYS_mmap
#endif

/* Errors by which the filter below reports what it saw. */
#define AS_EXPECTED 1001
#define DIFFERENT 1002

/* Returns whether mmap and mprotect take the bit of a protection. */
static bool is_prot(int bit) {
    return bit == PROT_READ || bit == PROT_WRITE || bit == PROT_EXEC;
}

/* Returns whether mmap takes the bit of flags. */
static bool is_flag(int bit) {
    return bit == MAP_SHARED || bit == MAP_PRIVATE || bit == MAP_FIXED || bit == MAP_LAZY ||
           bit == MAP_STACK || bit == MAP_ANON;
}

/* Stores the four characters that /proc has for the mapping of an address; returns
 * whether there is one. */
static bool permissions(const void *address, char text[5]) {
    FILE *maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL);
    char line[5000];
    bool is_found = false;
    unsigned long start, end;
    while (!is_found && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx %4s", &start, &end, text) == 3)
            is_found = start <= (uintptr_t)address && (uintptr_t)address < end;
    }
    fclose(maps);
    return is_found;
}

static procfs_mapinfo record_of(const void *address) {
    procfs_mapinfo record;
    uintptr_t at = (uintptr_t)address;
    CHECK_EQ(introspection_get_virtual_regions(0, at, at, &record, RECORD), RECORD);
    return record;
}

/* Checks that a mapping has this protection and type, in /proc and in its record. */
static void check_mapping(const void *address, int prot, int type) {
    char found[5] = "";
    CHECK(permissions(address, found));
    char expected[5] = {prot & PROT_READ ? 'r' : '-', prot & PROT_WRITE ? 'w' : '-',
                        prot & PROT_EXEC ? 'x' : '-', type == MAP_SHARED ? 's' : 'p', '\0'};
    if (strcmp(found, expected) != 0) FAIL("%s, not %s", found, expected);
    procfs_mapinfo record = record_of(address);
    CHECK_EQ(record.flags & PROT_MASK, prot);
    CHECK_EQ(record.flags & MAP_TYPE, type);
}

/* Returns one of the eight protections. */
static int protection(int number) {
    return (number & 1 ? PROT_READ : 0) | (number & 2 ? PROT_WRITE : 0) |
           (number & 4 ? PROT_EXEC : 0);
}

static void a_mapping_has_the_protection_and_type_that_it_was_made_with(void) {
    for (int type = MAP_SHARED; type <= MAP_PRIVATE; type++)
        for (int i = 0; i < 8; i++) {
            void *made = mmap(NULL, page_size(), protection(i), type | MAP_ANON, NOFD, 0);
            CHECK(made != MAP_FAILED);
            check_mapping(made, protection(i), type);
            if (type == MAP_PRIVATE) CHECK(record_of(made).flags & MAP_ANON);
            CHECK_EQ(munmap(made, page_size()), 0);
        }
    CHECK_EQ(PROT_NONE, 0);
    CHECK_EQ(MAP_FILE, 0);
    CHECK_EQ(MAP_ANONYMOUS, MAP_ANON);
}

static void memory_can_be_written_only_with_the_right(void) {
    char *made = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANON | MAP_LAZY, NOFD, 0);
    CHECK(made != MAP_FAILED);
    made[0] = 7;
    CHECK_EQ(mprotect(made, page_size(), PROT_READ), 0);
    CHECK_EQ(made[0], 7);
    /* A system call that writes there. */
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    CHECK(read(ends[0], made, 1) == -1 && errno == EFAULT);
    CHECK_EQ(mprotect(made, page_size(), PROT_READ | PROT_WRITE), 0);
    CHECK_EQ(read(ends[0], made, 1), 1);
    CHECK_EQ(made[0], 'x');
}

static void a_protection_can_be_set_from_a_record(void) {
    char *made = map_pages(1);
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(mprotect(made, page_size(), protection(i)), 0);
        check_mapping(made, protection(i), MAP_PRIVATE);
        uint32_t flags = record_of(made).flags;
        CHECK_EQ(mprotect(made, page_size(), PROT_NONE), 0);
        check_mapping(made, PROT_NONE, MAP_PRIVATE);
        CHECK_EQ(mprotect(made, page_size(), (int)(flags & PROT_MASK)), 0);
        check_mapping(made, protection(i), MAP_PRIVATE);
    }
}

static void a_file_is_mapped_at_a_fixed_address(void) {
    char *place = map_pages(1);
    int file = open("/proc/self/exe", O_RDONLY);
    CHECK(file >= 0);
    char *made = mmap(place, page_size(), PROT_READ, MAP_FILE | MAP_PRIVATE | MAP_FIXED, file, 0);
    close(file);
    CHECK(made == place);
    CHECK(memcmp(made, "\177ELF", 4) == 0);
    check_mapping(made, PROT_READ, MAP_PRIVATE);
    uint32_t flags = record_of(made).flags;
    CHECK((flags & MAP_ELF) && !(flags & MAP_ANON));
}

static void a_mapping_for_a_stack_is_made(void) {
    void *made = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANON | MAP_STACK, NOFD, 0);
    CHECK(made != MAP_FAILED);
    check_mapping(made, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

static void backed_memory_has_the_flags_of_its_page(void) {
    need_root();
    char *made = map_pages(2);
    made[0] = 1;
    procfs_mapinfo records[2];
    uintptr_t at = (uintptr_t)made;
    int size = introspection_get_physical_regions(0, at, at + 2 * page_size() - 1, records,
                                                  sizeof records);
    CHECK_EQ(size, sizeof records);
    CHECK_EQ(records[0].flags & PG_MASK, PG_MODIFIED | PG_REFERENCED | PG_HWMAPPED);
    CHECK((records[0].flags & MAP_SYSRAM) && !(records[0].flags & MAP_PHYS));
    CHECK_EQ(records[1].flags & PG_MASK, 0);
    CHECK_EQ(records[0].flags & PROT_MASK, PROT_READ | PROT_WRITE);
}

/* Linux's own values. */
static const struct {
    int qnx, linux_value;
} values[] = {{MAP_SHARED, 0x1}, {MAP_PRIVATE, 0x2}, {MAP_FIXED, 0x10}, {MAP_ANON, 0x20},
              {MAP_STACK, 0x20000}, {MAP_LAZY, 0}};

#define VALUES (sizeof values / sizeof *values)

/* Lets each further mmap fail with an error that reports whether these are its
 * protection and its flags. */
static void expect(int prot, int flags) {
/* The low half of an argument, of a machine that has it first. */
#define ARGUMENT(n)                                                                      \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * (n))
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAP_CALL, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        ARGUMENT(2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)prot, 0, 3),
        ARGUMENT(3),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)flags, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | AS_EXPECTED),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | DIFFERENT),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) SKIP("needs seccomp filters");
}

static void the_kernel_gets_its_own_values(void) {
    for (int set = 0; set < 1 << VALUES; set++) {
        int flags = 0, linux_flags = 0, prot = protection(set % 8);
        for (size_t i = 0; i < VALUES; i++)
            if (set & 1 << i) {
                flags |= values[i].qnx;
                linux_flags |= values[i].linux_value;
            }
        int linux_prot = (prot & PROT_READ ? 1 : 0) | (prot & PROT_WRITE ? 2 : 0) |
                         (prot & PROT_EXEC ? 4 : 0);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            expect(linux_prot, linux_flags);
            CHECK(mmap(NULL, 1, prot, flags, NOFD, 0) == MAP_FAILED);
            /* Both types at once are a third one of Linux. */
            CHECK_EQ(errno, (flags & MAP_TYPE) == MAP_TYPE ? EINVAL : AS_EXPECTED);
            if (set == 0) {
                /* The filter sees a difference. */
                CHECK(mmap(NULL, 1, PROT_EXEC, flags, NOFD, 0) == MAP_FAILED);
                CHECK_EQ(errno, DIFFERENT);
            }
            _exit(0);
        }
        int status;
        CHECK_EQ(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) SKIP("needs seccomp filters");
        CHECK_EQ(status, 0);
    }
}

typedef void *map_function(void *, size_t, int, int, int, off_t);
typedef int protect_function(void *, size_t, int);

/* Checks each bit that a function must not take. */
static void check_refusals(map_function *map, protect_function *protect) {
    char *kept = map_pages(1);
    int before = open_files();
    for (int i = 0; i < BITS; i++) {
        int bit = (int)(1u << i);
        if (!is_prot(bit)) {
            errno = 0;
            void *made = map(NULL, page_size(), PROT_READ | bit, MAP_PRIVATE | MAP_ANON, NOFD, 0);
            if (made != MAP_FAILED || errno != EINVAL) FAIL("mmap takes prot %#x", (unsigned)bit);
            errno = 0;
            if (protect(kept, page_size(), bit) != -1 || errno != EINVAL)
                FAIL("mprotect takes %#x", (unsigned)bit);
        }
        if (!is_flag(bit)) {
            errno = 0;
            void *made = map(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANON | bit, NOFD, 0);
            if (made != MAP_FAILED || errno != EINVAL) FAIL("mmap takes flags %#x", (unsigned)bit);
        }
    }
    /* The kernel itself refuses both types of memory without a file. */
    CHECK(map(NULL, page_size(), PROT_READ, MAP_SHARED | MAP_PRIVATE | MAP_ANON, NOFD, 0) ==
          MAP_FAILED);
    CHECK_EQ(errno, EINVAL);
    CHECK(map(NULL, page_size(), PROT_READ, MAP_ANON, NOFD, 0) == MAP_FAILED);
    CHECK_EQ(errno, EINVAL);
    check_mapping(kept, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    CHECK_EQ(open_files(), before);
    /* The highest bit. */
    CHECK_EQ(protect(kept, page_size(), (int)(1u << BITS)), -1);
    CHECK_EQ(errno, EINVAL);
}

static void a_bit_that_linux_cannot_honour_is_refused(void) { check_refusals(mmap, mprotect); }

static void a_refused_mapping_replaces_nothing(void) {
    char *place = map_pages(1);
    place[0] = 5;
    int flags = MAP_PRIVATE | MAP_ANON | MAP_FIXED;
    CHECK(mmap(place, page_size(), PROT_READ | PROT_NOCACHE, flags, NOFD, 0) == MAP_FAILED);
    CHECK(mmap(place, page_size(), PROT_READ, flags | MAP_PHYS, NOFD, 0) == MAP_FAILED);
    CHECK_EQ(place[0], 5);
    check_mapping(place, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

static void *map_by_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off) {
    return mmap64(addr, len, prot, flags, fd, off);
}

/* The key -1 is none: machines without keys accept it, too. */
static int protect_without_key(void *addr, size_t len, int prot) {
#ifdef __GLIBC__
    return pkey_mprotect(addr, len, prot, -1);
#else
    return mprotect(addr, len, prot);
#endif
}

static void the_other_names_of_these_calls_convert_too(void) {
    check_refusals(map_by_mmap64, protect_without_key);
    void *made = map_by_mmap64(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON,
                               NOFD, 0);
    CHECK(made != MAP_FAILED);
    check_mapping(made, PROT_READ | PROT_WRITE, MAP_SHARED);
    CHECK_EQ(protect_without_key(made, page_size(), PROT_READ), 0);
    check_mapping(made, PROT_READ, MAP_SHARED);
}

static void a_pointer_to_a_function_converts_too(void) {
    map_function *volatile map = mmap;
    protect_function *volatile protect = &mprotect;
    void *made = map(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, NOFD, 0);
    CHECK(made != MAP_FAILED);
    check_mapping(made, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    CHECK_EQ(protect(made, page_size(), PROT_EXEC), 0);
    check_mapping(made, PROT_EXEC, MAP_PRIVATE);
}

static void other_functions_are_linuxs(void) {
    char *made = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, NOFD,
                      0);
    CHECK(made != MAP_FAILED);
    made[0] = 9;
    CHECK_EQ(msync(made, page_size(), MS_SYNC), 0);
    made = mremap(made, 2 * page_size(), 4 * page_size(), MREMAP_MAYMOVE);
    CHECK(made != MAP_FAILED);
    CHECK_EQ(made[0], 9);
    check_mapping(made + 3 * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE);
    CHECK_EQ(madvise(made, page_size(), MADV_DONTNEED), 0);
    CHECK_EQ(made[0], 0);
}

#define CASE(name) {#name, name}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        CASE(a_mapping_has_the_protection_and_type_that_it_was_made_with),
        CASE(memory_can_be_written_only_with_the_right),
        CASE(a_protection_can_be_set_from_a_record),
        CASE(a_file_is_mapped_at_a_fixed_address),
        CASE(a_mapping_for_a_stack_is_made),
        CASE(the_kernel_gets_its_own_values),
        CASE(backed_memory_has_the_flags_of_its_page),
        CASE(a_bit_that_linux_cannot_honour_is_refused),
        CASE(a_refused_mapping_replaces_nothing),
        CASE(the_other_names_of_these_calls_convert_too),
        CASE(a_pointer_to_a_function_converts_too),
        CASE(other_functions_are_linuxs),
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
