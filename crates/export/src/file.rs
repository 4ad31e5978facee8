//! Record of a file in the page cache, or of a part of the page cache that no listed file
//! explains.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use process_introspection::{CacheStates, CachedFile};

use crate::field::{record, Fields};
use crate::name::Name;
use crate::number::DeviceNumber;
use crate::record::Record;
use crate::table::{Notes, Row};
use crate::types::word_list;

word_list! {
    /// Statement of a record about the page cache. The sums of `cached` over the first three
    /// and over the last three are the page cache and the shared memory of the machine.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum FileKind {
        /// Pages of a file.
        File = "file",
        /// Pages of the files that `--top` leaves out.
        MoreFiles = "more-files",
        /// Pages of other files, and of block devices.
        OtherFiles = "other-files",
        /// Shared memory.
        Shared = "shm",
        /// Shared memory that `--top` leaves out.
        MoreShared = "more-shm",
        /// Other shared memory.
        OtherShared = "other-shm",
    }
}

impl FileKind {
    fn is_rest(self) -> bool {
        matches!(self, Self::OtherFiles | Self::OtherShared)
    }
}

record! {
    /// File whose pages are in the page cache, or a part of the page cache that no listed
    /// file explains.
    pub struct FileRecord<'a> {
        /// Statement of the record: pages of a file (file) or shared memory of tmpfs, memfd,
        /// System V or a shared anonymous mapping (shm); pages of those that --top
        /// leaves out (more-files, more-shm); the rest of the machine's page cache,
        /// which belongs to block devices, to files that no process maps or has open, and to
        /// files that could not be counted (other-files), and the rest of its shared memory
        /// (other-shm). The sum of cached
        /// over file, more-files and other-files is the machine's page cache, that over the
        /// others its shared memory.
        pub record: FileKind,
        /// Size of the pages in the page cache.
        pub cached: Option<u64> = bytes().rough(0, "CACHED", 6)
            .null("in records of the rest, if it is not known"),
        /// Size of pages that have to be written back.
        pub dirty: Option<u64> = bytes().rough(1, "DIRTY", 5)
            .null("if the kernel does not report it (before Linux 6.5, and for overlay file systems), and in records of the rest"),
        /// Size of pages that are being written back.
        pub writeback: Option<u64> = bytes().rough(2, "WBACK", 5).null("as for dirty"),
        /// Size of pages that were removed, as long as the kernel remembers it; of shared
        /// memory, that are in swap.
        pub evicted: Option<u64> = bytes().rough(3, "EVICT", 5).null("as for dirty"),
        /// Size of the file in bytes.
        pub size: Option<u64> = bytes().rough(4, "SIZE", 6).null("in records of the rest"),
        /// Number of files of the record.
        pub files: Option<u64> = null("in records of the rest"),
        /// Number of processes that map the file or have it open.
        pub processes: Option<u64> = number(5, "PROCS", 5).null("in records of several files"),
        /// Names (comm) of these processes, each once, the most frequent first.
        pub commands: Option<Vec<String>> = null("as for processes"),
        /// PIDs of these processes.
        pub pids: Option<Vec<u64>> = null("as for processes"),
        /// Type of the file system, such as ext4.
        pub file_system: Option<String> = text(6, "FS", 7)
            .null("if it is mounted nowhere, as that of a memfd, and in records of several files"),
        /// Device number, as stat reports it.
        pub dev: Option<DeviceNumber> = null("in records of several files"),
        /// Inode number.
        pub ino: Option<u64> = null("in records of several files"),
        /// Whether no name leads to the file any more.
        pub deleted: Option<bool> = null("in records of several files"),
        /// Name of the file, as in the maps file of a process, with (deleted) behind it if that
        /// name was removed. Bytes that are not UTF-8 are replaced.
        pub path: Name<'a> = text(7, "PATH", 0).null("in records of several files"),
    }
}

impl<'a> FileRecord<'a> {
    /// Returns the record of a file; `page` is the base page size in bytes.
    pub fn new(file: &'a CachedFile, page: u64) -> Self {
        let record = match file.is_shared_memory {
            false => FileKind::File,
            true => FileKind::Shared,
        };
        let state = |pages: fn(&CacheStates) -> u64| {
            file.states.as_ref().map(|states| pages(states) * page)
        };
        Self {
            record,
            cached: Some(file.cached * page),
            dirty: state(|states| states.dirty),
            writeback: state(|states| states.writeback),
            evicted: state(|states| states.evicted),
            size: Some(file.size),
            files: Some(1),
            processes: Some(file.users.len() as u64),
            commands: Some(names(file)),
            pids: Some(file.users.iter().map(|user| user.pid.into()).collect()),
            file_system: file.file_system.clone(),
            dev: Some(DeviceNumber(file.device)),
            ino: Some(file.inode),
            deleted: Some(file.is_deleted),
            path: Name(OsStr::as_bytes(&file.path)),
        }
    }

    /// Returns the record of files that are not listed.
    pub fn more(files: &[Self], is_shared_memory: bool) -> Self {
        let sum = |value: fn(&Self) -> Option<u64>| files.iter().map(value).sum::<Option<u64>>();
        Self {
            cached: sum(|file| file.cached),
            dirty: sum(|file| file.dirty),
            writeback: sum(|file| file.writeback),
            evicted: sum(|file| file.evicted),
            size: sum(|file| file.size),
            files: Some(files.len() as u64),
            ..Self::empty(match is_shared_memory {
                false => FileKind::MoreFiles,
                true => FileKind::MoreShared,
            })
        }
    }

    /// Returns the record of the rest of the machine's page cache, or of its shared memory.
    pub fn rest(size: Option<u64>, is_shared_memory: bool) -> Self {
        Self {
            cached: size,
            ..Self::empty(match is_shared_memory {
                false => FileKind::OtherFiles,
                true => FileKind::OtherShared,
            })
        }
    }

    fn empty(record: FileKind) -> Self {
        Self {
            record,
            cached: None,
            dirty: None,
            writeback: None,
            evicted: None,
            size: None,
            files: None,
            processes: None,
            commands: None,
            pids: None,
            file_system: None,
            dev: None,
            ino: None,
            deleted: None,
            path: Name(b""),
        }
    }

    /// Returns the table's text in place of a path.
    fn statement(&self) -> String {
        let files = self.files.unwrap_or_default();
        let noun = if files == 1 { "file" } else { "files" };
        match self.record {
            FileKind::File | FileKind::Shared => String::new(),
            FileKind::MoreFiles => format!("{files} more {noun}"),
            FileKind::MoreShared => format!("shared memory: {files} more {noun}"),
            FileKind::OtherFiles => "other files, block devices".to_owned(),
            FileKind::OtherShared => "other shared memory".to_owned(),
        }
    }
}

/// Returns the names of the processes, the most frequent first.
fn names(file: &CachedFile) -> Vec<String> {
    let mut counts = BTreeMap::<&OsStr, usize>::new();
    for user in &file.users {
        *counts.entry(&user.command).or_default() += 1;
    }
    let mut names: Vec<_> = counts.into_iter().collect();
    names.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let text = |(name, _): (&OsStr, _)| name.to_string_lossy().into_owned();
    names.into_iter().map(text).collect()
}

/// Number of names of processes in a table.
const MOST_NAMES: usize = 6;

impl Record for FileRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        if self.path.0.is_empty() {
            row.set("PATH", self.statement());
        }
        if self.record.is_rest() && self.cached.is_none() {
            row.set("CACHED", "?");
        }
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        let names = self.commands.as_deref().unwrap_or_default();
        for name in names.iter().take(MOST_NAMES) {
            notes.phrase(&Name(name.as_bytes()).printable());
        }
        if names.len() > MOST_NAMES {
            notes.phrase(&format!("and {} more", names.len() - MOST_NAMES));
        }
    }
}
