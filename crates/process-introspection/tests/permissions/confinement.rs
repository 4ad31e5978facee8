//! Ways in which a process gives up what it may do: its user, capabilities,
//! namespaces, its `/proc`, system calls. Each is a step that a process makes
//! by itself. Knows nothing of the libraries.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The user and group that own nothing ("nobody" on Debian and elsewhere).
pub(crate) const NOBODY: u32 = 65534;

/// A capability's number (include/uapi/linux/capability.h).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capability(u32);

pub(crate) const DAC_READ_SEARCH: Capability = Capability(2);
pub(crate) const SYS_PTRACE: Capability = Capability(19);
pub(crate) const SYS_ADMIN: Capability = Capability(21);
pub(crate) const PERFMON: Capability = Capability(38);

/// One thing that a process does to itself.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Step {
    /// Becomes nobody, keeping these capabilities, and is dumpable as a
    /// program of that user's own is.
    Nobody(&'static [Capability]),
    /// Keeps its user, and these capabilities.
    Keep(&'static [Capability]),
    /// Is not dumpable, as a program that gained its privileges by its file.
    NotDumpable,
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// A user namespace of its own, as its root.
    UserNamespace,
    /// A `/proc` mounted anew, of the PID namespace it is in.
    MountProc(&'static CStr),
    /// A `/proc` of another PID namespace, in which it is not.
    MountProcOfAnother,
    /// An empty directory in the place of `/proc`.
    NoProc,
    /// A root directory of its own, with or without a `/proc`.
    Chroot { with_proc: bool },
    /// These system calls fail with this error.
    Deny(&'static [libc::c_long], i32),
}

fn done(result: libc::c_int) -> io::Result<()> {
    match result {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Step {
    /// Makes the step. `directory` is an empty one for the new root.
    pub(crate) fn make(self, directory: &Path) -> io::Result<()> {
        match self {
            Self::Nobody(kept) => become_nobody(kept),
            Self::Keep(kept) => keep(kept),
            // SAFETY: takes no memory.
            Self::NotDumpable => done(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) }),
            Self::NoNewPrivileges => no_new_privileges(),
            Self::UserNamespace => user_namespace(),
            Self::MountProc(options) => {
                own_mounts()?;
                mount(c"proc", c"/proc", Some(options))
            }
            Self::MountProcOfAnother => {
                own_mounts()?;
                proc_of_another_namespace()
            }
            Self::NoProc => {
                own_mounts()?;
                mount(c"tmpfs", c"/proc", Some(c"size=4k"))
            }
            Self::Chroot { with_proc } => chroot(directory, with_proc),
            Self::Deny(calls, errno) => deny(calls, errno),
        }
    }
}

fn become_nobody(kept: &[Capability]) -> io::Result<()> {
    // SAFETY: takes no memory of ours; this process has one thread.
    unsafe {
        done(libc::prctl(libc::PR_SET_KEEPCAPS, 1))?;
        done(libc::setgroups(0, std::ptr::null()))?;
        done(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
        done(libc::setresuid(NOBODY, NOBODY, NOBODY))?;
    }
    keep(kept)?;
    // SAFETY: takes no memory. A changed user has made it not dumpable.
    done(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) })
}

fn keep(kept: &[Capability]) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let half = |high: u32| {
        let bit = |capability: &Capability| match capability.0 / 32 {
            half if half == high => 1 << (capability.0 % 32),
            _ => 0,
        };
        kept.iter().map(bit).sum::<u32>()
    };
    // Twice: effective, permitted, inheritable.
    let data = [[half(0), half(0), 0], [half(1), half(1), 0]];
    // SAFETY: a header and, by its version, two structs of three words.
    done(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) } as i32)
}

fn no_new_privileges() -> io::Result<()> {
    // SAFETY: takes no memory.
    done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

fn user_namespace() -> io::Result<()> {
    // SAFETY: take no memory; this process has one thread.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // SAFETY: as above.
    done(unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// What is mounted from now on, only this process and its children see.
fn own_mounts() -> io::Result<()> {
    // SAFETY: NUL-terminated strings; this process has one thread.
    unsafe {
        done(libc::unshare(libc::CLONE_NEWNS))?;
        done(libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        ))
    }
}

fn mount(kind: &CStr, at: &CStr, options: Option<&CStr>) -> io::Result<()> {
    let options = options.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: NUL-terminated strings, or none.
    done(unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, options.cast()) })
}

/// A proc mount is of the namespace of whoever mounts it: a child does that,
/// the only one of its namespace, in the mount namespace that both have.
fn proc_of_another_namespace() -> io::Result<()> {
    // SAFETY: takes no memory; children from now on are in the new namespace.
    done(unsafe { libc::unshare(libc::CLONE_NEWPID) })?;
    // SAFETY: the child makes plain system calls and never returns.
    let child = unsafe { libc::fork() };
    done(child)?;
    if child == 0 {
        let mounted = mount(c"proc", c"/proc", None);
        // SAFETY: ends this process without running anything of the parent's.
        unsafe { libc::_exit(i32::from(mounted.is_err())) };
    }
    let mut status = 0;
    // SAFETY: a live integer.
    done(unsafe { libc::waitpid(child, &mut status, 0) })?;
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::other("the other namespace's /proc"))
    }
}

fn chroot(directory: &Path, with_proc: bool) -> io::Result<()> {
    own_mounts()?;
    let root = CString::new(directory.as_os_str().as_bytes())?;
    mount(c"tmpfs", &root, Some(c"size=64k"))?;
    let proc = directory.join("proc");
    std::fs::create_dir(&proc)?;
    if with_proc {
        mount(c"proc", &CString::new(proc.as_os_str().as_bytes())?, None)?;
    }
    // SAFETY: NUL-terminated strings.
    unsafe {
        done(libc::chroot(root.as_ptr()))?;
        done(libc::chdir(c"/".as_ptr()))
    }
}

/// `struct seccomp_data` begins with the call's number.
fn deny(calls: &[libc::c_long], errno: i32) -> io::Result<()> {
    let statement = |code: u32, jt: usize, k: u32| libc::sock_filter {
        code: code as u16,
        jt: jt as u8,
        jf: 0,
        k,
    };
    let load = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0);
    let mut program = vec![load];
    for (index, &call) in calls.iter().enumerate() {
        // Over the comparisons that follow, and the return that allows.
        let to_denial = calls.len() - index;
        program.push(statement(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            to_denial,
            call as u32,
        ));
    }
    let answer = |k| statement(libc::BPF_RET | libc::BPF_K, 0, k);
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program.push(answer(libc::SECCOMP_RET_ERRNO | errno as u32));
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    no_new_privileges()?;
    // SAFETY: a live filter of the stated length, which the kernel copies.
    done(unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    })
}
