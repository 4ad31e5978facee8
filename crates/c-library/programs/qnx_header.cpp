/* The same, as C++. */
#include "qnx_header.c"
