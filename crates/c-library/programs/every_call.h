/* Every function that is safe in signal handlers, called in success and in error. */
#ifndef EVERY_CALL_H
#define EVERY_CALL_H

#include "check.h"

static procfs_mapinfo some_records[64];
static char some_path[5000];
static pid64_t some_pids[64];
static debug_process_t some_process;
static debug_thread_t some_thread;

/* Calls one function, in success or in error: returns whether the result was
 * correct, or -1 past the last. */
static UNUSED int call_number(int number, introspection_cursor_t *cursor) {
    static const char literal[] = "mapped from a file";
    uintptr_t here = (uintptr_t)literal;
    char byte;
    switch (number) {
    case 0: return introspection_get_virtual_regions(0, ALL, some_records, sizeof some_records) > 0;
    case 1: return introspection_get_physical_regions(0, here, here, some_records, RECORD) == RECORD;
    case 2: return introspection_get_pagetableinfo(0, here, here, some_records, RECORD) == RECORD;
    case 3: return introspection_get_mapped_object_path(0, here, (void *)some_path, sizeof some_path) > 0;
    case 4: return introspection_read_process_memory(0, here, &byte, 1) == 1;
    case 5: return introspection_getpid64(0) > 0;
    case 6: return introspection_get_virtual_regions(-1, ALL, NULL, 0) == -ESRCH;
    case 7: return introspection_get_physical_regions(0, 0, here, (void *)1, RECORD) == -EFAULT;
    case 8: return introspection_get_pagetableinfo(0, 2, 1, NULL, 0) == -EINVAL;
    case 9: return introspection_get_mapped_object_path(0, 0, NULL, 0) == -ENXIO;
    case 10: return introspection_read_process_memory(0, 0, &byte, 1) == -ESRVRFAULT;
    case 11: return introspection_getpid64(-1) == -1;
    case 12: return introspection_cursor_open(cursor, 0, ALL, 7) == -EINVAL;
    case 13: return introspection_cursor_open(cursor, 0, ALL, INTROSPECTION_PHYSICAL) == 0;
    case 14: return introspection_cursor_next(cursor, some_records, 3) == 3;
    case 15: return introspection_cursor_next(cursor, NULL, 1) == -EFAULT;
    case 16: introspection_cursor_close(cursor); return 1;
    case 17: return introspection_cursor_next(cursor, some_records, 3) == -EBADF;
    case 18: return introspection_prot(0) == 0;
    case 19: return introspection_get_physical_regions(getppid(), ALL, NULL, 0) > 0;
    case 20: return introspection_get_all_pids(some_pids, sizeof some_pids) > 0;
    case 21: return introspection_get_all_child_pids(getppid(), some_pids, sizeof some_pids) >= 8;
    case 22: return introspection_get_process_name(0, some_path, sizeof some_path) > 1;
    case 23: return introspection_get_proc_info(getppid(), &some_process) == EOK;
    case 24: return introspection_get_thread_status(0, 1, &some_thread) == EOK;
    case 25: return introspection_get_all_pids((pid64_t *)1, 8) == -EFAULT;
    case 26: return introspection_get_all_child_pids(-1, NULL, 0) == -ESRCH;
    case 27: return introspection_get_process_name(-1, NULL, 0) == -ESRCH;
    case 28: return introspection_get_proc_info(0, NULL) == EFAULT;
    case 29: return introspection_get_thread_status(0, UINT32_MAX, &some_thread) == ESRCH;
    default: return -1;
    }
}

/* Number of calls. */
#define CALLS 30

#endif
