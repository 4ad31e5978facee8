//! Subject of a system call: the type of the file behind its path or its descriptor.
//! Knows the names under `/proc` and nothing of errors.

use crate::tracee::Call;

/// Type of file.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// No file.
    None,
    /// The caller's own directory under `/proc`.
    OwnDirectory,
    /// The caller's own `fdinfo`.
    FdInfo,
    /// The caller's own page map.
    OwnPagemap,
    /// The target's directory.
    Directory,
    /// The target's `maps`.
    Maps,
    /// The target's `pagemap`.
    Pagemap,
    /// The target's `auxv`.
    Auxv,
    /// The target's `stat`.
    Stat,
    /// The target's `mem`.
    Memory,
    /// The target's `task`.
    Threads,
    /// A directory below that.
    Thread,
    /// A pidfd.
    Pidfd,
    /// The flags of all frames.
    FrameFlags,
    /// A mapped object, or a path to it.
    Object,
}

/// Returns the subject of a call.
pub(super) fn of(call: &Call) -> Subject {
    match call.number {
        libc::SYS_openat => by_path(&call.string(1).to_string_lossy()),
        libc::SYS_pread64
        | libc::SYS_read
        | libc::SYS_ioctl
        | libc::SYS_statx
        | libc::SYS_fstatfs
        | libc::SYS_getdents64
        | libc::SYS_pidfd_send_signal
        | libc::SYS_close => match call.descriptor(0) {
            Some(link) => by_link(&link, call.pid),
            None => Subject::None,
        },
        _ => Subject::None,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn by_path(path: &str) -> Subject {
    match path {
        "/proc/self" | "/proc/thread-self" => Subject::OwnDirectory,
        "/proc/thread-self/pagemap" => Subject::OwnPagemap,
        "/proc/kpageflags" => Subject::FrameFlags,
        "task" => Subject::Threads,
        _ if is_number(path) => Subject::Thread,
        _ if path.starts_with("/proc/thread-self/fdinfo/") => Subject::FdInfo,
        _ if path.strip_prefix("/proc/").is_some_and(is_number) => Subject::Directory,
        name => by_name(name),
    }
}

fn by_name(name: &str) -> Subject {
    match name {
        "maps" => Subject::Maps,
        "pagemap" => Subject::Pagemap,
        "auxv" => Subject::Auxv,
        "stat" => Subject::Stat,
        "mem" => Subject::Memory,
        _ => Subject::Object,
    }
}

fn by_link(link: &str, caller: libc::pid_t) -> Subject {
    if link.contains("pidfd") {
        return Subject::Pidfd;
    }
    let Some(below) = link.strip_prefix("/proc/") else {
        return Subject::Object;
    };
    let parts: Vec<&str> = below.split('/').collect();
    let is_own = parts[0] == caller.to_string();
    match parts[..] {
        ["kpageflags"] => Subject::FrameFlags,
        [_] => Subject::Directory,
        [_, "task"] => Subject::Threads,
        [_, "task", _] => Subject::Thread,
        [.., "fdinfo", _] => Subject::FdInfo,
        [.., "pagemap"] if is_own => Subject::OwnPagemap,
        [.., name] => by_name(name),
        [] => Subject::Object,
    }
}
