//! The first table: in which situation a process may ask what of whom, and what
//! a table is made of. The tests hold it, docs/PRIVILEGES.md shows it. Knows nothing
//! of how it is tried.

use testkit::machine::{has_area_query, kernel};

use crate::confinement::{Step, DAC_READ_SEARCH, PERFMON, SYS_ADMIN, SYS_PTRACE};

/// Whom the process in the situation asks about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The process itself.
    Itself,
    /// The process itself, by its PID.
    ItselfByPid,
    /// A process of root's with all capabilities, outside of every namespace.
    Roots,
    /// The same, by its unique PID.
    RootsUnique,
    /// A process of nobody's without capabilities.
    Nobodys,
    /// The same, not dumpable.
    NobodysNotDumpable,
    /// A process of root's in the same PID namespace.
    Inside,
    /// A process that it has forked, in all the same namespaces.
    Child,
}

impl Whom {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::ItselfByPid => "itself, by its PID",
            Self::Roots => "root's",
            Self::RootsUnique => "root's, by its unique PID",
            Self::Nobodys => "nobody's",
            Self::NobodysNotDumpable => "nobody's, not dumpable",
            Self::Inside => "root's, in that namespace",
            Self::Child => "its child",
        }
    }
}

/// What is expected of one question.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// What was asked for, and right.
    Given,
    /// This error.
    Error(i32),
    /// What was asked for unless Yama forbids to attach to other processes than
    /// one's own children (`kernel.yama.ptrace_scope`): EPERM then.
    UnlessYama,
    /// What was asked for from this kernel on; EPERM before.
    Since(u32, u32),
    /// The error that the seccomp filter gives.
    Filters,
    /// The filter's error where unique PIDs are made of pidfs inodes.
    FiltersWithPidfs,
    /// The filter's error where areas are read as text.
    FiltersWithText,
}

impl Expected {
    /// What that means on this machine, below a filter with this error.
    pub(crate) fn now(self, filters: i32) -> Result<(), i32> {
        let given_if = |given| if given { Ok(()) } else { Err(libc::EPERM) };
        match self {
            Self::Given => Ok(()),
            Self::Error(errno) => Err(errno),
            Self::UnlessYama => given_if(yama_scope() == 0),
            Self::Since(major, minor) => given_if(kernel() >= (major, minor)),
            Self::Filters => Err(filters),
            Self::FiltersWithPidfs if has_pidfs() => Err(filters),
            Self::FiltersWithText if !has_area_query() => Err(filters),
            Self::FiltersWithPidfs | Self::FiltersWithText => Ok(()),
        }
    }

    /// As the document says it.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Given => "yes".to_owned(),
            Self::Error(libc::EPERM) => "EPERM".to_owned(),
            Self::Error(libc::ESRCH) => "ESRCH".to_owned(),
            Self::Error(libc::ENOSYS) => "ENOSYS".to_owned(),
            Self::Error(other) => format!("errno {other}"),
            Self::UnlessYama => "yes¹".to_owned(),
            Self::Since(major, minor) => format!("{major}.{minor}²"),
            Self::Filters => "error".to_owned(),
            Self::FiltersWithPidfs => "error³".to_owned(),
            Self::FiltersWithText => "yes⁴".to_owned(),
        }
    }
}

/// 0 where there is no Yama: only its setting for attaching matters.
pub(crate) fn yama_scope() -> u32 {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    scope.map_or(0, |scope| scope.trim().parse().expect("a number"))
}

/// In a unique PID, the mark's bit 30 says that it is a start time.
fn has_pidfs() -> bool {
    let own = process_introspection::UniquePid::of(std::process::id()).expect("a unique PID");
    own.as_i64() >> 62 == 0
}

/// The expected answers about one process.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Line {
    pub(crate) whom: Whom,
    /// In the order of [`crate::answers::QUESTIONS`].
    pub(crate) answers: [Expected; 6],
    /// Where the C library's are others than those.
    pub(crate) c: Option<[Expected; 6]>,
    /// What the message of every error says.
    pub(crate) says: &'static str,
}

impl Line {
    pub(crate) const fn saying(mut self, says: &'static str) -> Self {
        self.says = says;
        self
    }

    pub(crate) const fn in_c(mut self, answers: [Expected; 6]) -> Self {
        self.c = Some(answers);
        self
    }
}

pub(crate) const fn line(whom: Whom, answers: [Expected; 6]) -> Line {
    Line {
        whom,
        answers,
        c: None,
        says: "",
    }
}

/// A row of the table, and a test.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Situation {
    /// The test's name.
    pub(crate) name: &'static str,
    /// As the document says it.
    pub(crate) words: &'static str,
    pub(crate) steps: &'static [Step],
    /// In a new PID namespace.
    pub(crate) in_pid_namespace: bool,
    pub(crate) lines: &'static [Line],
}

const fn situation(
    name: &'static str,
    words: &'static str,
    steps: &'static [Step],
    lines: &'static [Line],
) -> Situation {
    Situation {
        name,
        words,
        steps,
        in_pid_namespace: false,
        lines,
    }
}

use Expected::{Error, Given, Since, UnlessYama};
use Whom::{Child, Inside, Itself, ItselfByPid, Nobodys, NobodysNotDumpable, Roots};

const EPERM: Expected = Error(libc::EPERM);
pub(crate) const ALL: [Expected; 6] = [Given; 6];
const NOTHING: [Expected; 6] = [EPERM; 6];
const NO_PROC: [Expected; 6] = [Error(libc::ENOSYS); 6];
const NO_ADDRESSES: [Expected; 6] = [Given, Given, EPERM, EPERM, Given, Given];
/// Of a process of the same user that is no child.
const NO_ADDRESSES_NO_CHILD: [Expected; 6] = [Given, Given, EPERM, EPERM, Given, UnlessYama];
const ALL_NO_CHILD: [Expected; 6] = [Given, Given, Given, Given, Given, UnlessYama];
/// Before Linux 5.14, its own `fdinfo` was closed to a process that is not
/// dumpable (fs/proc/fd.c, `proc_fdinfo_access_allowed`): no pidfd could be
/// turned into a number.
const NO_ADDRESSES_FROM_5_14: [Expected; 6] = [
    Since(5, 14),
    Since(5, 14),
    EPERM,
    EPERM,
    Since(5, 14),
    Since(5, 14),
];
/// The layout is everybody's to see, the other files are root's. Its own memory a
/// process can read without them.
const NOT_DUMPABLE: [Expected; 6] = [Given, EPERM, EPERM, EPERM, Given, Given];
/// As [`NO_ADDRESSES_FROM_5_14`].
const NOT_DUMPABLE_FROM_5_14: [Expected; 6] = [
    Since(5, 14),
    EPERM,
    EPERM,
    EPERM,
    Since(5, 14),
    Since(5, 14),
];
/// CAP_SYS_ADMIN includes CAP_PERFMON, which is enough to read the layout since
/// Linux 6.15 (kernel/fork.c, `may_access_mm`).
const ALL_BUT_BYTES_FROM_6_15: [Expected; 6] = [
    Since(6, 15),
    Since(6, 15),
    Since(6, 15),
    Since(6, 15),
    Since(6, 15),
    EPERM,
];

pub(crate) const SITUATIONS: &[Situation] = &[
    situation(
        "root",
        "root",
        &[],
        &[
            line(Itself, ALL),
            line(Roots, ALL),
            line(Nobodys, ALL),
            line(NobodysNotDumpable, ALL),
        ],
    ),
    situation(
        "root_without_new_privileges",
        "root, no-new-privs",
        &[Step::NoNewPrivileges],
        &[line(Itself, ALL), line(Roots, ALL)],
    ),
    situation(
        "root_without_capabilities",
        "root without capabilities",
        &[Step::Keep(&[])],
        &[
            line(Itself, NO_ADDRESSES).saying("CAP_SYS_ADMIN"),
            line(Roots, NOTHING).saying("CAP_SYS_PTRACE"),
        ],
    ),
    situation(
        "another_user",
        "nobody, no capability",
        &[Step::Nobody(&[])],
        &[
            line(Itself, NO_ADDRESSES).saying("CAP_SYS_ADMIN"),
            line(Nobodys, NO_ADDRESSES_NO_CHILD),
            line(NobodysNotDumpable, NOTHING).saying("CAP_SYS_PTRACE"),
            line(Roots, NOTHING).saying("CAP_SYS_PTRACE"),
        ],
    ),
    situation(
        "another_user_without_new_privileges",
        "nobody, no capability, no-new-privs",
        &[Step::Nobody(&[]), Step::NoNewPrivileges],
        &[
            line(Itself, NO_ADDRESSES),
            line(Nobodys, NO_ADDRESSES_NO_CHILD),
        ],
    ),
    situation(
        "sys_admin_alone",
        "nobody with SYS_ADMIN",
        &[Step::Nobody(&[SYS_ADMIN])],
        &[
            line(Itself, ALL),
            line(Nobodys, ALL_NO_CHILD),
            line(NobodysNotDumpable, NOTHING),
            line(Roots, NOTHING).saying("CAP_SYS_PTRACE"),
        ],
    ),
    situation(
        "sys_ptrace_alone",
        "nobody with SYS_PTRACE",
        &[Step::Nobody(&[SYS_PTRACE])],
        &[
            line(Itself, NO_ADDRESSES),
            line(Nobodys, NO_ADDRESSES),
            line(NobodysNotDumpable, NOTHING).saying("CAP_DAC_READ_SEARCH"),
            line(Roots, NOTHING).saying("CAP_DAC_READ_SEARCH"),
        ],
    ),
    situation(
        "dac_read_search_alone",
        "nobody with DAC_READ_SEARCH",
        &[Step::Nobody(&[DAC_READ_SEARCH])],
        &[
            line(Itself, NO_ADDRESSES),
            line(Nobodys, NO_ADDRESSES_NO_CHILD),
            line(NobodysNotDumpable, NOTHING),
            line(Roots, NOTHING),
        ],
    ),
    situation(
        "perfmon_alone",
        "nobody with PERFMON",
        &[Step::Nobody(&[PERFMON])],
        &[
            line(Itself, NO_ADDRESSES),
            line(Nobodys, NO_ADDRESSES_NO_CHILD),
            line(Roots, NOTHING),
        ],
    ),
    situation(
        "perfmon_and_dac_read_search",
        "nobody with PERFMON, DAC_READ_SEARCH",
        &[Step::Nobody(&[PERFMON, DAC_READ_SEARCH])],
        // mm_access() has allowed reading to CAP_PERFMON since Linux 6.15
        // (kernel/fork.c, `may_access_mm`), but the files are root's.
        &[line(
            Roots,
            [
                Since(6, 15),
                Since(6, 15),
                EPERM,
                EPERM,
                Since(6, 15),
                EPERM,
            ],
        )],
    ),
    situation(
        "sys_ptrace_and_dac_read_search",
        "nobody with SYS_PTRACE, DAC_READ_SEARCH",
        &[Step::Nobody(&[SYS_PTRACE, DAC_READ_SEARCH])],
        &[
            line(Itself, NO_ADDRESSES),
            line(NobodysNotDumpable, NO_ADDRESSES),
            line(Roots, NO_ADDRESSES),
        ],
    ),
    situation(
        "sys_admin_and_sys_ptrace",
        "nobody with SYS_ADMIN, SYS_PTRACE",
        &[Step::Nobody(&[SYS_ADMIN, SYS_PTRACE])],
        &[
            line(Itself, ALL),
            line(Nobodys, ALL),
            line(Roots, NOTHING).saying("CAP_DAC_READ_SEARCH"),
        ],
    ),
    situation(
        "all_three_capabilities",
        "nobody with SYS_ADMIN, SYS_PTRACE, DAC_READ_SEARCH",
        &[Step::Nobody(&[SYS_ADMIN, SYS_PTRACE, DAC_READ_SEARCH])],
        &[
            line(Itself, ALL),
            line(NobodysNotDumpable, ALL),
            line(Roots, ALL),
        ],
    ),
    situation(
        "not_dumpable",
        "nobody, no capability, itself not dumpable",
        &[Step::Nobody(&[]), Step::NotDumpable],
        &[
            line(Itself, NOT_DUMPABLE).saying("not dumpable"),
            line(ItselfByPid, NOT_DUMPABLE_FROM_5_14).saying("not dumpable"),
        ],
    ),
    situation(
        "file_capabilities_without_dac_read_search",
        "nobody, SYS_ADMIN and SYS_PTRACE from the program's file (so not dumpable)",
        &[Step::Nobody(&[SYS_ADMIN, SYS_PTRACE]), Step::NotDumpable],
        &[
            line(Itself, NOT_DUMPABLE).saying("not dumpable"),
            line(Nobodys, NO_ADDRESSES_FROM_5_14).saying("not dumpable"),
            line(Roots, NOTHING).saying("CAP_DAC_READ_SEARCH"),
        ],
    ),
    situation(
        "file_capabilities",
        "nobody, SYS_ADMIN, SYS_PTRACE and DAC_READ_SEARCH from the program's file",
        &[
            Step::Nobody(&[SYS_ADMIN, SYS_PTRACE, DAC_READ_SEARCH]),
            Step::NotDumpable,
        ],
        &[line(Itself, ALL), line(Nobodys, ALL), line(Roots, ALL)],
    ),
    situation(
        "file_capabilities_without_sys_ptrace",
        "nobody, SYS_ADMIN and DAC_READ_SEARCH from the program's file",
        &[
            Step::Nobody(&[SYS_ADMIN, DAC_READ_SEARCH]),
            Step::NotDumpable,
        ],
        &[
            line(Itself, ALL),
            line(Nobodys, ALL_NO_CHILD),
            line(Roots, ALL_BUT_BYTES_FROM_6_15),
        ],
    ),
    situation(
        "user_namespace",
        "root of a user namespace",
        &[Step::UserNamespace],
        &[
            line(Itself, NO_ADDRESSES).saying("initial user namespace"),
            line(Child, NO_ADDRESSES),
            line(Roots, NOTHING),
        ],
    ),
    situation(
        "hidepid_1",
        "nobody, no capability, `/proc` with hidepid=1",
        &[Step::MountProc(c"hidepid=1"), Step::Nobody(&[])],
        &[
            line(Itself, NO_ADDRESSES),
            line(Nobodys, NO_ADDRESSES_NO_CHILD),
            line(Roots, NOTHING).saying("hidepid"),
        ],
    ),
    situation(
        "hidepid_2",
        "nobody, no capability, `/proc` with hidepid=2",
        &[Step::MountProc(c"hidepid=2"), Step::Nobody(&[])],
        &[
            line(Itself, NO_ADDRESSES),
            line(Nobodys, NO_ADDRESSES_NO_CHILD),
            line(Roots, NOTHING).saying("hidepid"),
        ],
    ),
    situation(
        "hidepid_2_as_root",
        "root, `/proc` with hidepid=2",
        &[Step::MountProc(c"hidepid=2")],
        &[line(Itself, ALL), line(Roots, ALL), line(Nobodys, ALL)],
    ),
    Situation {
        in_pid_namespace: true,
        ..situation(
            "pid_namespace_with_its_proc",
            "root in a PID namespace with its own `/proc`",
            &[Step::MountProc(c"")],
            &[
                line(Itself, ALL),
                line(Inside, ALL),
                line(Roots, [Error(libc::ESRCH); 6]),
            ],
        )
    },
    Situation {
        in_pid_namespace: true,
        ..situation(
            "pid_namespace_with_the_outer_proc",
            "root in a PID namespace with the outer `/proc`",
            &[],
            &[
                line(Itself, ALL),
                line(Inside, ALL),
                line(Roots, [Error(libc::ESRCH); 6]),
            ],
        )
    },
    situation(
        "proc_of_another_pid_namespace",
        "root with the `/proc` of another PID namespace",
        &[Step::MountProcOfAnother],
        &[
            line(Itself, NO_PROC).saying("no /proc here that shows the calling process"),
            line(Roots, NO_PROC),
        ],
    ),
    situation(
        "no_proc",
        "root, no `/proc` mounted",
        &[Step::NoProc],
        &[
            line(Itself, NO_PROC).saying("mount one"),
            line(Roots, NO_PROC),
        ],
    ),
    situation(
        "chroot_without_proc",
        "root in a chroot without `/proc`",
        &[Step::Chroot { with_proc: false }],
        &[
            line(Itself, NO_PROC).saying("mount one"),
            line(Roots, NO_PROC),
        ],
    ),
    situation(
        "chroot_with_proc",
        "root in a chroot with a `/proc`",
        &[Step::Chroot { with_proc: true }],
        &[line(Itself, ALL), line(Roots, ALL)],
    ),
];
