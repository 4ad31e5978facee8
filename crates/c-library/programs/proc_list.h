/* The processes that /proc lists, and the output of a program that is run here. */
#ifndef PROC_LIST_H
#define PROC_LIST_H

#include "children.h"

#include <dirent.h>

/* More than any number of a process. */
#define PIDS (1 << 22)

/* Marks the numeric names of /proc. */
static UNUSED void mark_processes(unsigned char marks[PIDS]) {
    memset(marks, 0, PIDS);
    DIR *directory = opendir("/proc");
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t number = strtoul(entry->d_name, NULL, 10);
        CHECK(number < PIDS);
        if (number > 0) marks[number] = 1;
    }
    closedir(directory);
}

/* Runs the main function of a program in a child, and returns its status. Stores what
 * it wrote to standard output in `text`. */
static UNUSED int run_program(int (*run)(int, char **), char **argv, char *text, size_t bytes) {
    int count = 0, output = memfd_create("output", MFD_CLOEXEC);
    CHECK(output >= 0);
    while (argv[count] != NULL) count++;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        int none = open("/dev/null", O_WRONLY);
        CHECK(dup2(output, 1) == 1 && (none < 0 || dup2(none, 2) == 2));
        int status = run(count, argv);
        fflush(stdout);
        _exit(status);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    ssize_t got = pread(output, text, bytes - 1, 0);
    CHECK(got >= 0 && (size_t)got < bytes - 1);
    text[got] = '\0';
    close(output);
    return WEXITSTATUS(status);
}

#endif
