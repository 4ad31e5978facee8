/* Children of a test program, which never outlive it. */
#ifndef CHILDREN_H
#define CHILDREN_H

#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Makes a child that is stopped, so that its memory does not change: a child that
 * waits in a loop still runs when it reports that it is ready. */
static UNUSED pid_t still_child(void) {
    pid_t parent = getpid(), child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        if (getppid() == parent) raise(SIGSTOP);
        _exit(1);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
    CHECK(WIFSTOPPED(status));
    return child;
}

/* Waits until the first thread of a process has ended, while another runs. */
static UNUSED void wait_for_end_of_first_thread(pid_t process) {
    char name[64], text[512] = "", *end = NULL;
    snprintf(name, sizeof name, "/proc/%d/stat", (int)process);
    while (!end || end[2] != 'Z') {
        int stat = open(name, O_RDONLY | O_CLOEXEC);
        CHECK(read(stat, text, sizeof text - 1) > 0);
        close(stat);
        end = strrchr(text, ')');
    }
}

static UNUSED void *waits_for_ever(void *none) {
    for (;;) pause();
    return none;
}

/* Makes a child whose first thread has ended while another runs. */
static UNUSED pid_t child_without_first_thread(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, waits_for_ever, NULL), 0);
        pthread_exit(NULL);
    }
    wait_for_end_of_first_thread(child);
    return child;
}

static UNUSED void end_child(pid_t child) {
    CHECK(kill(child, SIGKILL) == 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
}

/* Runs a case in a child, and returns whether it holds. */
static UNUSED void in_child(void (*run)(void)) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        run();
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

#endif
