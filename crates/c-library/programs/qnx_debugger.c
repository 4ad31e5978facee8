/* A debugger's view of processes, written for QNX, compared with /proc. */
#define _GNU_SOURCE
#include "qnx/debugger.c"

#include "proc_list.h"
#include "proc_maps.h"
#include "proc_tasks.h"

#include <link.h>

/* Returns whether a mapping of a file begins with an ELF header: then all its mappings
 * are those of a program or shared library. */
static bool is_object(size_t lines, const struct map_line *line) {
    for (size_t i = 0; i < lines; i++) {
        const struct map_line *first = &map_lines[i];
        if (first->ino != line->ino || first->dev != line->dev || first->offset != 0) continue;
        return first->permissions[0] == 'r' &&
               memcmp((const void *)(uintptr_t)first->start, "\177ELF", 4) == 0;
    }
    return false;
}

static void objects_are_those_of_the_kernel(void) {
    /* The child's memory is a copy: addresses are the same. */
    pid_t child = still_child();
    size_t count, lines = read_maps(child), next = 0;
    struct object *objects = objects_of(child, &count);
    CHECK(objects != NULL && count > 0);
    for (size_t i = 0; i < lines; i++) {
        const struct map_line *line = &map_lines[i], *data = NULL;
        if (line->permissions[2] != 'x' || !is_file(line) || !is_object(lines, line)) continue;
        for (size_t j = i; j < lines && data == NULL; j++)
            if (map_lines[j].ino == line->ino && map_lines[j].dev == line->dev &&
                map_lines[j].permissions[1] == 'w')
                data = &map_lines[j];
        CHECK(next < count);
        struct object *object = &objects[next++];
        CHECK(strcmp(object->path, line->path) == 0);
        CHECK_EQ(object->ino, line->ino);
        CHECK_EQ(object->dev, line->dev);
        CHECK_EQ(object->text.vaddr, line->start);
        CHECK_EQ(object->text.size, line->end - line->start);
        CHECK_EQ(object->text.offset, line->offset);
        CHECK_EQ(object->data.vaddr, data == NULL ? 0 : data->start);
        CHECK_EQ(object->data.size, data == NULL ? 0 : data->end - data->start);
        if (data != NULL) CHECK_EQ(object->data.flags & MAP_TYPE, MAP_PRIVATE);
    }
    CHECK_EQ(next, count);
    free(objects);
    end_child(child);
}

/* The relocation of each object, as the dynamic linker has it. */
static int check_relocation(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    const struct object *objects = context;
    for (; objects->path[0] != '\0'; objects++)
        for (int i = 0; i < info->dlpi_phnum; i++) {
            const ElfW(Phdr) *header = &info->dlpi_phdr[i];
            uint64_t start = info->dlpi_addr + header->p_vaddr;
            if (header->p_type != PT_LOAD || objects->text.vaddr > start ||
                start >= objects->text.vaddr + objects->text.size)
                continue;
            CHECK_EQ(objects->text.vaddr - objects->text.linked, info->dlpi_addr);
            if (objects->data.size != 0)
                CHECK_EQ(objects->data.vaddr - objects->data.linked, info->dlpi_addr);
        }
    return 0;
}

static void objects_have_the_addresses_that_they_were_linked_to(void) {
    size_t count;
    struct object *objects = objects_of(0, &count);
    CHECK(objects != NULL && count > 0);
    dl_iterate_phdr(check_relocation, objects);
    free(objects);
}

static void all_processes_are_those_of_proc(void) {
    static unsigned char before[PIDS], after[PIDS];
    pid_t child = still_child();
    size_t count;
    mark_processes(before);
    struct process *processes = all_processes(&count);
    mark_processes(after);
    CHECK(processes != NULL);
    pid_t last = 0;
    for (size_t i = 0; i < count; i++) {
        pid_t pid = (pid_t)processes[i].pid;
        CHECK(pid > last);
        /* Those between were not there all the time. */
        for (pid_t other = last + 1; other < pid; other++) CHECK(!before[other] || !after[other]);
        CHECK_EQ(processes[i].info.pid, pid);
        pid64_t unique = getpid64(pid);
        CHECK(unique == -1 || unique == processes[i].pid || !before[pid] || !after[pid]);
        last = pid;
    }
    for (size_t other = (size_t)last + 1; other < PIDS; other++)
        CHECK(!before[other] || !after[other]);

    /* The child has the program and the parent of this one. */
    const struct process *own = NULL, *childs = NULL;
    for (size_t i = 0; i < count; i++) {
        if ((pid_t)processes[i].pid == getpid()) own = &processes[i];
        if ((pid_t)processes[i].pid == child) childs = &processes[i];
    }
    CHECK(own != NULL && childs != NULL);
    CHECK_EQ(childs->info.parent, getpid());
    CHECK_EQ(own->info.parent, getppid());
    CHECK_EQ(own->info.num_threads, 1);
    CHECK(strcmp(own->name, childs->name) == 0);
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    CHECK(length > 0);
    program[length] = '\0';
    CHECK(strcmp(own->name, program + 1) == 0);
    CHECK(childs->info.flags & _NTO_PF_STOPPED);
    CHECK(!(own->info.flags & (_NTO_PF_STOPPED | _NTO_PF_ZOMBIE)));
    free(processes);
    end_child(child);
}

static void a_zombie_is_listed_as_one(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) _exit(0);
    siginfo_t end;
    CHECK_EQ(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT), 0);
    size_t count;
    struct process *processes = all_processes(&count);
    CHECK(processes != NULL);
    bool is_found = false;
    for (size_t i = 0; i < count; i++)
        if ((pid_t)processes[i].pid == child) {
            is_found = true;
            CHECK(processes[i].info.flags & _NTO_PF_ZOMBIE);
            CHECK_EQ(processes[i].info.parent, getpid());
        }
    CHECK(is_found);
    free(processes);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

static void threads_are_those_of_proc_in_their_states(void) {
    struct threads expected = child_with_threads();
    unsigned count;
    procfs_status *threads = threads_of(expected.process, &count);
    CHECK(threads != NULL);
    CHECK_EQ(count, THREADS);
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQ(threads[i].pid, expected.process);
        CHECK_EQ(threads[i].tid, expected.tids[i]);
        /* Nobody traces them. */
        CHECK_EQ(threads[i].flags, 0);
        bool pauses = threads[i].tid == expected.pauses, sleeps = threads[i].tid == expected.sleeps;
        CHECK_EQ(threads[i].state,
                 pauses ? STATE_SIGSUSPEND : sleeps ? STATE_NANOSLEEP : STATE_RUNNING);
        if (pauses || sleeps)
            CHECK_EQ(threads[i].syscall, waiting_at(expected.process, threads[i].tid).call);
    }
    free(threads);

    CHECK_EQ(kill(expected.process, SIGSTOP), 0);
    int status;
    CHECK_EQ(waitpid(expected.process, &status, WUNTRACED), expected.process);
    for (int i = 0; i < THREADS; i++)
        while (state_of(expected.process, expected.tids[i]) != 'T') sched_yield();
    threads = threads_of(expected.process, &count);
    CHECK(threads != NULL);
    CHECK_EQ(count, THREADS);
    for (unsigned i = 0; i < count; i++) {
        CHECK_EQ(threads[i].state, STATE_STOPPED);
        CHECK_EQ(threads[i].why, _DEBUG_WHY_JOBCONTROL);
    }
    free(threads);
    end_child(expected.process);
}

static void registers_are_those_of_the_call_that_a_thread_waits_in(void) {
#if defined __x86_64__ || defined __aarch64__
    struct threads threads = child_with_threads();
    unsigned waiting[] = {threads.pauses, threads.sleeps};
    for (int i = 0; i < 2; i++) {
        struct waiting place = waiting_at(threads.process, waiting[i]);
        uint64_t ip, sp;
        CHECK_EQ(place_of(threads.process, waiting[i], &ip, &sp), EOK);
        CHECK_EQ(sp, place.sp);
        /* The thread that waits can be about to begin its call again. */
        CHECK(ip <= place.ip && place.ip - ip <= 4);
        char bytes[8];
        CHECK_EQ(read_memory(threads.process, sp, bytes, sizeof bytes), sizeof bytes);
        wait_until_waiting(threads.process, waiting[i]);
    }
    /* The program's memory that the running thread executes. */
    uint64_t ip, sp;
    CHECK_EQ(place_of(threads.process, threads.runs, &ip, &sp), EOK);
    const struct map_line *line = line_of(read_maps(threads.process), ip);
    CHECK(line != NULL && line->permissions[2] == 'x');
    line = line_of(read_maps(threads.process), sp);
    CHECK(line != NULL && line->permissions[1] == 'w');
    end_child(threads.process);
#else
    uint64_t ip, sp;
    pid_t child = still_child();
    CHECK_EQ(place_of(child, (unsigned)child, &ip, &sp), ENOTSUP);
    end_child(child);
#endif
}

static void memory_is_read_up_to_the_first_hole(void) {
    char *memory = map_pages(3);
    size_t page = page_size(), all = 3 * page;
    for (size_t i = 0; i < all; i++) memory[i] = (char)(i * 31);
    char *copy = malloc(all + page);
    CHECK(copy != NULL);
    pid_t child = still_child();
    CHECK_EQ(read_memory(child, (uintptr_t)memory + 5, copy, all), all - 5);
    CHECK(memcmp(copy, memory + 5, all - 5) == 0);
    CHECK_EQ(read_memory(child, (uintptr_t)memory + all, copy, 1), 0);
    free(copy);
    end_child(child);
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"objects_are_those_of_the_kernel", objects_are_those_of_the_kernel},
        {"objects_have_the_addresses_that_they_were_linked_to",
         objects_have_the_addresses_that_they_were_linked_to},
        {"all_processes_are_those_of_proc", all_processes_are_those_of_proc},
        {"a_zombie_is_listed_as_one", a_zombie_is_listed_as_one},
        {"threads_are_those_of_proc_in_their_states", threads_are_those_of_proc_in_their_states},
        {"registers_are_those_of_the_call_that_a_thread_waits_in",
         registers_are_those_of_the_call_that_a_thread_waits_in},
        {"memory_is_read_up_to_the_first_hole", memory_is_read_up_to_the_first_hole},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
