/* The example that dumps a process, written for QNX: its file compared with /proc. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* addresses are places in /proc/PID/mem */
#define main dump_process
#include "../../../examples/c/qnx_dump.c"
#undef main

#include "proc_list.h"
#include "proc_maps.h"
#include "proc_tasks.h"

#include <stdbool.h>
#include <sys/stat.h>

static char output[1000];

/* A dump in memory. */
struct core {
    const char *start;
    size_t length;
    const Elf64_Ehdr *header;
    const Elf64_Phdr *segments;
};

/* Dumps a process into a file without a name. */
static struct core dump_of(pid_t pid) {
    int file = memfd_create("core", MFD_CLOEXEC);
    CHECK(file >= 0);
    char number[16], name[64];
    snprintf(number, sizeof number, "%d", (int)pid);
    snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)getpid(), file);
    char *argv[] = {"dump", number, name, NULL};
    CHECK_EQ(run_program(dump_process, argv, output, sizeof output), 0);
    struct stat status;
    CHECK_EQ(fstat(file, &status), 0);
    struct core core = {NULL, (size_t)status.st_size, NULL, NULL};
    void *start = mmap(NULL, core.length, PROT_READ, MAP_PRIVATE, file, 0);
    CHECK(start != MAP_FAILED);
    close(file);
    core.start = start;
    core.header = start;
    CHECK(memcmp(core.header->e_ident, ELFMAG, SELFMAG) == 0);
    CHECK_EQ(core.header->e_type, ET_CORE);
    CHECK_EQ(core.header->e_phentsize, sizeof *core.segments);
    core.segments = (const void *)(core.start + core.header->e_phoff);
    for (int i = 0; i < core.header->e_phnum; i++)
        CHECK(core.segments[i].p_offset + core.segments[i].p_filesz <= core.length);
    return core;
}

/* Returns the n-th note of a type, and its length. */
static const void *note(const struct core *core, unsigned type, int n, size_t *length) {
    CHECK_EQ(core->segments[0].p_type, PT_NOTE);
    const char *at = core->start + core->segments[0].p_offset;
    const char *end = at + core->segments[0].p_filesz;
    while (at < end) {
        Elf64_Nhdr header;
        memcpy(&header, at, sizeof header);
        CHECK(header.n_namesz == 4 && memcmp(at + sizeof header, "QNX", 4) == 0);
        if (header.n_type == type && n-- == 0) {
            *length = header.n_descsz;
            return at + sizeof header + 4;
        }
        at += sizeof header + 4 + (header.n_descsz + 3) / 4 * 4;
    }
    CHECK(at == end);
    return NULL;
}

static void stop(const struct threads *threads) {
    int status;
    CHECK_EQ(kill(threads->process, SIGSTOP), 0);
    CHECK_EQ(waitpid(threads->process, &status, WUNTRACED), threads->process);
    for (int i = 0; i < THREADS; i++)
        while (state_of(threads->process, threads->tids[i]) != 'T') sched_yield();
}

/* Returns the place of a thread that is stopped, or stops again: one whose registers were read
 * runs in the kernel for a moment. */
static struct waiting stopped_at(pid_t process, unsigned tid) {
    struct waiting place = waiting_at(process, tid);
    while (place.sp == 0) {
        sched_yield();
        place = waiting_at(process, tid);
    }
    return place;
}

static void the_notes_are_of_the_process_and_all_its_threads(void) {
    need_root();
    struct threads threads = child_with_threads();
    stop(&threads);
    struct core core = dump_of(threads.process);
    size_t length;
    procfs_info info;
    const void *found = note(&core, CORE_INFO, 0, &length);
    CHECK(found != NULL);
    CHECK_EQ(length, sizeof info);
    memcpy(&info, found, length);
    CHECK_EQ(info.pid, threads.process);
    CHECK_EQ(info.parent, getpid());
    CHECK_EQ(info.num_threads, THREADS);
    CHECK(info.flags & _NTO_PF_STOPPED);
    for (int i = 0; i < THREADS; i++) {
        procfs_status status;
        found = note(&core, CORE_STATUS, i, &length);
        CHECK(found != NULL);
        CHECK_EQ(length, sizeof status);
        memcpy(&status, found, length);
        CHECK_EQ(status.tid, threads.tids[i]);
        CHECK_EQ(status.state, STATE_STOPPED);
        struct waiting place = stopped_at(threads.process, status.tid);
        CHECK_EQ(status.sp, place.sp);
        CHECK_EQ(status.ip, place.ip);
#if defined __x86_64__ || defined __aarch64__
        static procfs_greg registers;
        found = note(&core, CORE_GREG, i, &length);
        CHECK(found != NULL);
        memcpy(&registers, found, length);
#ifdef __x86_64__
        CHECK_EQ(length, sizeof registers.x86_64);
        CHECK_EQ(registers.x86_64.rsp, place.sp);
        CHECK_EQ(registers.x86_64.rip, place.ip);
#else
        CHECK_EQ(length, sizeof registers.aarch64);
        CHECK_EQ(registers.aarch64.gpr[31], place.sp);
        CHECK_EQ(registers.aarch64.elr, place.ip);
#endif
        CHECK(note(&core, CORE_FPREG, i, &length) != NULL);
        CHECK(length >= 512);
#else
        CHECK(note(&core, CORE_GREG, i, &length) == NULL);
#endif
    }
    CHECK(note(&core, CORE_STATUS, THREADS, &length) == NULL);
    end_child(threads.process);
}

/* Returns the segment of an address, or NULL. */
static const Elf64_Phdr *segment_of(const struct core *core, uint64_t address) {
    for (int i = 1; i < core->header->e_phnum; i++)
        if (core->segments[i].p_vaddr <= address &&
            address < core->segments[i].p_vaddr + core->segments[i].p_memsz)
            return &core->segments[i];
    return NULL;
}

static void the_segments_are_what_is_in_memory(void) {
    need_root();
    enum { PAGES = 40 };
    char *memory = map_pages(PAGES);
    size_t page = page_size();
    for (size_t i = 0; i < PAGES; i += i % 5 ? 1 : 2) memset(memory + i * page, (int)i + 1, page);
    CHECK_EQ(mprotect(memory + 10 * page, page, PROT_READ), 0);
    pid_t child = still_child();
    struct core core = dump_of(child);

    char name[64];
    snprintf(name, sizeof name, "/proc/%d/pagemap", (int)child);
    int pagemap = open(name, O_RDONLY | O_CLOEXEC);
    snprintf(name, sizeof name, "/proc/%d/mem", (int)child);
    int mem = open(name, O_RDONLY | O_CLOEXEC);
    char *bytes = malloc(page);
    CHECK(pagemap >= 0 && mem >= 0 && bytes != NULL);
    size_t lines = read_maps(child), compared = 0;
    for (size_t i = 0; i < lines; i++) {
        const struct map_line *line = &map_lines[i];
        Elf64_Word flags = (line->permissions[0] == 'r' ? PF_R : 0u) |
                           (line->permissions[1] == 'w' ? PF_W : 0u) |
                           (line->permissions[2] == 'x' ? PF_X : 0u);
        for (uint64_t at = line->start; at < line->end; at += page) {
            uint64_t entry = 0;
            off_t place = (off_t)(at / page * sizeof entry);
            CHECK_EQ(pread(pagemap, &entry, sizeof entry, place), sizeof entry);
            const Elf64_Phdr *segment = segment_of(&core, at);
            /* Present or in swap. */
            CHECK_EQ(segment != NULL, entry >> 62 != 0);
            if (segment == NULL) continue;
            CHECK_EQ(segment->p_flags, flags);
            /* The kernel's own pages cannot be read. */
            if (pread(mem, bytes, page, (off_t)at) != (ssize_t)page) continue;
            CHECK(memcmp(core.start + segment->p_offset + (at - segment->p_vaddr), bytes, page) ==
                  0);
            compared++;
        }
    }
    CHECK(compared > PAGES / 2);
    /* The memory of this test, by its own bytes. */
    const Elf64_Phdr *segment = segment_of(&core, (uintptr_t)memory + 10 * page);
    CHECK(segment != NULL && segment->p_flags == PF_R);
    CHECK_EQ(core.start[segment->p_offset + ((uintptr_t)memory + 10 * page - segment->p_vaddr)],
             memory[10 * page]);
    CHECK(segment_of(&core, (uintptr_t)memory + PAGES * page) == NULL);
    end_child(child);
}

static void a_number_without_a_process_and_wrong_usage_are_told_and_no_file_is_made(void) {
    char *argv[] = {"dump", "2147483647", "no-core", NULL};
    CHECK_EQ(run_program(dump_process, argv, output, sizeof output), 1);
    argv[1] = "0";
    CHECK_EQ(run_program(dump_process, argv, output, sizeof output), 2);
    argv[1] = "1";
    argv[2] = NULL;
    CHECK_EQ(run_program(dump_process, argv, output, sizeof output), 2);
    CHECK_EQ(access("no-core", F_OK), -1);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"the_notes_are_of_the_process_and_all_its_threads",
         the_notes_are_of_the_process_and_all_its_threads},
        {"the_segments_are_what_is_in_memory", the_segments_are_what_is_in_memory},
        {"a_number_without_a_process_and_wrong_usage_are_told_and_no_file_is_made",
         a_number_without_a_process_and_wrong_usage_are_told_and_no_file_is_made},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
