//! Rights of the user who runs a program with more rights, by capabilities of its file or
//! by set-user-ID. Knows no process but this one.

use std::io;

use rustix::process::{getegid, geteuid, getgid, getuid, Gid, Uid};
use rustix::thread::{
    capabilities, capability_is_in_ambient_set, set_capabilities, set_thread_res_gid,
    set_thread_res_uid, CapabilitySet, CapabilitySets,
};

/// Calls `act` with the rights of the user who runs this program, and no more.
///
/// A program with file capabilities, or that is set-user-ID, would use its added rights for
/// every path that its user names: it would read files that the user may not read, and
/// reveal by its errors which files exist. During the call the calling thread has the
/// user's own user and group, and those effective capabilities that the user had before
/// (the ambient ones). Nothing changes for the superuser, nor for a program without added
/// rights.
///
/// # Errors
/// Errors of `act`, and those of `capget`, `capset`, `setresuid` and `setresgid`, which
/// come before `act` is called.
///
/// ```
/// use process_introspection::with_user_rights;
///
/// let file = with_user_rights(|| std::fs::File::open("/proc/self/maps"))?;
/// # drop(file);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn with_user_rights<T>(act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let _lowered = Lowered::new()?;
    act()
}

/// Makes the permitted capabilities of the calling thread effective: call it before there are
/// others.
///
/// The capabilities of a program's file need no effective bit (`setcap cap_sys_admin+p`) if
/// the program calls this. Without the bit the kernel executes the program also where these
/// capabilities may not be had, as in most containers and in services that drop them; with
/// it execve fails there with `EPERM`, even for the superuser.
///
/// # Errors
/// Errors of `capget` and `capset`. A permitted capability is never refused.
///
/// ```
/// process_introspection::raise_permitted_capabilities()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn raise_permitted_capabilities() -> io::Result<()> {
    let before = capabilities(None)?;
    let effective = before.permitted;
    if effective == before.effective {
        return Ok(());
    }
    let raised = CapabilitySets {
        effective,
        ..before
    };
    Ok(set_capabilities(None, raised)?)
}

/// Reduces this thread's rights to the user's, permanently. Makes only system calls: it may
/// be called between fork and exec.
pub(crate) fn keep_to_user_rights() -> io::Result<()> {
    Lowered::new().map(std::mem::forget)
}

/// Guard that restores this thread's rights, those of the program, when it is dropped.
#[derive(Debug, Default)]
struct Lowered {
    group: Option<Gid>,
    user: Option<Uid>,
    capabilities: Option<CapabilitySets>,
}

impl Lowered {
    fn new() -> io::Result<Self> {
        let mut lowered = Self::default();
        let (group, effective) = (getgid(), getegid());
        if effective != group {
            set_thread_res_gid(None::<Gid>, group, None::<Gid>)?;
            lowered.group = Some(effective);
        }
        let (user, effective) = (getuid(), geteuid());
        let is_other = effective != user;
        if user.is_root() && !is_other {
            return Ok(lowered);
        }
        let before = capabilities(None)?;
        let kept = before.effective & ambient(before.effective)?;
        if is_other {
            // This removes effective capabilities too, if it was the superuser.
            set_thread_res_uid(None::<Uid>, user, None::<Uid>)?;
            lowered.user = Some(effective);
        }
        if kept != before.effective && !user.is_root() {
            let effective = kept;
            set_capabilities(
                None,
                CapabilitySets {
                    effective,
                    ..before
                },
            )?;
            lowered.capabilities = Some(before);
        }
        Ok(lowered)
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        // Each call is allowed: it sets an ID that is saved, or capabilities that are
        // permitted. If one fails, the program has too few rights, and later calls report
        // it.
        if let Some(user) = self.user {
            let _ = set_thread_res_uid(None::<Uid>, user, None::<Uid>);
        }
        if let Some(group) = self.group {
            let _ = set_thread_res_gid(None::<Gid>, group, None::<Gid>);
        }
        if let Some(before) = self.capabilities {
            let _ = set_capabilities(None, before);
        }
    }
}

/// Returns those of these capabilities that the user had before the program was executed: a
/// program with file capabilities, or set-user-ID, clears the ambient set
/// (security/commoncap.c `cap_bprm_creds_from_file`, Linux 4.3 to 7.2).
fn ambient(of: CapabilitySet) -> io::Result<CapabilitySet> {
    let mut ambient = CapabilitySet::empty();
    for bit in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        if of.contains(bit) && capability_is_in_ambient_set(bit)? {
            ambient |= bit;
        }
    }
    Ok(ambient)
}
