/* A sanitizer's view of its own process, written for QNX, compared with
 * /proc/self/maps. */
#define _GNU_SOURCE
#include "qnx/sanitizer.c"

#include "proc_maps.h"

static char in_bss[100];
static const char in_rodata[] = "constant";

/* Checks a segment against a line. */
static void check_segment(const struct segment *segment, const struct map_line *line) {
    CHECK_EQ(segment->start, line->start);
    CHECK_EQ(segment->end, line->end - 1);
    CHECK_EQ(segment->is_readable, line->permissions[0] == 'r');
    CHECK_EQ(segment->is_writable, line->permissions[1] == 'w');
    CHECK_EQ(segment->is_executable, line->permissions[2] == 'x');
    CHECK_EQ(segment->is_shared, line->permissions[3] == 's');
    if (is_file(line)) {
        CHECK_EQ(segment->offset, line->offset);
        if (strcmp(segment->name, line->path) != 0) FAIL("%s, not %s", segment->name, line->path);
    } else {
        CHECK(segment->name[0] == '\0');
    }
}

/* Checks that the layout is that of the kernel. */
static void check_layout(void) {
    struct layout layout;
    static struct segment segment;
    CHECK_EQ(layout_read(&layout), EOK);
    size_t count = read_maps(getpid());
    CHECK(count > 3);
    CHECK_EQ(layout.count, count);
    size_t checked = 0;
    for (; layout_next(&layout, &segment); checked++)
        check_segment(&segment, &map_lines[checked]);
    CHECK_EQ(checked, count);
    layout_free(&layout);
}

static void the_layout_is_that_of_the_kernel(void) { check_layout(); }

static void mappings_of_every_kind_are_in_the_layout(void) {
    size_t page = page_size();
    int file = memfd_create("a name with spaces", MFD_CLOEXEC);
    CHECK(file >= 0);
    CHECK_EQ(ftruncate(file, (off_t)(8 * page)), 0);
    static const int protections[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
                                      PROT_READ | PROT_EXEC};
    for (size_t i = 0; i < sizeof protections / sizeof *protections; i++) {
        int prot = protections[i];
        off_t offset = (off_t)((i + 1) * page);
        CHECK(mmap(NULL, page, prot, MAP_SHARED, file, offset) != MAP_FAILED);
        CHECK(mmap(NULL, page, prot, MAP_PRIVATE, file, offset) != MAP_FAILED);
        CHECK(mmap(NULL, page, prot, MAP_PRIVATE | MAP_ANON, NOFD, 0) != MAP_FAILED);
        CHECK(mmap(NULL, page, prot, MAP_SHARED | MAP_ANON, NOFD, 0) != MAP_FAILED);
    }
    check_layout();
    close(file);
}

static void more_mappings_than_the_first_query_counted_are_in_the_layout(void) {
    size_t page = page_size();
    char *all = mmap(NULL, 400 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, NOFD, 0);
    CHECK(all != MAP_FAILED);
    for (size_t i = 0; i < 400; i += 2) CHECK_EQ(mprotect(all + i * page, page, PROT_READ), 0);
    check_layout();
}

/* Checks that an address of the program is in the program. */
static void check_module(const void *address, int is_in_file) {
    static struct segment segment;
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    CHECK(length > 0);
    program[length] = '\0';
    CHECK(module_of((uintptr_t)address, &segment));
    const struct map_line *line = line_of(read_maps(getpid()), (uintptr_t)address);
    CHECK(line != NULL);
    check_segment(&segment, line);
    if (is_in_file) CHECK(strcmp(segment.name, program) == 0);
}

static void an_address_is_in_the_module_that_contains_it(void) {
    char on_stack = 0;
    in_bss[99] = 1;
    check_module((void *)(uintptr_t)check_module, 1);
    check_module(in_rodata, 1);
    check_module(in_bss, 0);
    check_module(&on_stack, 0);
    static struct segment segment;
    CHECK(!module_of(1, &segment));
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"the_layout_is_that_of_the_kernel", the_layout_is_that_of_the_kernel},
        {"mappings_of_every_kind_are_in_the_layout", mappings_of_every_kind_are_in_the_layout},
        {"more_mappings_than_the_first_query_counted_are_in_the_layout",
         more_mappings_than_the_first_query_counted_are_in_the_layout},
        {"an_address_is_in_the_module_that_contains_it",
         an_address_is_in_the_module_that_contains_it},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
