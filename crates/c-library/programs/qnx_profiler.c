/* A profiler's view of a process, written for QNX, compared with /proc. */
#define _GNU_SOURCE
#include "qnx/profiler.c"

#include "children.h"
#include "proc_maps.h"
#include "proc_tasks.h"

/* Returns whether a file is a program or a shared library. */
static bool is_elf(const char *path) {
    char magic[4] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool is = file >= 0 && read(file, magic, 4) == 4 && memcmp(magic, "\177ELF", 4) == 0;
    close(file);
    return is;
}

static void check_code(pid_t pid) {
    int count;
    struct library *code = code_of(pid, &count);
    CHECK(code != NULL && count > 0);
    size_t lines = read_maps(pid);
    int next = 0;
    for (size_t i = 0; i < lines; i++) {
        const struct map_line *line = &map_lines[i];
        if (line->permissions[2] != 'x' || !is_file(line) || !is_elf(line->path)) continue;
        CHECK(next < count);
        CHECK_EQ(code[next].start, line->start);
        CHECK_EQ(code[next].end, line->end);
        if (strcmp(code[next].path, line->path) != 0)
            FAIL("%s, not %s", code[next].path, line->path);
        next++;
    }
    CHECK_EQ(next, count);
    free(code);
}

static void the_code_is_that_of_the_kernel(void) {
    check_code(getpid());
    pid_t child = still_child();
    check_code(child);
    end_child(child);
}

static void private_memory_is_that_of_the_kernel(void) {
    pid_t child = still_child();
    uint64_t bytes = 0;
    size_t lines = read_maps(child);
    for (size_t i = 0; i < lines; i++)
        if (map_lines[i].permissions[1] == 'w' && map_lines[i].permissions[3] == 'p')
            bytes += map_lines[i].end - map_lines[i].start;
    CHECK(bytes > 0);
    CHECK_EQ(private_bytes(child), bytes);
    end_child(child);
}

/* Returns the bytes of pages whose page-table entry is present. */
static uint64_t present_bytes(pid_t pid) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/pagemap", (int)pid);
    int file = open(name, O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    uint64_t bytes = 0, page = page_size();
    size_t lines = read_maps(pid);
    for (size_t i = 0; i < lines; i++)
        for (uint64_t at = map_lines[i].start; at < map_lines[i].end; at += page) {
            uint64_t entry = 0;
            CHECK_EQ(pread(file, &entry, sizeof entry, (off_t)(at / page * sizeof entry)),
                     sizeof entry);
            if (entry >> 63) bytes += page;
        }
    close(file);
    return bytes;
}

static void resident_memory_is_that_of_the_page_map(void) {
    need_root();
    char *memory = map_pages(64);
    for (size_t i = 0; i < 64; i += 3) memory[i * page_size()] = 1;
    pid_t child = still_child();
    uint64_t bytes = present_bytes(child);
    CHECK(bytes > 22 * page_size());
    CHECK_EQ(resident_bytes(child), bytes);
    end_child(child);
}

static void pages_in_memory_are_those_of_mincore(void) {
    need_root();
    enum { PAGES = 32 };
    char *memory = map_pages(PAGES);
    volatile char read_from = 0;
    for (size_t i = 0; i < PAGES; i++) {
        if (i % 3 == 0) memory[i * page_size()] = 1;
        if (i % 3 == 1) read_from = memory[i * page_size()];
    }
    (void)read_from;
    CHECK_EQ(mprotect(memory, page_size(), PROT_NONE), 0);
    unsigned char ours[PAGES + 1], kernels[PAGES];
    CHECK_EQ(in_core(memory, PAGES, page_size(), ours), EOK);
    CHECK_EQ(mincore(memory, PAGES * page_size(), kernels), 0);
    for (size_t i = 0; i < PAGES; i++) CHECK_EQ(ours[i], kernels[i] & 1);
    /* The next page is not mapped. */
    CHECK_EQ(in_core(memory, PAGES + 1, page_size(), ours), ENOMEM);
    CHECK_EQ(mincore(memory, (PAGES + 1) * page_size(), ours), -1);
    CHECK_EQ(errno, ENOMEM);
}

static void samples_are_of_all_threads_where_they_wait(void) {
    struct threads threads = child_with_threads();
    struct sample samples[8];
    int count = sample_threads(threads.process, samples, 8);
    CHECK_EQ(count, THREADS);
    for (int i = 0; i < count; i++) {
        CHECK_EQ(samples[i].tid, threads.tids[i]);
        bool runs = samples[i].tid == threads.runs;
        int state = samples[i].tid == threads.pauses   ? STATE_SIGSUSPEND
                    : samples[i].tid == threads.sleeps ? STATE_NANOSLEEP
                                                       : STATE_RUNNING;
        CHECK_EQ(samples[i].state, state);
        if (runs) continue;
        struct waiting place = waiting_at(threads.process, samples[i].tid);
        CHECK_EQ(samples[i].ip, place.ip);
        CHECK_EQ(samples[i].sp, place.sp);
        const struct map_line *line = line_of(read_maps(threads.process), place.sp);
        CHECK(line != NULL);
        CHECK_EQ(samples[i].stack, line->start);
        CHECK_EQ(samples[i].stack_bytes, line->end - line->start);
    }
    end_child(threads.process);
}

static void cpu_time_is_that_of_the_kernel(void) {
    struct threads threads = child_with_threads();
    struct sample samples[8];
    for (int i = 0; i < 3; i++) {
        uint64_t before = cpu_time(threads.process, threads.runs);
        CHECK_EQ(sample_threads(threads.process, samples, 8), THREADS);
        uint64_t after = cpu_time(threads.process, threads.runs);
        for (int j = 0; j < THREADS; j++)
            if (samples[j].tid == threads.runs)
                CHECK(before <= samples[j].cpu_time && samples[j].cpu_time <= after);
    }
    end_child(threads.process);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"the_code_is_that_of_the_kernel", the_code_is_that_of_the_kernel},
        {"private_memory_is_that_of_the_kernel", private_memory_is_that_of_the_kernel},
        {"resident_memory_is_that_of_the_page_map", resident_memory_is_that_of_the_page_map},
        {"pages_in_memory_are_those_of_mincore", pages_in_memory_are_those_of_mincore},
        {"samples_are_of_all_threads_where_they_wait", samples_are_of_all_threads_where_they_wait},
        {"cpu_time_is_that_of_the_kernel", cpu_time_is_that_of_the_kernel},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
