/*
 * <sys/introspection.h> for sources written for QNX (pkg-config:
 * introspection-qnx): with all of QNX's names, and <sys/mman.h>, whose PROT_*, MAP_*
 * and PG_* are the flags of a record.
 */
#ifndef INTROSPECTION_QNX_SYS_INTROSPECTION_H
#define INTROSPECTION_QNX_SYS_INTROSPECTION_H

/* #include_next is an extension. */
#pragma GCC system_header

#include <sys/mman.h>

#ifndef INTROSPECTION_QNX_NAMES
#define INTROSPECTION_QNX_NAMES
#endif
#include_next <sys/introspection.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Not in QNX; a record's protection is flags & PROT_MASK. */
int introspection_prot(uint32_t flags)
    INTROSPECTION_QNX_UNAVAILABLE("it returns Linux's PROT_*, <sys/mman.h> has QNX's here");

#ifdef __cplusplus
}
#endif

#endif /* INTROSPECTION_QNX_SYS_INTROSPECTION_H */
