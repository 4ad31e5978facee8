//! File systems by the numbers of their devices and mounts: the lines of `mountinfo` of
//! every mount namespace that was seen. Knows which file systems have a page cache and may
//! be opened; opens none.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;

use process_introspection_core::server;
use process_introspection_core::vma::Device;
use rustix::fs::readlinkat;

use crate::text_files::{read_at, unescaped};

/// Mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    /// Type, with its subtype: `ext4`, `fuse.sshfs`.
    pub(super) name: String,
    /// Mount point, from the root of the process whose mounts were read first.
    pub(super) point: OsString,
}

/// What may be done with the files of a file system.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// They are opened and counted.
    Count,
    /// They have no pages in the page cache.
    NoCache,
    /// Opening one can drop its pages (FUSE).
    Served,
    /// It is not known what opening one does.
    Unknown,
}

/// Types without a block device whose files have pages in the page cache.
const CACHED: [&str; 21] = [
    "9p", "afs", "aufs", "bcachefs", "btrfs", "ceph", "cifs", "devtmpfs", "ecryptfs", "erofs",
    "jffs2", "lustre", "nfs", "nfs4", "overlay", "ramfs", "rootfs", "smb3", "tmpfs", "ubifs",
    "zfs",
];

/// Types whose files the kernel makes when they are read, or whose pages are in no page
/// cache (hugetlbfs).
const UNCACHED: [&str; 27] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "functionfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "nullfs",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
    "xenfs",
];

impl Mounted {
    pub(super) fn access(&self, device: Device) -> Access {
        let name = &*self.name;
        match name {
            _ if server::has_server(name.as_bytes()) => Access::Served,
            _ if UNCACHED.contains(&name) => Access::NoCache,
            _ if device.major != 0 || CACHED.contains(&name) => Access::Count,
            _ => Access::Unknown,
        }
    }
}

/// File systems of all mount namespaces that were seen. The numbers of devices and of
/// mounts are the machine's (fs/super.c, fs/namespace.c `mnt_alloc_id`).
#[derive(Debug, Default)]
pub(super) struct MountTable {
    seen: HashSet<(OsString, OsString)>,
    devices: HashMap<Device, Mounted>,
    mounts: HashMap<u64, Device>,
}

impl MountTable {
    /// Adds the mounts of a process, unless one with the same namespace and root was seen.
    pub(super) fn add_of(&mut self, process: BorrowedFd<'_>) {
        let link = |name: &str| {
            let link = readlinkat(process, name, Vec::new()).ok()?;
            Some(OsString::from_vec(link.into_bytes()))
        };
        let is_new = match link("ns/mnt").zip(link("root")) {
            Some(view) => self.seen.insert(view),
            None => true,
        };
        if is_new {
            let text = read_at(process, "mountinfo").unwrap_or_default();
            self.add(&String::from_utf8_lossy(&text));
        }
    }

    /// Adds lines of `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG…] - TYPE SOURCE
    /// OPTIONS` (proc_pid_mountinfo(5)).
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let Some((mount, of_super)) = line.split_once(" - ") else {
                continue;
            };
            let mut fields = mount.split(' ');
            let id = fields.next().and_then(|id| id.parse().ok());
            let device = fields.nth(1).and_then(device);
            let point = fields.nth(1).unwrap_or_default();
            let name = of_super.split(' ').next().unwrap_or_default();
            if let (Some(id), Some(device)) = (id, device) {
                self.mounts.insert(id, device);
                self.devices.entry(device).or_insert_with(|| Mounted {
                    name: name.to_owned(),
                    point: unescaped(point),
                });
            }
        }
    }

    /// Returns the device of a mount.
    pub(super) fn device_of(&self, mount: u64) -> Option<Device> {
        self.mounts.get(&mount).copied()
    }

    /// Returns the file system of a device; `None` if it is mounted nowhere.
    pub(super) fn get(&self, device: Device) -> Option<&Mounted> {
        self.devices.get(&device)
    }
}

fn device(text: &str) -> Option<Device> {
    let (major, minor) = text.split_once(':')?;
    Some(Device {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

/// Returns whether this is the kernel's name of shared memory that is mounted nowhere: a
/// memfd, System V or shared anonymous memory (mm/memfd.c, ipc/shm.c, mm/shmem.c, Linux
/// 5.10 to 7.2).
pub(super) fn is_unmounted_shared_memory(name: &[u8]) -> bool {
    name.starts_with(b"/memfd:") || name.starts_with(b"/SYSV") || name == b"/dev/zero (deleted)"
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    const TEXT: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
24 22 0:22 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,inode64
30 22 0:27 / /mnt/a\\040b rw,nosuid - fuse.sshfs host:/ rw,user_id=0
31 22 0:5 / /proc rw - proc proc rw
32 22 0:40 / /new rw - heardof none rw
33 22 254:0 /srv /srv rw - ext4 /dev/vda1 rw
";

    #[test]
    fn a_file_system_is_found_by_its_device_and_by_each_of_its_mounts() {
        let mut table = MountTable::default();
        table.add(TEXT);
        let disk = Device {
            major: 254,
            minor: 0,
        };
        assert_eq!(table.device_of(22), Some(disk));
        assert_eq!(table.device_of(33), Some(disk));
        assert_eq!(table.device_of(99), None);
        let mounted = table.get(disk).unwrap();
        assert_eq!((&*mounted.name, &*mounted.point), ("ext4", OsStr::new("/")));
        let access = |minor| {
            let device = Device { major: 0, minor };
            let mounted = table.get(device).unwrap();
            (mounted.access(device), mounted.point.to_str().unwrap())
        };
        assert_eq!(mounted.access(disk), Access::Count);
        assert_eq!(access(22), (Access::Count, "/dev/shm"));
        assert_eq!(access(27), (Access::Served, "/mnt/a b"));
        assert_eq!(access(5), (Access::NoCache, "/proc"));
        assert_eq!(access(40), (Access::Unknown, "/new"));
    }
}
