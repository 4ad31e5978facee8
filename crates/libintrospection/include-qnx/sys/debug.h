/* <sys/debug.h> for sources written for QNX (pkg-config: introspection-qnx): the types
 * debug_*_t and the values _DEBUG_* of debug_thread_t's members, which
 * <sys/introspection.h> has. */
#ifndef INTROSPECTION_QNX_SYS_DEBUG_H
#define INTROSPECTION_QNX_SYS_DEBUG_H

#include <sys/introspection.h>

#endif /* INTROSPECTION_QNX_SYS_DEBUG_H */
