/* <errno.h> for sources written for QNX (pkg-config: introspection-qnx): with the
 * numbers that Linux's lacks and the functions of <sys/introspection.h> return. */
#ifndef INTROSPECTION_QNX_ERRNO_H
#define INTROSPECTION_QNX_ERRNO_H

/* #include_next is an extension. */
#pragma GCC system_header

#include_next <errno.h>

#ifndef EOK
#define EOK 0
#endif
#ifndef ESRVRFAULT
#define ESRVRFAULT 312
#endif

#endif /* INTROSPECTION_QNX_ERRNO_H */
