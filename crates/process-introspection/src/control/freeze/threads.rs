//! States of a process's threads.

use std::io;
use std::os::fd::AsFd;

use process_introspection_core::proc_text::Stat;
use rustix::fs::{openat, Dir, Mode, OFlags};

use crate::text_files::read_at;

/// Returns whether no thread of the process with this directory runs program code, or will
/// before the process is released. ESRCH when the process has gone.
pub(crate) fn all_stand_still(dir: impl AsFd) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let tasks = openat(dir, "task", flags, Mode::empty())?;
    for entry in Dir::read_from(&tasks)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        match read_at(&tasks, &format!("{name}/stat")) {
            Ok(stat) if stands_still(&stat) => {}
            Ok(_) => return Ok(false),
            // The thread has ended meanwhile.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

/// Returns whether a thread with this `stat` is stopped, held by a tracer, or has ended.
fn stands_still(stat: &[u8]) -> bool {
    let state = Stat::parse(stat).and_then(|stat| stat.state());
    matches!(state, Some(b'T' | b't' | b'Z' | b'X' | b'x'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_behind_any_name() {
        for (stat, still) in [
            ("7 (cat) T 1 7", true),
            ("7 (cat) t 1 7", true),
            ("7 (a) T (b) S 1 7", false),
            ("7 () R) T 1 7", true),
            ("7 (cat) S 1 7", false),
            ("7 (cat) D 1 7", false),
            ("7 (cat) Z 1 7", true),
        ] {
            assert_eq!(stands_still(stat.as_bytes()), still, "{stat}");
        }
    }
}
