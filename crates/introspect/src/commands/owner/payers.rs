//! Cgroups that pay for pages that no process maps. Must not know where they are shown.

use std::cell::OnceCell;

use process_introspection::{Cgroup, MemoryCgroups, Mounts};

/// Cgroups by the numbers of their folders, which are read when the first is needed.
#[derive(Debug)]
pub(super) struct Payers {
    mounts: Mounts,
    cgroups: OnceCell<MemoryCgroups>,
}

impl Payers {
    pub(super) fn new(mounts: &Mounts) -> Self {
        Self {
            mounts: mounts.clone(),
            cgroups: OnceCell::new(),
        }
    }

    /// Returns the cgroup with this number; `None` also if it is not known here.
    pub(super) fn get(&self, inode: Option<u64>) -> Option<Cgroup> {
        let read = || MemoryCgroups::read_in(&self.mounts);
        self.cgroups.get_or_init(read).get(inode?)
    }
}
