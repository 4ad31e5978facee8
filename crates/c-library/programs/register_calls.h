/*
 * The table of the system calls that the functions of registers make beside those of
 * system_calls.h, most of them in the child process that reads the registers. As
 * there.
 */
SYSTEM_CALL(clone, clone, "the child")
SYSTEM_CALL(wait4, wait4, "the end of the child")
SYSTEM_CALL(setsid, setsid, "in the child: signals for the caller's group and terminal do not reach it")
SYSTEM_CALL(prctl, prctl, "in the child: it ends with the thread that called; in the caller, if Yama forbids it to be traced by its child: `PR_SET_PTRACER`")
SYSTEM_CALL(getppid, getppid, "in the child: whether its parent lives")
SYSTEM_CALL(rt_sigaction, rt_sigaction, "in the child: the default action of its timer's signal")
SYSTEM_CALL(setitimer, setitimer, "in the child: it ends after a second")
SYSTEM_CALL(ptrace, ptrace, "in the child: `PTRACE_SEIZE`, `PTRACE_INTERRUPT`, `PTRACE_GETREGSET`, `PTRACE_DETACH`")
SYSTEM_CALL(waitid, waitid, "in the child: the stop of the thread")
SYSTEM_CALL(exit_group, exit_group, "in the child")
SYSTEM_CALL(futex, futex, "if Yama forbids the caller to be traced by its child")
