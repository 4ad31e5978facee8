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

/// Facts of a process by which it can be grouped.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Member<'a> {
    /// Comm.
    pub(crate) command: &'a [u8],
    /// Effective user ID, if it is known.
    pub(crate) uid: Option<u32>,
    /// Path of the cgroup; empty if it is unknown.
    pub(crate) cgroup: &'a [u8],
    /// Unit of systemd.
    pub(crate) unit: Option<&'a str>,
    /// Identifier of the container.
    pub(crate) container: Option<&'a str>,
}

impl<'a> Member<'a> {
    /// Returns the facts of a process.
    pub(crate) fn new(command: &'a OsStr, uid: u32, cgroup: Option<&'a Cgroup>) -> Self {
        Self {
            command: command.as_bytes(),
            uid: Some(uid),
            cgroup: cgroup.map_or(b"", |cgroup| cgroup.path.as_bytes()),
            unit: cgroup.and_then(|cgroup| cgroup.unit.as_deref()),
            container: cgroup.and_then(|cgroup| cgroup.container.as_deref()),
        }
    }
}

impl Property {
    /// Returns the name of the group of a process; empty if it is in none.
    pub(crate) fn name(self, of: Member<'_>) -> Vec<u8> {
        match self {
            Self::Command => of.command.into(),
            Self::Cgroup => of.cgroup.into(),
            Self::Unit => of.unit.unwrap_or_default().into(),
            Self::Container => of.container.unwrap_or_default().into(),
            Self::User => of.uid.map_or(Vec::new(), |uid| uid.to_string().into()),
        }
    }
}
