//! Values that the live view shows, as they were found out. Must not know how they are found
//! out, nor how they are shown.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use process_introspection::{Cgroup, MappingKind, ProcessInfo};
use process_introspection_export::{MachineRecord, State as PageState};

use crate::grouping::{Member, Property};
use crate::top::frame_map::FrameMap;

/// Time since the start of the view.
pub(crate) type Time = Duration;

/// Identity of a process: its PID, and its start since boot.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) pid: u32,
    pub(crate) started: Duration,
}

/// Process as the kernel's counters have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) key: Key,
    /// Comm.
    pub(crate) command: Vec<u8>,
    /// Mapped bytes.
    pub(crate) virt: u64,
    /// Estimate of the resident bytes.
    pub(crate) resident: u64,
}

/// Facts of a process by which it can be grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) command: OsString,
    pub(crate) uid: u32,
    pub(crate) cgroup: Option<Cgroup>,
}

impl Facts {
    /// Returns the name of the group of the process; empty if it is in none.
    pub(crate) fn group(&self, property: Property) -> Vec<u8> {
        property.name(Member::new(&self.command, self.uid, self.cgroup.as_ref()))
    }
}

impl From<ProcessInfo> for Facts {
    fn from(info: ProcessInfo) -> Self {
        Self {
            command: info.command,
            uid: info.uid,
            cgroup: info.cgroup,
        }
    }
}

/// Memory of a process, read page by page, or of several added up. In bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Exact {
    pub(crate) virt: u64,
    pub(crate) resident: u64,
    pub(crate) pss: Option<u64>,
    pub(crate) uss: Option<u64>,
    /// Memory that nobody else maps, each frame once, hugetlb included.
    pub(crate) memory: Option<u64>,
    pub(crate) swap: u64,
    pub(crate) hugetlb: u64,
    /// Resident memory that huge entries map.
    pub(crate) huge: Option<u64>,
    /// Number of extents.
    pub(crate) extents: Option<u64>,
}

impl Exact {
    /// Adds the memory of another process. Memory of its own cannot be added: what the two
    /// share is no process's own.
    pub(crate) fn add(&mut self, other: &Self) {
        let sum = |one: Option<u64>, other: Option<u64>| Some(one? + other?);
        self.virt += other.virt;
        self.resident += other.resident;
        self.pss = sum(self.pss, other.pss);
        self.uss = sum(self.uss, other.uss);
        self.memory = None;
        self.swap += other.swap;
        self.hugetlb += other.hugetlb;
        self.huge = sum(self.huge, other.huge);
        self.extents = sum(self.extents, other.extents);
    }
}

/// Reason why memory of a process could not be read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Access was refused.
    Denied,
    /// The process did not answer in time.
    Silent,
    /// Another error.
    Failed,
}

/// Process with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProcessRow {
    pub(crate) counted: Counted,
    /// `None` as long as it is not known.
    pub(crate) facts: Option<Facts>,
    /// Last complete reading, and its time.
    pub(crate) exact: Option<(Exact, Time)>,
    /// Reason why the last attempt to read it failed.
    pub(crate) unread: Option<Unread>,
    /// Time at which it was found to be gone.
    pub(crate) ended: Option<Time>,
}

impl ProcessRow {
    pub(crate) fn new(counted: Counted) -> Self {
        Self {
            counted,
            facts: None,
            exact: None,
            unread: None,
            ended: None,
        }
    }
}

/// Frames of groups, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupReading {
    pub(crate) property: Property,
    /// Memory of each group's own by its name; `None` if it cannot be known.
    pub(crate) memory: BTreeMap<Vec<u8>, Option<u64>>,
    pub(crate) at: Time,
}

/// Group of processes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupRow {
    /// Name; empty for processes in no such group.
    pub(crate) name: Vec<u8>,
    pub(crate) processes: u64,
    /// Best known resident bytes of all, to sort by until they are exact.
    pub(crate) resident: u64,
    /// Sum over the processes and the oldest time at which one was read, if all were read.
    pub(crate) exact: Option<(Exact, Time)>,
    /// Memory that no other group maps, each frame once: `None` if it is not read yet,
    /// `Some(None)` if it cannot be known.
    pub(crate) memory: Option<Option<u64>>,
    /// Reason why it will not become exact.
    pub(crate) unread: Option<Unread>,
    /// Bytes for which cgroups of the group pay; `None` if that is not known, or processes
    /// of other groups are in them, too.
    pub(crate) charged: Option<u64>,
}

/// Mapping of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MappingRow {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) exact: Exact,
    /// Size of the largest extent.
    pub(crate) largest: Option<u64>,
    pub(crate) protection: &'static str,
    pub(crate) kind: MappingKind,
    /// Printable.
    pub(crate) name: String,
}

/// Mappings of a process, read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mappings {
    pub(crate) key: Key,
    pub(crate) rows: Vec<MappingRow>,
    pub(crate) at: Time,
}

/// Run of pages of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegionRow {
    pub(crate) start: u64,
    pub(crate) size: u64,
    pub(crate) state: PageState,
    /// Physical address of the first page, if there is one and it may be seen.
    pub(crate) physical: Option<u64>,
    /// Size of the entries that map it, if it is known.
    pub(crate) page: Option<u64>,
    pub(crate) node: Option<u32>,
}

/// Regions of a mapping, read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Regions {
    pub(crate) key: Key,
    pub(crate) start: u64,
    pub(crate) rows: Vec<RegionRow>,
    /// Whether there are more than are kept.
    pub(crate) is_cut: bool,
    pub(crate) at: Time,
}

/// Memory of the machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) content: MachineContent,
    pub(crate) at: Time,
}

/// What could be read of the machine's memory.
#[derive(Clone, Debug)]
pub(crate) enum MachineContent {
    /// All frames, counted one by one, and their map.
    Frames(Box<MachineRecord>, Box<FrameMap>),
    /// The kernel's counters alone, with free blocks by their size.
    Counters {
        counters: Vec<(&'static str, u64)>,
        free: Vec<(u64, u64)>,
        /// Reason.
        why: String,
    },
}

/// Sums of the machine that cost little.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) memory: Option<u64>,
    pub(crate) free: Option<u64>,
}

/// News of a sampler.
#[derive(Debug)]
pub(crate) enum Update {
    /// All processes with memory that there are now, in the order of their keys.
    Counted(Vec<Counted>, Totals),
    /// Facts of processes.
    Facts(Vec<(Key, Facts)>),
    /// Result of reading a process.
    Read(Key, Result<Exact, Unread>, Time),
    Groups(GroupReading),
    /// Bytes for which cgroups pay, by their paths.
    Charges(BTreeMap<Vec<u8>, u64>),
    Mappings(Mappings),
    Regions(Regions),
    Machine(Machine),
    /// This list cannot be read, and why.
    Failed(Shown, String),
    /// Part of one CPU that the view has used lately, in thousandths.
    Load(u32),
}

/// Reading that the view needs next from the samplers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Interest {
    /// List or picture that is shown.
    pub(crate) shown: Shown,
    /// Processes on the screen, from the top.
    pub(crate) visible: Vec<Key>,
}

/// List or picture that is shown.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Shown {
    #[default]
    Processes,
    Groups(Property),
    /// Mappings of a process.
    Mappings(Key),
    /// Regions of a mapping: its start and end.
    Regions(Key, u64, u64),
    Machine,
}
