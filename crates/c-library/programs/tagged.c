/* Pointers with a tag in their upper byte, on arm64: with top byte ignore alone,
 * and with the memory tagging extension. The tag does not change the address. */
#define _GNU_SOURCE
#include "check.h"

#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifndef PR_SET_TAGGED_ADDR_CTRL
#define PR_SET_TAGGED_ADDR_CTRL 55
#endif
#define TAGGED_ADDR_ENABLE 1ul
/* PR_MTE_TCF_SYNC: a wrong tag faults at once. */
#define MTE_SYNC (1ul << 1)
#define TAG(tag) ((uintptr_t)(tag) << (sizeof(uintptr_t) * 8 - 8))

static uint64_t path[600];

#ifdef __aarch64__
#define NEED_TAGS() (void)0
#else
#define NEED_TAGS() SKIP("needs arm64: pointers have no tags here")
#endif

/* Every function, on two pages: its results with and without a tag. */
static void tags_change_nothing(uintptr_t at, uintptr_t tag, char *buffer) {
    uintptr_t end = at + 2 * page_size() - 1;
    static array_call *const calls[] = {introspection_get_virtual_regions,
                                        introspection_get_physical_regions,
                                        introspection_get_pagetableinfo};
    procfs_mapinfo without[4], *with = (procfs_mapinfo *)(void *)buffer;
    for (int i = 0; i < 3; i++) {
        int size = calls[i](0, at, end, without, sizeof without);
        CHECK(size >= (int)RECORD && size <= (int)sizeof without);
        for (int which = 1; which < 4; which++) {
            memset(with, 0, sizeof without);
            uintptr_t from = which & 1 ? at | tag : at, to = which & 2 ? end | tag : end;
            CHECK_EQ(calls[i](0, from, to, with, sizeof without), size);
            CHECK(memcmp(with, without, (size_t)size) == 0);
        }
        CHECK_EQ(with[0].vaddr, at);
    }
    for (int kind = 0; kind < 3; kind++) {
        introspection_cursor_t cursor;
        CHECK_EQ(introspection_cursor_open(&cursor, 0, at | tag, end | tag, kind), 0);
        CHECK(introspection_cursor_next(&cursor, with, 1) == 1);
        CHECK_EQ(with[0].vaddr, at);
        introspection_cursor_close(&cursor);
    }
    memset(buffer, 0, 16);
    CHECK_EQ(introspection_read_process_memory(0, at | tag, buffer, 16), 16);
    for (int i = 0; i < 16; i++) CHECK_EQ(buffer[i], i + 1);
    CHECK_EQ(introspection_read_process_memory(0, at | tag, buffer, 0), 0);
    uintptr_t literal = (uintptr_t)"a literal";
    int length = introspection_get_mapped_object_path(0, literal, NULL, 0);
    CHECK(length > 1);
    CHECK_EQ(introspection_get_mapped_object_path(0, literal | tag, (void *)path, sizeof path),
             length);
    uint64_t linked = path[0];
    CHECK_EQ(introspection_get_mapped_object_path(0, literal, (void *)path, sizeof path), length);
    CHECK_EQ(path[0], linked);
}

static char *two_pages(int protection) {
    char *all = mmap(NULL, 4 * page_size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);
    char *pages = all + page_size();
    if (mprotect(pages, 2 * page_size(), PROT_READ | PROT_WRITE | protection) != 0) return NULL;
    return pages;
}

static void a_tagged_address_is_the_address(void) {
    NEED_TAGS();
    need_root();
    char *memory = two_pages(0);
    CHECK(memory);
    for (int i = 0; i < 16; i++) memory[i] = (char)(i + 1);
    memory[page_size()] = 1;
    char buffer[256] __attribute__((aligned(16)));
    static const unsigned tags[] = {1, 0x0f, 0xb4, 0xff};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        tags_change_nothing((uintptr_t)memory, TAG(tags[i]), buffer);
    /* The end of the address space is not a tag. */
    CHECK(introspection_get_virtual_regions(0, ALL, NULL, 0) > (int)RECORD);
    CHECK(introspection_get_virtual_regions(0, 0, ~(uintptr_t)0 >> 1, NULL, 0) > (int)RECORD);
}

/* A buffer with a tag is written if the kernel's tagged addresses are enabled. */
static void a_tagged_buffer_is_written_where_the_kernel_allows_it(void) {
    NEED_TAGS();
    need_root();
    char *memory = two_pages(0), *buffer = two_pages(0);
    for (int i = 0; i < 16; i++) memory[i] = (char)(i + 1);
    memory[page_size()] = 1;
    char *tagged = (char *)((uintptr_t)buffer | TAG(0x2a));
    procfs_mapinfo *record = (procfs_mapinfo *)(void *)tagged;
    CHECK_EQ(introspection_get_virtual_regions(0, ALL, record, RECORD), -EFAULT);
    if (prctl(PR_SET_TAGGED_ADDR_CTRL, TAGGED_ADDR_ENABLE, 0, 0, 0) != 0)
        SKIP("needs the tagged address ABI (Linux 5.4)");
    tags_change_nothing((uintptr_t)memory, TAG(0x2a), tagged);
}

#ifdef __aarch64__
#define PROT_MTE_ 0x20
#define HWCAP2_MTE_ (1ul << 18)

/* Sets the tag of 16 bytes at `address` to the pointer's. */
static void set_tag(char *tagged) {
    __asm__ volatile(".arch armv8.5-a+memtag\n\tstg %0, [%0]" : : "r"(tagged) : "memory");
}

/* QEMU 7.2 emulates a machine in which a store of a pair of registers across two
 * granules of 16 bytes faults though both have the pointer's tag. */
static int pairs_fault(char *tagged) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        __asm__ volatile("stp xzr, xzr, [%0, #24]" : : "r"(tagged) : "memory");
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    return status != 0;
}

static char *tag_pages(char *pages, unsigned tag) {
    char *tagged = (char *)((uintptr_t)pages | TAG(tag));
    for (size_t at = 0; at < 2 * page_size(); at += 16) set_tag(tagged + at);
    return tagged;
}
#endif

static void tagged_memory_is_read_and_written(void) {
    NEED_TAGS();
    need_root();
#ifdef __aarch64__
    if (!(getauxval(AT_HWCAP2) & HWCAP2_MTE_)) SKIP("needs the memory tagging extension");
    if (prctl(PR_SET_TAGGED_ADDR_CTRL, TAGGED_ADDR_ENABLE | MTE_SYNC, 0, 0, 0) != 0)
        SKIP("needs a kernel with CONFIG_ARM64_MTE");
    char *memory = two_pages(PROT_MTE_), *buffer = two_pages(PROT_MTE_);
    if (!memory || !buffer) SKIP("needs memory that can be tagged");
    char *tagged = tag_pages(memory, 5), *to = tag_pages(buffer, 9);
    for (int i = 0; i < 16; i++) tagged[i] = (char)(i + 1);
    tagged[page_size()] = 1;
    /* A wrong tag of the buffer is a fault in the kernel, and no signal. */
    char *wrong = (char *)((uintptr_t)buffer | TAG(3));
    CHECK_EQ(introspection_get_virtual_regions(0, (uintptr_t)tagged, (uintptr_t)tagged,
                                               (procfs_mapinfo *)(void *)wrong, RECORD),
             -EFAULT);
    if (pairs_fault(to)) SKIP("needs an emulator that stores pairs of registers right");
    tags_change_nothing((uintptr_t)memory, TAG(5), to);
#endif
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"a_tagged_address_is_the_address", a_tagged_address_is_the_address},
        {"a_tagged_buffer_is_written_where_the_kernel_allows_it",
         a_tagged_buffer_is_written_where_the_kernel_allows_it},
        {"tagged_memory_is_read_and_written", tagged_memory_is_read_and_written},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
