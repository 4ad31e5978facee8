/* <sys/states.h> for sources written for QNX (pkg-config: introspection-qnx): STATE_*, the values
 * of debug_thread_t's member state, which <sys/introspection.h> has. */
#ifndef INTROSPECTION_QNX_SYS_STATES_H
#define INTROSPECTION_QNX_SYS_STATES_H

#include <sys/introspection.h>

#endif /* INTROSPECTION_QNX_SYS_STATES_H */
