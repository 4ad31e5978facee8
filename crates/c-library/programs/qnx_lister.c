/* The example that lists processes, written for QNX, compared with /proc. */
#define _GNU_SOURCE
#define main list_processes
#include "../../../examples/c/qnx_processes.c"
#undef main

#include "proc_list.h"

#include <stdbool.h>

static char output[1 << 20];

/* One line of the list. */
struct line {
    int pid, parent;
    char letters[4];
    unsigned threads, user;
    const char *name; /* with the spaces before it */
};

/* Takes the next line from a text; returns false at its end. */
static bool take_line(char **text, struct line *line) {
    if (**text == '\0') return false;
    char *start = *text, *end = strchr(start, '\n');
    CHECK(end != NULL);
    *end = '\0';
    *text = end + 1;
    int letters = 0, numbers = 0, name = 0;
    CHECK_EQ(sscanf(start, "%d %d %n", &line->pid, &line->parent, &letters), 2);
    size_t length = strspn(start + letters, "ZTs");
    CHECK(length < sizeof line->letters);
    memcpy(line->letters, start + letters, length);
    line->letters[length] = '\0';
    numbers = letters + (int)length;
    CHECK_EQ(sscanf(start + numbers, "%u %u%n", &line->threads, &line->user, &name), 2);
    CHECK(start[numbers + name] == ' ');
    line->name = start + numbers + name + 1;
    return true;
}

static char *list(const char *pid) {
    char *argv[] = {"list", (char *)(uintptr_t)pid, NULL};
    CHECK_EQ(run_program(list_processes, argv, output, sizeof output), 0);
    char *end = strchr(output, '\n');
    CHECK(end != NULL && strncmp(output, "       PID     PARENT", 21) == 0);
    return end + 1;
}

/* Returns a number of /proc/PID/status, or -1 if the process has ended. */
static long number_of(int pid, const char *field) {
    char name[64], text[8192], label[32];
    snprintf(name, sizeof name, "/proc/%d/status", pid);
    snprintf(label, sizeof label, "\n%s:", field);
    int file = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
    close(file);
    if (got <= 0) return -1;
    text[got] = '\0';
    const char *found = strstr(text, label);
    return found == NULL ? -1 : strtol(found + strlen(label), NULL, 10);
}

static void a_name_with_any_bytes_is_one_line(void) {
    /* A copy of this program, executed under another name. */
    char name[64] = "name\nwith a\tline", path[PATH_MAX], bytes[4096];
    snprintf(name + strlen(name), 20, " %d", (int)getpid());
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    if (to < 0) SKIP("needs a directory that can be written");
    ssize_t got;
    while ((got = read(from, bytes, sizeof bytes)) > 0) CHECK_EQ(write(to, bytes, (size_t)got), got);
    close(from);
    close(to);
    CHECK(realpath(name, path) != NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        char *argv[] = {path, "waits", NULL};
        execv(path, argv);
        _exit(1);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(unlink(name), 0);
    char number[16];
    snprintf(number, sizeof number, "%d", (int)child);
    char *text = list(number);
    struct line line;
    CHECK(take_line(&text, &line));
    CHECK_EQ(line.pid, child);
    const char *shown = strrchr(line.name, '/');
    CHECK(shown != NULL && strncmp(shown, "/name?with a?line ", 18) == 0);
    CHECK(!take_line(&text, &line));
    end_child(child);
}

static void every_process_is_listed_as_proc_has_it(void) {
    static unsigned char before[PIDS], after[PIDS], listed[PIDS];
    mark_processes(before);
    char *text = list(NULL);
    mark_processes(after);
    struct line line;
    int last = 0, compared = 0;
    while (take_line(&text, &line)) {
        CHECK(line.pid > last);
        last = line.pid;
        listed[line.pid] = 1;
        char name[64], program[PATH_MAX];
        snprintf(name, sizeof name, "/proc/%d/exe", line.pid);
        ssize_t length = readlink(name, program, sizeof program - 1);
        long parent = number_of(line.pid, "PPid"), uid = number_of(line.pid, "Uid");
        /* Its parent can have ended meanwhile, as it itself, or executed another. */
        if (parent != line.parent || uid < 0 || length <= 0) continue;
        program[length] = '\0';
        compared += strcmp(line.name, program + 1) == 0;
    }
    for (int pid = 1; pid < PIDS; pid++)
        if (before[pid] && after[pid] && !listed[pid]) FAIL("%d is missing", pid);
    CHECK(compared >= 2);
}

/* Makes a child with a child, and waits until both are stopped. */
static pid_t make_family(pid_t *grandchild) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        pid_t made = still_child();
        CHECK_EQ(write(ends[1], &made, sizeof made), sizeof made);
        raise(SIGSTOP);
        _exit(1);
    }
    CHECK_EQ(read(ends[0], grandchild, sizeof *grandchild), sizeof *grandchild);
    int status;
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
    CHECK(WIFSTOPPED(status));
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void a_family_is_listed_as_a_tree(void) {
    pid_t grandchild, child = make_family(&grandchild);
    char number[16], program[PATH_MAX + 2] = "";
    ssize_t length = readlink("/proc/self/exe", program, PATH_MAX);
    CHECK(length > 0);
    program[length] = '\0';
    snprintf(number, sizeof number, "%d", (int)child);
    char *text = list(number);
    struct line line;
    CHECK(take_line(&text, &line));
    CHECK_EQ(line.pid, child);
    CHECK_EQ(line.parent, getpid());
    CHECK_EQ(line.threads, 1);
    CHECK_EQ(line.user, geteuid());
    CHECK(strcmp(line.letters, "T") == 0);
    CHECK(strcmp(line.name, program + 1) == 0);
    CHECK(take_line(&text, &line));
    CHECK_EQ(line.pid, grandchild);
    CHECK_EQ(line.parent, child);
    CHECK(strcmp(line.letters, "T") == 0);
    /* Two spaces more. */
    CHECK(strncmp(line.name, "  ", 2) == 0 && strcmp(line.name + 2, program + 1) == 0);
    CHECK(!take_line(&text, &line));
    end_child(child);
}

static void a_number_without_a_process_and_wrong_usage_are_told(void) {
    char *argv[] = {"list", "2147483647", NULL, NULL};
    CHECK_EQ(run_program(list_processes, argv, output, sizeof output), 1);
    argv[1] = "self";
    CHECK_EQ(run_program(list_processes, argv, output, sizeof output), 2);
    argv[1] = "1";
    argv[2] = "2";
    CHECK_EQ(run_program(list_processes, argv, output, sizeof output), 2);
    CHECK(output[0] == '\0');
}

int main(int argc, char **argv) {
    /* The other program of a case. */
    if (argc > 1 && strcmp(argv[1], "waits") == 0) {
        raise(SIGSTOP);
        return 1;
    }
    static const struct test_case cases[] = {
        {"every_process_is_listed_as_proc_has_it", every_process_is_listed_as_proc_has_it},
        {"a_family_is_listed_as_a_tree", a_family_is_listed_as_a_tree},
        {"a_name_with_any_bytes_is_one_line", a_name_with_any_bytes_is_one_line},
        {"a_number_without_a_process_and_wrong_usage_are_told",
         a_number_without_a_process_and_wrong_usage_are_told},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
