/* <sys/procfs.h> for sources written for QNX (pkg-config: introspection-qnx): the types
 * procfs_*, which <sys/introspection.h> has, beside Linux's own <sys/procfs.h>. There
 * are no requests for devctl(). */
#ifndef INTROSPECTION_QNX_SYS_PROCFS_H
#define INTROSPECTION_QNX_SYS_PROCFS_H

/* #include_next is an extension. */
#pragma GCC system_header

#include_next <sys/procfs.h>
#include <sys/introspection.h>

#endif /* INTROSPECTION_QNX_SYS_PROCFS_H */
