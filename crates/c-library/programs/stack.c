/* The stack of a call: the stack of a thread is painted, and examined after the
 * call. */
#define _GNU_SOURCE
#include "check.h"

#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stddef.h>

#include "without_ioctls.h"

#define STACK (256 << 10)
#define PAINT 0x5aa5c33cf00f9669u
#define LIMIT 6144

static introspection_cursor_t cursor;
static procfs_mapinfo records[4096];
static char path[5000];

static void virtual_regions(void) {
    CHECK(introspection_get_virtual_regions(0, ALL, records, sizeof records) > 0);
}
static void physical_regions(void) {
    CHECK(introspection_get_physical_regions(0, ALL, records, sizeof records) > 0);
}
static void physical_regions_of_another(void) {
    CHECK(introspection_get_physical_regions(getppid(), ALL, records, sizeof records) > 0);
}
static void pagetableinfo(void) {
    int result = introspection_get_pagetableinfo(0, ALL, records, sizeof records);
    CHECK(result > 0 || result == -EOVERFLOW);
}
static void mapped_object_path(void) {
    CHECK(introspection_get_mapped_object_path(0, (uintptr_t)"a literal", (void *)path,
                                               sizeof path) > 0);
}
static void read_process_memory(void) {
    CHECK_EQ(introspection_read_process_memory(getppid(), 0, path, 8), -ESRVRFAULT);
    CHECK_EQ(introspection_read_process_memory(0, (uintptr_t)records, path, 8), 8);
}
static void unique_pid(void) { CHECK(introspection_getpid64(getppid()) > 0); }
static void walk(int kind) {
    CHECK_EQ(introspection_cursor_open(&cursor, 0, ALL, kind), 0);
    for (int i = 0; i < 1000; i++)
        if (introspection_cursor_next(&cursor, records, 16) <= 0) break;
    introspection_cursor_close(&cursor);
}
static void virtual_cursor(void) { walk(INTROSPECTION_VIRTUAL); }
static void physical_cursor(void) { walk(INTROSPECTION_PHYSICAL); }
static void pagetable_cursor(void) { walk(INTROSPECTION_PAGETABLE); }

static pid64_t pids[64];
static void all_pids(void) { CHECK(introspection_get_all_pids(pids, sizeof pids) > 0); }
static void all_child_pids(void) {
    CHECK(introspection_get_all_child_pids(getppid(), pids, sizeof pids) >= 8);
}
static void process_name(void) { CHECK(introspection_get_process_name(0, path, sizeof path) > 0); }
static void proc_info(void) {
    static debug_process_t info;
    CHECK_EQ(introspection_get_proc_info(0, &info), EOK);
}
static void thread_status(void) {
    static debug_thread_t status;
    CHECK_EQ(introspection_get_thread_status(getppid(), 1, &status), EOK);
}
static void registers(void) {
    static debug_greg_t set;
    int result = introspection_get_generalpurpose_regs(0, (unsigned)getpid(), &set);
    CHECK(result > 0 || result == -ENOTSUP);
}

static char *stack;

static __attribute__((noinline)) uintptr_t stack_pointer(void) {
    return (uintptr_t)__builtin_frame_address(0);
}

static void *painted(void *run) {
    /* The frame of stack_pointer() is free again, and no frame of this function lies
     * below it. */
    volatile uint64_t *lowest = (volatile uint64_t *)(void *)stack;
    volatile uint64_t *top = (volatile uint64_t *)stack_pointer();
    for (volatile uint64_t *word = lowest; word < top; word++) *word = PAINT;
    void (*call)(void);
    memcpy(&call, &run, sizeof call);
    call();
    while (*lowest == PAINT) lowest++;
    return (void *)(stack_pointer() - (uintptr_t)lowest);
}

static ptrdiff_t used_by(void (*call)(void)) {
    call(); /* Completes lazy work of the dynamic linker. */
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    pthread_attr_t attributes;
    pthread_t thread;
    void *argument, *used;
    memcpy(&argument, &call, sizeof argument);
    CHECK_EQ(pthread_attr_init(&attributes), 0);
    CHECK_EQ(pthread_attr_setstack(&attributes, stack, STACK), 0);
    CHECK_EQ(pthread_create(&thread, &attributes, painted, argument), 0);
    CHECK_EQ(pthread_join(thread, &used), 0);
    munmap(stack, STACK);
    return (ptrdiff_t)used;
}

static void nothing(void) {}

/* Mappings of devices, whose addresses require sysfs: a UIO device and QEMU's
 * ivshmem, as far as they exist; nothing depends on them. Not touched. */
static void map_devices(void) {
    static const char *const patterns[] = {"/dev/mem", "/dev/uio0", "/sys/bus/pci/devices/*/resource2"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        glob_t found = {0};
        if (glob(patterns[i], 0, NULL, &found) != 0) continue;
        for (size_t j = 0; j < found.gl_pathc; j++) {
            char ids[32] = "", name[200];
            if (patterns[i][1] == 's') {
                snprintf(name, sizeof name, "%.*s/vendor",
                         (int)(strrchr(found.gl_pathv[j], '/') - found.gl_pathv[j]), found.gl_pathv[j]);
                int vendor = open(name, O_RDONLY);
                CHECK(read(vendor, ids, sizeof ids - 1) > 0);
                close(vendor);
                if (strcmp(ids, "0x1af4\n") != 0) continue;
            }
            int file = open(found.gl_pathv[j], O_RDONLY);
            off_t offset = patterns[i][5] == 'm' ? 0xf0000 : 0;
            if (file >= 0 && mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, offset) != MAP_FAILED)
                fprintf(stderr, "mapped: %s\n", found.gl_pathv[j]);
            close(file);
        }
        globfree(&found);
    }
}

static void every_call_stays_within_six_kib_of_stack(void) {
    need_root();
    map_devices();
    static const struct test_case calls[] = {
        {"virtual_regions", virtual_regions},
        {"physical_regions", physical_regions},
        {"physical_regions_of_another", physical_regions_of_another},
        {"pagetableinfo", pagetableinfo},
        {"mapped_object_path", mapped_object_path},
        {"read_process_memory", read_process_memory},
        {"unique_pid", unique_pid},
        {"virtual_cursor", virtual_cursor},
        {"physical_cursor", physical_cursor},
        {"pagetable_cursor", pagetable_cursor},
        {"all_pids", all_pids},
        {"all_child_pids", all_child_pids},
        {"process_name", process_name},
        {"proc_info", proc_info},
        {"thread_status", thread_status},
        {"registers", registers},
        {NULL, NULL},
    };
    ptrdiff_t own = used_by(nothing);
    int too_much = 0;
    for (const struct test_case *call = calls; call->name; call++) {
        ptrdiff_t used = used_by(call->run) - own;
        /* A walk without any stack was not measured. */
        CHECK(used > 64);
        fprintf(stderr, "%s: %td bytes of stack\n", call->name, used);
        too_much |= used > LIMIT;
    }
    CHECK(!too_much);
}

static void it_does_so_on_a_kernel_without_the_newer_calls(void) {
    forbid_ioctls();
    every_call_stays_within_six_kib_of_stack();
}

int main(int argc, char **argv) {
    static const struct test_case cases[] = {
        {"every_call_stays_within_six_kib_of_stack", every_call_stays_within_six_kib_of_stack},
        {"it_does_so_on_a_kernel_without_the_newer_calls",
         it_does_so_on_a_kernel_without_the_newer_calls},
        {NULL, NULL},
    };
    return run_case(cases, argc, argv);
}
