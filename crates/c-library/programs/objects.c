/* Paths of mapped objects, and copies of a process's memory. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "children.h"

#define PATH_AT offsetof(procfs_debuginfo, path)

static union {
    procfs_debuginfo object;
    char bytes[5000];
} found;

static char *map_file(const char *path, size_t pages) {
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(file >= 0 && ftruncate(file, (off_t)(pages * page_size())) == 0);
    char *memory = mmap(NULL, pages * page_size(), PROT_READ, MAP_SHARED, file, 0);
    CHECK(memory != MAP_FAILED);
    close(file);
    return memory;
}

static void the_path_of_a_file_is_found_whole(void) {
    static char directory[2048], path[2100], told[2100];
    CHECK(getcwd(directory, sizeof directory - 32));
    strcat(directory, "/introspection-XXXXXX");
    CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a \xff\n name", directory);
    char *memory = map_file(path, 2);
    uintptr_t at = (uintptr_t)memory + page_size() + 5;
    int needed = introspection_get_mapped_object_path(0, at, NULL, 0);
    int given = introspection_get_mapped_object_path(0, at, &found.object, sizeof found);
    snprintf(told, sizeof told, "%s", found.object.path);
    uint64_t vaddr = found.object.vaddr;
    CHECK(unlink(path) == 0);
    int deleted = introspection_get_mapped_object_path(0, at, &found.object, sizeof found);
    CHECK(rmdir(directory) == 0);
    CHECK_EQ(needed, strlen(path) + 1);
    CHECK_EQ(given, needed);
    CHECK(strcmp(told, path) == 0);
    CHECK_EQ(vaddr, at);
    CHECK_EQ(deleted, strlen(path) + strlen(" (deleted)") + 1);
    CHECK(strncmp(found.object.path, path, strlen(path)) == 0);
    CHECK(strcmp(found.object.path + strlen(path), " (deleted)") == 0);
}

/* Makes directories until a file's path has exactly `length` bytes, maps the file,
 * and removes everything again. `from` is the working directory afterwards. */
static char *map_deep_file(const char *from, size_t length, char *path) {
    static char name[NAME_MAX + 1];
    strcpy(path, from);
    while (strlen(path) + 1 + NAME_MAX < length) {
        /* The rest must have room for a name and its slash. */
        size_t left = length - strlen(path) - 1;
        size_t size = left - 2 < NAME_MAX ? left - 2 : NAME_MAX;
        memset(name, 'd', size);
        name[size] = 0;
        CHECK(mkdir(name, 0700) == 0 && chdir(name) == 0);
        strcat(strcat(path, "/"), name);
    }
    size_t size = length - strlen(path) - 1;
    memset(name, 'f', size);
    name[size] = 0;
    char *memory = map_file(name, 1);
    CHECK(unlink(name) == 0);
    while (strlen(path) > strlen(from)) {
        char *slash = strrchr(path, '/');
        CHECK(chdir("..") == 0 && rmdir(slash + 1) == 0);
        *slash = 0;
    }
    return memory;
}

static void a_path_of_any_length_is_found_whole(void) {
    static char start[2048], path[PATH_MAX + 1];
    CHECK(getcwd(start, sizeof start));
    char directory[] = "introspection-XXXXXX";
    CHECK(mkdtemp(directory) && chdir(directory) == 0);
    char *from = getcwd(NULL, 0);
    /* Around the sizes of the storage in the library, other libraries and the
     * kernel. A deleted file's path ends with " (deleted)". */
    static const size_t lengths[] = {490, 511, 512, 513, 3007, 3008, 3009, 4000, 4095};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t length = lengths[i] - strlen(" (deleted)");
        uintptr_t at = (uintptr_t)map_deep_file(from, length, path) + 7;
        CHECK_EQ(introspection_get_mapped_object_path(0, at, &found.object, sizeof found),
                 lengths[i] + 1);
        CHECK_EQ(strlen(found.object.path), lengths[i]);
        CHECK_EQ(found.object.vaddr, at);
        CHECK(strncmp(found.object.path, from, strlen(from)) == 0);
        CHECK(strcmp(found.object.path + length, " (deleted)") == 0);
        for (size_t j = length - 20; j < length; j++) CHECK_EQ(found.object.path[j], 'f');
    }
    CHECK(chdir(start) == 0 && rmdir(directory) == 0);
    free(from);
}

static const char literal[] = "in the program's own file";

/* In each of the program's writable and constant segments. */
static const char *const pointers[] = {literal, literal + 1};
static char data[2] = {1, 2};

static void a_programs_own_path_and_linked_address_are_found(void) {
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(len > 0);
    self[len] = 0;
    CHECK_EQ(introspection_get_mapped_object_path(0, (uintptr_t)literal, &found.object,
                                                  sizeof found), len + 1);
    CHECK(strcmp(found.object.path, self) == 0);
    /* vaddr less the load offset: the same in every byte of the file. */
    uint64_t load = (uintptr_t)literal - found.object.vaddr;
    CHECK_EQ(load % page_size(), 0);
    uintptr_t code;
    void (*function)(void) = a_programs_own_path_and_linked_address_are_found;
    memcpy(&code, &function, sizeof code);
    CHECK_EQ(introspection_get_mapped_object_path(0, code, &found.object, sizeof found), len + 1);
    CHECK_EQ(code - found.object.vaddr, load);
    extern const char __ehdr_start[];
    CHECK_EQ(introspection_get_mapped_object_path(0, (uintptr_t)__ehdr_start, &found.object,
                                                  sizeof found), len + 1);
    CHECK_EQ((uintptr_t)__ehdr_start - found.object.vaddr, load);
    /* The part that the linker makes read-only after relocation shares a page of the
       file with what is before it. */
    const void *volatile others[] = {pointers, data};
    for (size_t i = 0; i < 2; i++) {
        uintptr_t at = (uintptr_t)others[i];
        CHECK_EQ(introspection_get_mapped_object_path(0, at, &found.object, sizeof found),
                 len + 1);
        CHECK_EQ(at - found.object.vaddr, load);
    }
}

static void a_short_buffer_gets_an_empty_path(void) {
    uintptr_t at = (uintptr_t)literal;
    int needed = introspection_get_mapped_object_path(0, at, NULL, 0);
    CHECK(needed > 1);
    size_t whole = PATH_AT + (size_t)needed;
    static char good[5000];
    CHECK_EQ(introspection_get_mapped_object_path(0, at, (void *)good, sizeof good), needed);
    for (size_t bsize = 0; bsize <= whole; bsize++) {
        memset(&found, 0xa5, sizeof found);
        CHECK_EQ(introspection_get_mapped_object_path(0, at, &found.object, bsize), needed);
        size_t written = bsize == whole ? whole : bsize > 8 ? 9 : bsize == 8 ? 8 : 0;
        if (written >= 8) CHECK(memcmp(&found, good, 8) == 0);
        if (written == 9) CHECK_EQ(found.object.path[0], 0);
        if (written == whole) CHECK(memcmp(&found, good, whole) == 0);
        for (size_t i = written; i < sizeof found; i++)
            CHECK_EQ((unsigned char)found.bytes[i], 0xa5);
    }
}

static void a_bad_buffer_for_a_path_is_a_fault(void) {
    uintptr_t at = (uintptr_t)literal;
    int needed = introspection_get_mapped_object_path(0, at, NULL, 0);
    CHECK(needed > 0);
    size_t whole = PATH_AT + (size_t)needed;
    char *end = map_pages(2) + 2 * page_size();
    for (size_t good = 0; good < whole; good++)
        CHECK_EQ(introspection_get_mapped_object_path(0, at, (void *)(end - good), whole), -EFAULT);
    CHECK_EQ(introspection_get_mapped_object_path(0, at, (void *)(end - whole), whole), needed);
    CHECK_EQ(introspection_get_mapped_object_path(0, at, (void *)(end - 9), whole - 1), needed);
    CHECK_EQ(introspection_get_mapped_object_path(0, at, (void *)(end - 9), 1 << 20), -EFAULT);
    CHECK_EQ(introspection_get_mapped_object_path(0, at, NULL, 9), -EFAULT);
    CHECK_EQ(introspection_get_mapped_object_path(0, at, NULL, 7), needed);
}

static void there_is_no_object_in_anonymous_memory_or_nowhere(void) {
    char *memory = map_pages(1);
    CHECK_EQ(introspection_get_mapped_object_path(0, (uintptr_t)memory, &found.object,
                                                  sizeof found), -ENXIO);
    CHECK_EQ(introspection_get_mapped_object_path(0, (uintptr_t)memory - 1, &found.object,
                                                  sizeof found), -ENXIO);
    CHECK_EQ(introspection_get_mapped_object_path(0, 0, NULL, 0), -ENXIO);
    CHECK_EQ(introspection_get_mapped_object_path(0, ~(uintptr_t)0, NULL, 0), -ENXIO);
}

static void another_processs_memory_is_read(void) {
    char *memory = map_pages(2);
    memset(memory, 1, 2 * page_size());
    pid_t child = still_child();
    memset(memory, 2, 2 * page_size());
    char *copy = malloc(2 * page_size());
    CHECK(copy);
    uintptr_t at = (uintptr_t)memory;
    size_t whole = 2 * page_size();
    CHECK_EQ(introspection_read_process_memory(child, at, copy, whole), whole);
    for (size_t i = 0; i < whole; i++) CHECK_EQ(copy[i], 1);
    CHECK_EQ(introspection_read_process_memory(0, at + 1, copy, whole - 1), whole - 1);
    for (size_t i = 0; i < whole - 1; i++) CHECK_EQ(copy[i], 2);
    free(copy);
    end_child(child);
}

static void a_read_is_whole_or_a_fault_of_the_target(void) {
    char *memory = map_pages(2);
    memset(memory, 1, 2 * page_size());
    uintptr_t at = (uintptr_t)memory, end = at + 2 * page_size();
    static char copy[3 * 65536];
    CHECK_EQ(introspection_read_process_memory(0, end - 1, copy, 2), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(0, at - 1, copy, 2), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(0, at, copy, 2 * page_size() + 1), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(0, end, copy, 0), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(0, at, NULL, 0), 0);
    CHECK_EQ(introspection_read_process_memory(0, ~(uintptr_t)0, copy, 1), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(0, ~(~(uintptr_t)0 >> 1), copy, 1), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(0, ~(uintptr_t)0, copy, 0), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(0, at, copy, (size_t)INT_MAX + 1), -EOVERFLOW);
    CHECK_EQ(introspection_read_process_memory(0, at, NULL, 8), -EFAULT);
    CHECK_EQ(introspection_read_process_memory(0, at, (void *)(end - 8), 16), -EFAULT);
    CHECK(mprotect(memory, page_size(), PROT_READ) == 0);
    CHECK_EQ(introspection_read_process_memory(0, at + page_size(), memory, 8), -EFAULT);
    CHECK_EQ(memory[0], 1);
}

/* Firmware, which every kernel with /dev/mem permits to map, at its own offset.
 * Not touched. */
static void device_memory_has_its_address(void) {
    need_root();
    size_t page = page_size();
    int file = open("/dev/mem", O_RDONLY);
    if (file < 0) SKIP("no /dev/mem here");
    void *memory = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, file, 0xf0000);
    if (memory == MAP_FAILED) SKIP("/dev/mem cannot be mapped");
    close(file);
    for (int kind = 0; kind < 2; kind++) {
        procfs_mapinfo records[2];
        uintptr_t at = (uintptr_t)memory, last = at + 2 * page - 1;
        int size = kind == 0
                       ? introspection_get_physical_regions(0, at, last, records, sizeof records)
                       : introspection_get_pagetableinfo(0, at, last, records, sizeof records);
        CHECK_EQ(size, kind == 0 ? RECORD : 2 * RECORD);
        CHECK_EQ(records[0].paddr, 0xf0000);
        if (kind == 1) CHECK_EQ(records[1].paddr, 0xf0000 + page);
        CHECK(records[0].flags & INTROSPECTION_PHYS);
        CHECK((records[0].flags & INTROSPECTION_PG_MASK) == INTROSPECTION_PG_MASK);
        CHECK(!(records[0].flags & (INTROSPECTION_SYSRAM | INTROSPECTION_ANON)));
    }
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"the_path_of_a_file_is_found_whole", the_path_of_a_file_is_found_whole},
        {"a_path_of_any_length_is_found_whole", a_path_of_any_length_is_found_whole},
        {"a_programs_own_path_and_linked_address_are_found",
         a_programs_own_path_and_linked_address_are_found},
        {"a_short_buffer_gets_an_empty_path", a_short_buffer_gets_an_empty_path},
        {"a_bad_buffer_for_a_path_is_a_fault", a_bad_buffer_for_a_path_is_a_fault},
        {"there_is_no_object_in_anonymous_memory_or_nowhere",
         there_is_no_object_in_anonymous_memory_or_nowhere},
        {"another_processs_memory_is_read", another_processs_memory_is_read},
        {"a_read_is_whole_or_a_fault_of_the_target", a_read_is_whole_or_a_fault_of_the_target},
        {"device_memory_has_its_address", device_memory_has_its_address},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
