/* The lines of /proc/PID/maps, read without changing the caller's own mappings. */
#ifndef PROC_MAPS_H
#define PROC_MAPS_H

#include "check.h"

#include <inttypes.h>
#include <sys/sysmacros.h>

struct map_line {
    uint64_t start, end; /* the end is the first byte behind */
    uint64_t offset, ino;
    uint32_t dev;
    char permissions[5];
    const char *path; /* empty for anonymous memory */
};

static char maps_text[1 << 20];
static struct map_line map_lines[8192];

/* Returns the number of lines of a process, whose first is map_lines[0]. The entry of
 * the x86 architecture that is not the process's memory is left out. */
static UNUSED size_t read_maps(pid_t pid) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/maps", (int)pid);
    int file = open(name, O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    size_t length = 0;
    ssize_t got;
    while ((got = read(file, maps_text + length, sizeof maps_text - 1 - length)) > 0)
        length += (size_t)got;
    CHECK_EQ(got, 0);
    CHECK(length < sizeof maps_text - 1);
    close(file);
    maps_text[length] = '\0';

    size_t count = 0;
    for (char *line = maps_text, *next; *line != '\0'; line = next) {
        char *end = strchr(line, '\n');
        CHECK(end != NULL);
        *end = '\0';
        next = end + 1;
        CHECK(count < sizeof map_lines / sizeof *map_lines);
        struct map_line *map = &map_lines[count];
        unsigned major, minor;
        int path = 0;
        CHECK_EQ(sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
                        &map->start, &map->end, map->permissions, &map->offset, &major, &minor,
                        &map->ino, &path),
                 7);
        map->dev = (uint32_t)makedev(major, minor);
        map->path = line + path;
        if (strcmp(map->path, "[vsyscall]") != 0) count++;
    }
    return count;
}

/* Returns the line that contains an address, or NULL. */
static UNUSED const struct map_line *line_of(size_t count, uint64_t address) {
    for (size_t i = 0; i < count; i++)
        if (map_lines[i].start <= address && address < map_lines[i].end) return &map_lines[i];
    return NULL;
}

/* Returns whether a line is of a file. */
static UNUSED int is_file(const struct map_line *line) { return line->path[0] == '/'; }

#endif
