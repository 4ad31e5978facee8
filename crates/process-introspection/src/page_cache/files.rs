//! Files that processes name, put together: each file once, with all its users; and the
//! answers of the file systems about them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr, OsString};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use process_introspection_core::vma::Device;

use super::apart::{self, Ended};
use super::leases;
use super::mount_table::{is_unmounted_shared_memory, Access, MountTable};
use super::probe::{Answer, Outcome, Wanted};
use super::references::{FileName, Link, Reference};
use super::{CacheStates, CachedFile, FileUser, UncountedFiles, UncountedReason};
use crate::process::mounts::Mounts;
use crate::sys::FileHandle;

/// Maximum number of links to one file: processes can end, and close files.
const MOST_LINKS: usize = 4;

/// Files that processes name.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    users: Vec<Arc<FileUser>>,
    files: HashMap<FileName, Named>,
}

/// File by one of its names.
#[derive(Debug, Default)]
struct Named {
    /// Number of the mount, if the device is not known.
    mount: Option<u64>,
    links: Vec<(u32, Link)>,
    /// Indices of users, ascending.
    users: Vec<usize>,
}

/// Result of [`Candidates::count`].
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) files: Vec<CachedFile>,
    pub(super) uncounted: Vec<UncountedFiles>,
    pub(super) is_each_once: bool,
}

/// Identity of a file: equal for two names of one file, and for a file that several overlay
/// file systems have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Identity {
    File((u64, u64), u64),
    /// File in a layer, by its handle. The handle need not contain the layer's file
    /// system, so that other facts of the file belong to it.
    Layer(Box<FileHandle>, u64, (u64, u64)),
}

impl Identity {
    fn of(answer: &Answer) -> Self {
        match answer.handle == FileHandle::default() {
            true => Self::File(answer.device, answer.inode),
            false => Self::Layer(Box::new(answer.handle), answer.size, answer.modified),
        }
    }
}

/// File system and the files in it that are counted.
#[derive(Debug, Default)]
struct Group<'a> {
    names: Vec<&'a FileName>,
    wanted: Vec<Wanted>,
}

impl Candidates {
    /// Adds the files of a process.
    pub(super) fn add(&mut self, user: FileUser, references: Vec<Reference>) {
        let (pid, index) = (user.pid, self.users.len());
        self.users.push(Arc::new(user));
        for Reference { file, link, mount } in references {
            let named = self.files.entry(file).or_default();
            named.mount = named.mount.or(mount);
            // A descriptor leads to the file without any privilege.
            match link {
                Link::Descriptor(_) => named.links.insert(0, (pid, link)),
                Link::Mapping(..) => named.links.push((pid, link)),
            }
            named.links.truncate(MOST_LINKS);
            if named.users.last() != Some(&index) {
                named.users.push(index);
            }
        }
    }

    /// Counts the pages of the files; `None` if `tick` broke off.
    pub(super) fn count(
        &self,
        mounts: &Mounts,
        table: &MountTable,
        deadline: Duration,
        tick: impl FnMut() -> ControlFlow<()>,
    ) -> Option<Counted> {
        let mut uncounted = Uncounted::default();
        let groups = self.groups(mounts, table, &mut uncounted);
        let mut files = Merged {
            of: self,
            table,
            by_identity: HashMap::new(),
            files: Vec::new(),
            is_each_once: true,
        };
        let devices: Vec<_> = groups.keys().copied().collect();
        let wanted: Vec<_> = groups.values().map(|group| group.wanted.clone()).collect();
        let mut answered: Vec<_> = wanted
            .iter()
            .map(|wanted| vec![false; wanted.len()])
            .collect();
        let ended = apart::count(
            &wanted,
            deadline,
            |system, answer| {
                let at = usize::try_from(answer.index).unwrap_or(usize::MAX);
                let group = &groups[&devices[system]];
                let Some(name) = group.names.get(at) else {
                    return;
                };
                answered[system][at] = true;
                match reason(answer.outcome()) {
                    None => files.add(name, devices[system], answer),
                    Some(Some(reason)) => uncounted.add(reason, devices[system], &name.name),
                    Some(None) => {}
                }
            },
            tick,
        )?;
        for ((system, ended), answered) in ended.iter().enumerate().zip(&answered) {
            let reason = match ended {
                Ended::Complete | Ended::Silent => UncountedReason::Silent,
                Ended::Failed => UncountedReason::Failed,
            };
            let device = devices[system];
            for (name, answered) in groups[&device].names.iter().zip(answered) {
                if !answered {
                    uncounted.add(reason, device, &name.name);
                }
            }
        }
        Some(Counted {
            is_each_once: files.is_each_once,
            files: files.sorted(),
            uncounted: uncounted.list(table),
        })
    }

    /// Returns the files to count, by the devices of their file systems; `None` is shared
    /// memory that is mounted nowhere.
    fn groups(
        &self,
        mounts: &Mounts,
        table: &MountTable,
        uncounted: &mut Uncounted,
    ) -> BTreeMap<Option<Device>, Group<'_>> {
        let leased = leases::read(mounts);
        let mut groups = BTreeMap::<_, Group<'_>>::new();
        // Those with most users first: a file that keeps the child waiting is then known to be
        // the only one. The order is the same each time.
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_unstable_by_key(|(file, named)| (Reverse(named.users.len()), &file.name));
        for (file, named) in files {
            let of_mount = || named.mount.and_then(|mount| table.device_of(mount));
            let device = file.device.or_else(of_mount);
            let mounted = device.and_then(|device| table.get(device));
            let (device, access) = match device.zip(mounted) {
                Some((device, mounted)) => (Some(device), mounted.access(device)),
                None if is_unmounted_shared_memory(&file.name) => (None, Access::Count),
                // Another file of the kernel's own, or of a file system that was detached.
                None => (device, Access::Unknown),
            };
            let is_leased = device
                .zip(file.inode)
                .is_some_and(|it| leased.contains(&it));
            match access {
                Access::Count if is_leased => {
                    uncounted.add(UncountedReason::Leased, device, &file.name);
                }
                Access::Count => {
                    let group = groups.entry(device).or_default();
                    group.names.push(file);
                    let mut wanted = wanted(mounts, file, named);
                    if file.inode.is_none() {
                        let of_device = leased.iter().filter(|(of, _)| Some(*of) == device);
                        wanted.leased = of_device.map(|&(_, inode)| inode).collect();
                    }
                    group.wanted.push(wanted);
                }
                Access::NoCache => {}
                Access::Served => uncounted.add(UncountedReason::Served, device, &file.name),
                Access::Unknown => {
                    uncounted.add(UncountedReason::UnknownFileSystem, device, &file.name);
                }
            }
        }
        groups
    }
}

/// Returns how a file can be reached.
fn wanted(mounts: &Mounts, file: &FileName, named: &Named) -> Wanted {
    let mut wanted = Wanted {
        inode: file.inode,
        ..Wanted::default()
    };
    let c_path = |path: &OsStr| CString::new(path.as_bytes()).ok();
    for (pid, link) in &named.links {
        let process = mounts.proc().join(pid.to_string());
        let link = match link {
            Link::Descriptor(descriptor) => process.join(format!("fd/{descriptor}")),
            Link::Mapping(start, end) => {
                let mut below = process.join("root").into_os_string();
                below.push(OsStr::from_bytes(&file.name));
                wanted.path = wanted.path.or_else(|| c_path(&below));
                process.join(format!("map_files/{start:x}-{end:x}"))
            }
        };
        wanted.links.extend(c_path(link.as_os_str()));
    }
    wanted
}

/// Returns `None` for a file that was counted, otherwise the reason why it was not, if it
/// should have been.
fn reason(outcome: Outcome) -> Option<Option<UncountedReason>> {
    Some(match outcome {
        Outcome::Counted => return None,
        // Its users have closed it, or have ended, since.
        Outcome::Gone | Outcome::NoCache => None,
        Outcome::Refused => Some(UncountedReason::Refused),
        Outcome::Leased => Some(UncountedReason::Leased),
        Outcome::TooLarge => Some(UncountedReason::TooLarge),
        Outcome::Failed => Some(UncountedReason::Failed),
    })
}

/// Files that were counted, each once.
struct Merged<'a> {
    of: &'a Candidates,
    table: &'a MountTable,
    by_identity: HashMap<Identity, usize>,
    /// Each with the indices of its users.
    files: Vec<(CachedFile, Vec<usize>)>,
    is_each_once: bool,
}

impl Merged<'_> {
    fn add(&mut self, name: &FileName, device: Option<Device>, answer: &Answer) {
        let identity = Identity::of(answer);
        self.is_each_once &= !answer.is_layered() || matches!(identity, Identity::Layer(..));
        let users = self.of.files.get(name).map(|named| &named.users[..]);
        let users = users.unwrap_or_default();
        if let Some(&at) = self.by_identity.get(&identity) {
            return self.files[at].1.extend(users);
        }
        self.by_identity.insert(identity, self.files.len());
        let mounted = device.and_then(|device| self.table.get(device));
        let is_shared_memory = answer.is_shared_memory();
        let file = CachedFile {
            path: OsStr::from_bytes(&name.name).to_owned(),
            device: Device {
                major: answer.device.0 as u32,
                minor: answer.device.1 as u32,
            },
            inode: answer.inode,
            is_deleted: answer.links == 0,
            file_system: mounted.map(|mounted| mounted.name.clone()),
            is_shared_memory,
            size: answer.size,
            cached: answer.cached(),
            states: answer
                .states()
                .map(|[dirty, writeback, evicted]| CacheStates {
                    dirty,
                    writeback,
                    evicted,
                }),
            users: Vec::new(),
        };
        self.files.push((file, users.to_vec()));
    }

    /// Returns the files, those with most pages first.
    fn sorted(self) -> Vec<CachedFile> {
        let all = &self.of.users;
        let with_users = |(mut file, mut users): (CachedFile, Vec<usize>)| {
            users.sort_unstable();
            users.dedup();
            file.users = users
                .into_iter()
                .map(|user| Arc::clone(&all[user]))
                .collect();
            file
        };
        let mut files: Vec<_> = self.files.into_iter().map(with_users).collect();
        files.sort_by(|one, other| {
            let key = |file: &CachedFile| (Reverse(file.cached), Reverse(file.size));
            let by_size = key(one).cmp(&key(other));
            by_size.then_with(|| one.path.cmp(&other.path))
        });
        files
    }
}

/// Files that were not counted, by reason and file system.
#[derive(Debug, Default)]
struct Uncounted(BTreeMap<(UncountedReason, Option<Device>), (usize, OsString)>);

impl Uncounted {
    fn add(&mut self, reason: UncountedReason, device: Option<Device>, name: &[u8]) {
        let name = OsStr::from_bytes(name);
        let entry = self.0.entry((reason, device));
        let (count, example) = entry.or_insert_with(|| (0, name.to_owned()));
        *count += 1;
        // The first in order, so that the list is the same each time.
        if name < example.as_os_str() {
            *example = name.to_owned();
        }
    }

    fn list(self, table: &MountTable) -> Vec<UncountedFiles> {
        let list = self.0.into_iter();
        list.map(|((reason, device), (count, example))| {
            let mounted = device.and_then(|device| table.get(device));
            UncountedFiles {
                reason,
                file_system: mounted.map(|mounted| mounted.name.clone()),
                mount_point: mounted.map(|mounted| mounted.point.clone()),
                count,
                example,
            }
        })
        .collect()
    }
}
