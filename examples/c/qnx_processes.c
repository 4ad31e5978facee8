/*
 * Lists all processes, or one and its descendants as a tree. Written for QNX; the
 * package introspection-qnx compiles it on Linux as it is.
 *
 *     cc qnx_processes.c -o qnx_processes $(pkg-config --cflags --libs introspection-qnx)
 *     ./qnx_processes [PID]
 *
 * Exit status: 0; 1 for an error; 2 for wrong usage.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/neutrino.h>
#include <sys/procfs.h>

#include <sys/introspection.h>

/* Returns the letters of what is special about a process: it has ended, it is stopped,
 * it leads a session. */
static const char *letters(const procfs_info *info, char text[4]) {
    char *end = text;
    if (info->flags & _NTO_PF_ZOMBIE) *end++ = 'Z';
    if (info->flags & (_NTO_PF_STOPPED | _NTO_PF_DEBUG_STOPPED)) *end++ = 'T';
    if (info->flags & _NTO_PF_SLEADER) *end++ = 's';
    *end = '\0';
    return text;
}

/* Prints one line, its name after `depth` steps. Returns EOK, or an error number. */
static int print(pid64_t pid, int depth) {
    procfs_info info;
    int error = introspection_get_proc_info(pid, &info);
    if (error != EOK) return error;

    /* The path of the program; other processes' can need a privilege. */
    char name[PATH_MAX] = "?";
    int length = introspection_get_process_name(pid, name, sizeof name);
    if (length == -ESRCH) return ESRCH;
    if (length < 0 || (size_t)length >= sizeof name) strcpy(name, "?");

    /* A name can have any bytes: a line stays a line. */
    for (char *byte = name; *byte != '\0'; byte++)
        if ((unsigned char)*byte < ' ' || *byte == 127) *byte = '?';

    char text[4];
    printf("%10d %10d %-3s %7u %5u %s%*s%s\n", (int)info.pid, (int)info.parent,
           letters(&info, text), (unsigned)info.num_threads, (unsigned)info.euid, "", 2 * depth, "",
           name);
    return EOK;
}

/* Prints a process and its descendants. Returns EOK, or an error number. */
static int print_tree(pid64_t pid, int depth) {
    int error = print(pid, depth);
    pid64_t *children = NULL;
    size_t count = 0;
    if (error == EOK)
        error = introspection_allocate_and_get_all_child_pids(pid, &children, &count);
    /* One that has ended meanwhile is left out. */
    for (size_t i = 0; error == EOK && i < count; i++) {
        error = print_tree(children[i], depth + 1);
        if (error == ESRCH) error = EOK;
    }
    free(children);
    return error;
}

/* Prints all processes. Returns EOK, or an error number. */
static int print_all(void) {
    pid64_t *pids;
    size_t count;
    int error = introspection_allocate_and_get_all_pids(&pids, &count);
    if (error != EOK) return error;
    for (size_t i = 0; error == EOK && i < count; i++) {
        error = print(pids[i], 0);
        if (error == ESRCH) error = EOK;
    }
    free(pids);
    return error;
}

int main(int argc, char **argv) {
    long number = 0;
    if (argc > 1) {
        char *end;
        errno = 0;
        number = strtol(argv[1], &end, 10);
        if (argc > 2 || errno != 0 || end == argv[1] || *end != '\0' || number < 1 ||
            number > INT_MAX) {
            fprintf(stderr, "usage: %s [PID]\n", argv[0]);
            return 2;
        }
    }
    printf("%10s %10s %-3s %7s %5s %s\n", "PID", "PARENT", "", "THREADS", "USER", "NAME");
    int error = argc > 1 ? print_tree((pid64_t)number, 0) : print_all();
    if (error != EOK) {
        fprintf(stderr, "%s: %s\n", argv[0], strerror(error));
        return 1;
    }
    return 0;
}
