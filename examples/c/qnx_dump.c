/*
 * Writes the memory, threads and registers of a process into an ELF core file, in the
 * form of QNX's dumper: what is in memory as segments, the library's records as notes
 * of the owner "QNX". Written for QNX; the package introspection-qnx compiles it on
 * Linux as it is.
 *
 *     cc qnx_dump.c -o qnx_dump $(pkg-config --cflags --libs introspection-qnx)
 *     sudo ./qnx_dump PID FILE
 *
 * Stop the process before (kill -STOP): otherwise its memory changes meanwhile. Exit
 * status: 0; 1 for an error; 2 for wrong usage.
 */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/debug.h>
#include <sys/mman.h>
#include <sys/neutrino.h>
#include <sys/procfs.h>

#include <sys/introspection.h>

/* Types of notes. */
enum { CORE_INFO = 7, CORE_STATUS = 8, CORE_GREG = 9, CORE_FPREG = 10 };

#if defined __x86_64__
#define MACHINE EM_X86_64
#elif defined __aarch64__
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE
#endif

/* Bytes that grow. */
struct bytes {
    char *start;
    size_t length, room;
};

/* Returns EOK, or an error number. */
static int append(struct bytes *bytes, const void *more, size_t length) {
    if (bytes->room - bytes->length < length) {
        size_t room = 2 * bytes->room + length;
        char *start = realloc(bytes->start, room);
        if (start == NULL) return ENOMEM;
        bytes->start = start;
        bytes->room = room;
    }
    memcpy(bytes->start + bytes->length, more, length);
    bytes->length += length;
    return EOK;
}

static int append_note(struct bytes *notes, unsigned type, const void *data, size_t length) {
    static const char zeros[4];
    Elf64_Nhdr header = {sizeof "QNX", (Elf64_Word)length, type};
    int error = append(notes, &header, sizeof header);
    if (error == EOK) error = append(notes, "QNX", sizeof "QNX");
    if (error == EOK) error = append(notes, data, length);
    return error == EOK ? append(notes, zeros, -length % 4) : error;
}

/* Appends what is known of the process and of each thread. */
static int append_threads(struct bytes *notes, pid64_t pid) {
    static procfs_info info;
    static procfs_status status;
    static procfs_greg general;
    static procfs_fpreg floating;
    int error = introspection_get_proc_info(pid, &info);
    if (error == EOK) error = append_note(notes, CORE_INFO, &info, sizeof info);
    for (unsigned tid = 1; error == EOK; tid = status.tid + 1) {
        error = introspection_get_thread_status(pid, tid, &status);
        if (error == ESRCH && tid > 1) return EOK; /* the last */
        if (error == EOK) error = append_note(notes, CORE_STATUS, &status, sizeof status);
        if (error != EOK) break;
        /* Without registers where they cannot be read: of a traced thread, say. */
        int bytes = introspection_get_generalpurpose_regs(pid, status.tid, &general);
        if (bytes > 0) error = append_note(notes, CORE_GREG, &general, (size_t)bytes);
        bytes = introspection_get_floatingpoint_regs(pid, status.tid, &floating);
        if (error == EOK && bytes > 0)
            error = append_note(notes, CORE_FPREG, &floating, (size_t)bytes);
    }
    return error;
}

/* Returns whether a range belongs in a dump. */
static int is_wanted(const procfs_mapinfo *map) {
    /* Devices are not read. */
    if ((map->flags & MAP_PHYS) && !(map->flags & MAP_ANON)) return 0;
#ifdef INTROSPECTION_SWAPPED
    /* QNX has no swap. */
    if (map->flags & INTROSPECTION_SWAPPED) return 1;
#endif
    return (map->flags & PG_HWMAPPED) != 0;
}

static Elf64_Word elf_flags(uint32_t flags) {
    return (flags & PROT_READ ? PF_R : 0u) | (flags & PROT_WRITE ? PF_W : 0u) |
           (flags & PROT_EXEC ? PF_X : 0u);
}

/* Appends a program header for each segment: consecutive ranges with one protection. */
static int append_segments(struct bytes *headers, pid64_t pid) {
    size_t bsize = 1024;
    procfs_mapinfo *maps;
    int needed;
    for (;;) {
        maps = malloc(bsize);
        if (maps == NULL) return ENOMEM;
        needed = introspection_get_physical_regions(pid, 4096, ~(uintptr_t)0, maps, bsize);
        if (needed >= 0 && (size_t)needed <= bsize) break;
        free(maps);
        if (needed < 0) return -needed;
        bsize = (size_t)needed + (size_t)needed / 4;
    }
    size_t count = (size_t)needed / sizeof *maps;
    int error = EOK;
    Elf64_Phdr segment;
    memset(&segment, 0, sizeof segment);
    for (size_t i = 0; error == EOK && i < count; i++) {
        if (!is_wanted(&maps[i])) continue;
        Elf64_Word flags = elf_flags(maps[i].flags);
        if (segment.p_memsz != 0 && segment.p_vaddr + segment.p_memsz == maps[i].vaddr &&
            segment.p_flags == flags) {
            segment.p_memsz += maps[i].size;
            continue;
        }
        if (segment.p_memsz != 0) error = append(headers, &segment, sizeof segment);
        segment.p_type = PT_LOAD;
        segment.p_flags = flags;
        segment.p_vaddr = maps[i].vaddr;
        segment.p_memsz = maps[i].size;
        segment.p_align = 4096;
    }
    if (error == EOK && segment.p_memsz != 0) error = append(headers, &segment, sizeof segment);
    free(maps);
    return error;
}

/* Writes the memory of a segment. A page that cannot be read any more is zeros. */
static int write_memory(FILE *file, pid64_t pid, const Elf64_Phdr *segment) {
    static char buffer[1 << 16];
    uint64_t done = 0;
    while (done < segment->p_memsz) {
        uint64_t rest = segment->p_memsz - done;
        size_t part = rest < sizeof buffer ? (size_t)rest : sizeof buffer;
        uintptr_t address = (uintptr_t)(segment->p_vaddr + done);
        int got = introspection_read_process_memory(pid, address, buffer, part);
        if (got == -ESRVRFAULT) {
            part = 4096;
            got = introspection_read_process_memory(pid, address, buffer, part);
            if (got == -ESRVRFAULT) {
                memset(buffer, 0, part);
                got = (int)part;
            }
        }
        if (got < 0) return -got;
        if (fwrite(buffer, part, 1, file) != 1) return errno;
        done += part;
    }
    return EOK;
}

/* Writes the file. Returns EOK, or an error number. */
static int dump(pid64_t pid, FILE *file) {
    struct bytes headers = {NULL, 0, 0}, notes = {NULL, 0, 0};
    Elf64_Phdr of_notes;
    memset(&of_notes, 0, sizeof of_notes);
    int error = append(&headers, &of_notes, sizeof of_notes);
    if (error == EOK) error = append_threads(&notes, pid);
    if (error == EOK) error = append_segments(&headers, pid);

    size_t count = headers.length / sizeof of_notes;
    if (error == EOK && count >= PN_XNUM) error = EOVERFLOW;
    if (error == EOK) {
        Elf64_Phdr *segments = (Elf64_Phdr *)(void *)headers.start;
        uint64_t offset = sizeof(Elf64_Ehdr) + headers.length;
        segments[0].p_type = PT_NOTE;
        segments[0].p_offset = offset;
        segments[0].p_filesz = notes.length;
        offset = (offset + notes.length + 4095) / 4096 * 4096;
        for (size_t i = 1; i < count; i++) {
            segments[i].p_offset = offset;
            segments[i].p_filesz = segments[i].p_memsz;
            offset += segments[i].p_filesz;
        }

        static const char zeros[4096];
        Elf64_Ehdr header;
        memset(&header, 0, sizeof header);
        memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_ident[EI_VERSION] = EV_CURRENT;
        header.e_type = ET_CORE;
        header.e_machine = MACHINE;
        header.e_version = EV_CURRENT;
        header.e_phoff = sizeof header;
        header.e_ehsize = sizeof header;
        header.e_phentsize = sizeof of_notes;
        header.e_phnum = (Elf64_Half)count;
        size_t before = sizeof header + headers.length + notes.length;
        if (fwrite(&header, sizeof header, 1, file) != 1 ||
            fwrite(headers.start, headers.length, 1, file) != 1 ||
            fwrite(notes.start, notes.length, 1, file) != 1 ||
            fwrite(zeros, 1, -before % 4096, file) != -before % 4096)
            error = errno;
        for (size_t i = 1; error == EOK && i < count; i++)
            error = write_memory(file, pid, &segments[i]);
    }
    free(headers.start);
    free(notes.start);
    return error;
}

int main(int argc, char **argv) {
    char *end = NULL;
    errno = 0;
    long number = argc == 3 ? strtol(argv[1], &end, 10) : 0;
    if (number < 1 || number > INT_MAX || errno != 0 || *end != '\0') {
        fprintf(stderr, "usage: %s PID FILE\n", argv[0]);
        return 2;
    }
    /* The unique number never comes to mean another process. */
    pid64_t pid = getpid64((pid_t)number);
    FILE *file = pid == -1 ? NULL : fopen(argv[2], "wb");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", pid == -1 ? argv[1] : argv[2],
                strerror(pid == -1 ? ESRCH : errno));
        return 1;
    }
    int error = dump(pid, file);
    if (fclose(file) != 0 && error == EOK) error = errno;
    if (error != EOK) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(error));
        remove(argv[2]);
        return 1;
    }
    return 0;
}
