/* <asm/mman.h> would replace the values of QNX's <sys/mman.h> (pkg-config:
 * introspection-qnx) by Linux's. */
#error "<asm/mman.h> has Linux's PROT_* and MAP_*; <sys/mman.h> has QNX's here"
