/* Prints the header's numbers, one per line, for a comparison with Rust's. */
#define INTROSPECTION_QNX_NAMES
#include <sys/introspection.h>

#include <stddef.h>
#include <stdio.h>

#define SHOW(expression) printf("%s=%lld\n", #expression, (long long)(expression))
#define SHOW_FIELD(type, field)                                                \
    printf(#type "." #field "=%zu+%zu\n", offsetof(type, field),               \
           sizeof(((type *)0)->field))

int main(void) {
    SHOW(INTROSPECTION_SHARED);
    SHOW(INTROSPECTION_PRIVATE);
    SHOW(INTROSPECTION_TYPE);
    SHOW(INTROSPECTION_FIXED);
    SHOW(INTROSPECTION_ELF);
    SHOW(INTROSPECTION_LAZY);
    SHOW(INTROSPECTION_PROT_READ);
    SHOW(INTROSPECTION_PROT_WRITE);
    SHOW(INTROSPECTION_PROT_EXEC);
    SHOW(INTROSPECTION_PROT_NOCACHE);
    SHOW(INTROSPECTION_PROT_MASK);
    SHOW(INTROSPECTION_STACK);
    SHOW(INTROSPECTION_PHYS);
    SHOW(INTROSPECTION_ANON);
    SHOW(INTROSPECTION_PG_MODIFIED);
    SHOW(INTROSPECTION_PG_REFERENCED);
    SHOW(INTROSPECTION_PG_HWMAPPED);
    SHOW(INTROSPECTION_PG_MASK);
    SHOW(INTROSPECTION_SYSRAM);
    SHOW(INTROSPECTION_SWAPPED);
    SHOW(MAP_SHARED);
    SHOW(MAP_PRIVATE);
    SHOW(MAP_FIXED);
    SHOW(MAP_ELF);
    SHOW(MAP_LAZY);
    SHOW(MAP_PHYS);
    SHOW(MAP_SYSRAM);
    SHOW(PROT_NOCACHE);
    SHOW(PG_MODIFIED);
    SHOW(PG_REFERENCED);
    SHOW(PG_HWMAPPED);
    SHOW(PG_MASK);
    SHOW(ESRVRFAULT);
    SHOW(EOK);
    SHOW(INTROSPECTION_UNBACKED);
    SHOW(INTROSPECTION_VIRTUAL);
    SHOW(INTROSPECTION_PHYSICAL);
    SHOW(INTROSPECTION_PAGETABLE);
    SHOW(sizeof(pid64_t));
    SHOW((pid64_t)-1 < 0);
    SHOW(sizeof(procfs_mapinfo));
    SHOW(sizeof(procfs_debuginfo));
    SHOW(sizeof(introspection_cursor_t));
    SHOW(_Alignof(procfs_mapinfo));
    SHOW(_Alignof(procfs_debuginfo));
    SHOW(_Alignof(introspection_cursor_t));
    SHOW_FIELD(procfs_mapinfo, vaddr);
    SHOW_FIELD(procfs_mapinfo, size);
    SHOW_FIELD(procfs_mapinfo, flags);
    SHOW_FIELD(procfs_mapinfo, dev);
    SHOW_FIELD(procfs_mapinfo, offset);
    SHOW_FIELD(procfs_mapinfo, ino);
    SHOW_FIELD(procfs_mapinfo, paddr);
    SHOW_FIELD(procfs_debuginfo, vaddr);
    SHOW_FIELD(procfs_debuginfo, path);
    return 0;
}
