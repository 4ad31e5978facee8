/* <sys/neutrino.h> for sources written for QNX (pkg-config: introspection-qnx): _NTO_PF_*, the
 * values of debug_process_t's member flags, and STATE_*, which <sys/introspection.h>
 * has. There are no kernel calls. */
#ifndef INTROSPECTION_QNX_SYS_NEUTRINO_H
#define INTROSPECTION_QNX_SYS_NEUTRINO_H

#include <sys/introspection.h>

#endif /* INTROSPECTION_QNX_SYS_NEUTRINO_H */
