/* A child whose threads wait in known places, and what /proc has of threads. */
#ifndef PROC_TASKS_H
#define PROC_TASKS_H

#include "children.h"

#include <inttypes.h>
#include <sys/syscall.h>
#include <time.h>

/* Reads a file of /proc/PID/task/TID whole; an empty text if it is gone. */
static UNUSED void read_task(pid_t process, unsigned tid, const char *file, char *text,
                             size_t bytes) {
    char name[100];
    snprintf(name, sizeof name, "/proc/%d/task/%u/%s", (int)process, tid, file);
    text[0] = '\0';
    int open_file = open(name, O_RDONLY | O_CLOEXEC);
    if (open_file < 0) return;
    ssize_t got = read(open_file, text, bytes - 1);
    text[got < 0 ? 0 : got] = '\0';
    close(open_file);
}

/* Returns the letter of a thread's state. */
static UNUSED char state_of(pid_t process, unsigned tid) {
    char text[1024], *end;
    read_task(process, tid, "stat", text, sizeof text);
    end = strrchr(text, ')');
    return end == NULL ? 'X' : end[2];
}

/* Returns a thread's CPU time in nanoseconds. */
static UNUSED uint64_t cpu_time(pid_t process, unsigned tid) {
    char text[200];
    uint64_t nanoseconds = 0;
    read_task(process, tid, "schedstat", text, sizeof text);
    CHECK_EQ(sscanf(text, "%" SCNu64, &nanoseconds), 1);
    return nanoseconds;
}

/* Place of a thread that waits. */
struct waiting {
    long call;
    uint64_t ip, sp;
};

static UNUSED struct waiting waiting_at(pid_t process, unsigned tid) {
    char text[300];
    struct waiting place = {-1, 0, 0};
    read_task(process, tid, "syscall", text, sizeof text);
    if (sscanf(text, "%ld", &place.call) != 1) return place;
    /* The last two numbers. */
    char *ip = strrchr(text, ' ');
    *ip++ = '\0';
    place.ip = strtoull(ip, NULL, 16);
    place.sp = strtoull(strrchr(text, ' ') + 1, NULL, 16);
    return place;
}

#define THREADS 3

/* A child with threads that pause, sleep for hours, and run. */
struct threads {
    pid_t process;
    unsigned pauses, sleeps, runs;
    unsigned tids[THREADS]; /* in ascending order */
};

static UNUSED unsigned own_tid(void) { return (unsigned)syscall(SYS_gettid); }

static int tids_to_parent[2];

static UNUSED void report_tid(void) {
    unsigned tid = own_tid();
    CHECK_EQ(write(tids_to_parent[1], &tid, sizeof tid), sizeof tid);
}

static UNUSED void *runs_for_ever(void *none) {
    report_tid();
    for (volatile unsigned turns = 0;; turns++) {}
    return none;
}

/* Also makes the third thread, whose number is reported after its own. */
static UNUSED void *sleeps_for_hours(void *none) {
    report_tid();
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, runs_for_ever, NULL), 0);
    struct timespec hours = {100000, 0};
    for (;;) clock_nanosleep(CLOCK_MONOTONIC, 0, &hours, NULL);
    return none;
}

/* Waits until a thread waits in a call. */
static UNUSED void wait_until_waiting(pid_t process, unsigned tid) {
    while (state_of(process, tid) != 'S' || waiting_at(process, tid).call < 0) sched_yield();
}

static UNUSED struct threads child_with_threads(void) {
    CHECK_EQ(pipe(tids_to_parent), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, sleeps_for_hours, NULL), 0);
        /* On arm64, pause() is another call. */
        sigset_t none;
        sigemptyset(&none);
        for (;;) sigsuspend(&none);
    }
    struct threads threads = {child, (unsigned)child, 0, 0, {0}};
    CHECK_EQ(read(tids_to_parent[0], &threads.sleeps, sizeof(unsigned)), sizeof(unsigned));
    CHECK_EQ(read(tids_to_parent[0], &threads.runs, sizeof(unsigned)), sizeof(unsigned));
    close(tids_to_parent[0]);
    close(tids_to_parent[1]);
    wait_until_waiting(child, threads.pauses);
    wait_until_waiting(child, threads.sleeps);
    /* The numbers can have wrapped around. */
    unsigned tids[THREADS] = {threads.pauses, threads.sleeps, threads.runs};
    for (int i = 0; i < THREADS; i++) {
        int place = 0;
        for (int j = 0; j < THREADS; j++) place += tids[j] < tids[i];
        threads.tids[place] = tids[i];
    }
    return threads;
}

#endif
