//! Groups of processes by what they have in common. Must not know memory, nor who groups.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use clap::ValueEnum;
use process_introspection::Cgroup;

/// Property that the processes of a group have in common.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Property {
    /// Comm of the process
    Command,
    /// Path of the cgroup
    Cgroup,
    /// Systemd unit
    Unit,
    /// Identifier of the container
    Container,
    /// Effective user ID
    User,
}

impl Property {
    /// Returns the name of the group of a process with these facts; empty if it is in none.
    pub(crate) fn name(self, command: &OsStr, uid: u32, cgroup: Option<&Cgroup>) -> Vec<u8> {
        let text = |text: Option<&String>| text.cloned().unwrap_or_default().into_bytes();
        match self {
            Self::Command => command.as_bytes().to_vec(),
            Self::Cgroup => cgroup.map_or(Vec::new(), |cgroup| cgroup.path.as_bytes().to_vec()),
            Self::Unit => text(cgroup.and_then(|cgroup| cgroup.unit.as_ref())),
            Self::Container => text(cgroup.and_then(|cgroup| cgroup.container.as_ref())),
            Self::User => uid.to_string().into_bytes(),
        }
    }
}
