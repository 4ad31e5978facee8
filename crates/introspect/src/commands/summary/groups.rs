//! `introspect summary --by`: a row for each group of processes, or for each file that they
//! map.

use std::collections::BTreeMap;

use clap::ValueEnum;
use process_introspection::{
    Device, GroupMemory, GroupPart, GroupScope, GroupedMemory, HugePool, MappingSummary,
    MemoryGroups, Mounts, PhysicalMap, Process, Summary,
};
use process_introspection_export::{DeviceNumber, GroupRecord, Name, UnusedHugePages};

use crate::commands::unread::Unread;
use crate::failure::Failure;
use crate::grouping::{Member, Property};
use crate::options::sorting::SortOptions;
use crate::output::sink::Sink;

/// Property by which memory is summed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// All of it in one row
    All,
    /// Path of the cgroup
    Cgroup,
    /// Systemd unit
    Unit,
    /// Identifier of the container
    Container,
    /// Comm of the process
    Command,
    /// Effective user ID
    User,
    /// Mapped file, or name of the mapping
    Mapping,
}

/// Row of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    /// Name; empty for processes in no such group.
    name: Vec<u8>,
    /// Device and inode number of a mapped object.
    object: Option<(Device, u64)>,
}

impl GroupKey {
    fn named(name: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            object: None,
        }
    }

    fn of_mapping(mapping: &MappingSummary) -> Self {
        let mapping = &mapping.mapping;
        let object = (mapping.device, mapping.inode);
        Self {
            name: match mapping.name().as_bytes() {
                b"" => mapping.kind().name().into(),
                name => name.into(),
            },
            object: mapping.has_object().then_some(object),
        }
    }
}

impl By {
    /// Returns the scope of a row.
    fn scope(self) -> GroupScope {
        match self {
            Self::Mapping => GroupScope::Whole,
            _ => GroupScope::Rows,
        }
    }

    /// Returns the rows of a process, each with the part of the memory that counts there.
    pub(super) fn parts(
        self,
        process: &Process,
        summary: &Summary,
        mappings: Vec<MappingSummary>,
    ) -> Result<Vec<(GroupKey, GroupPart)>, Failure> {
        if self == Self::Mapping {
            return Ok(of_mappings(summary, mappings));
        }
        let name = match self.property() {
            Some(property) => {
                let info = process.info()?;
                property.name(Member::new(info.command(), info.uid, info.cgroup.as_ref()))
            }
            None => Vec::new(),
        };
        let key = GroupKey::named(name);
        Ok(vec![(key, GroupPart::of_process(summary, mappings))])
    }

    /// Returns the property that the processes of a row have in common; `None` if it is none.
    fn property(self) -> Option<Property> {
        match self {
            Self::Cgroup => Some(Property::Cgroup),
            Self::Unit => Some(Property::Unit),
            Self::Container => Some(Property::Container),
            Self::Command => Some(Property::Command),
            Self::User => Some(Property::User),
            Self::All | Self::Mapping => None,
        }
    }
}

/// Returns the rows of mappings: those of one object and name are one row.
fn of_mappings(summary: &Summary, mappings: Vec<MappingSummary>) -> Vec<(GroupKey, GroupPart)> {
    let mut rows = BTreeMap::<_, GroupPart>::new();
    for mapping in mappings {
        let key = GroupKey::of_mapping(&mapping);
        let part = GroupPart::of_mapping(summary, mapping);
        match rows.get_mut(&key) {
            Some(row) => row.add(part),
            None => drop(rows.insert(key, part)),
        }
    }
    rows.into_iter().collect()
}

/// Memory of groups, read completely.
pub(super) struct Grouped {
    pub(super) memory: GroupedMemory<GroupKey>,
    /// Pools with unused hugetlb pages, if all processes are listed.
    pub(super) unused: Vec<UnusedHugePages>,
}

/// Adds up the rows. `is_all` states that all processes of this proc were to be read.
pub(super) fn group(
    by: By,
    groups: MemoryGroups<GroupKey>,
    is_all: bool,
    unread: &Unread,
    mounts: &Mounts,
    map: &PhysicalMap,
) -> Result<Grouped, Failure> {
    let are_all = is_all && unread.is_complete();
    let pools = match is_all {
        true => HugePool::read_all_in(mounts),
        false => Vec::new(),
    };
    let unused = pools.iter().filter(|pool| pool.free > 0);
    Ok(Grouped {
        memory: groups.finish(by.scope(), are_all, mounts, map)?,
        unused: unused.map(UnusedHugePages::from).collect(),
    })
}

impl Grouped {
    /// Returns what is unknown although frames could be read, and why.
    pub(super) fn missing(&self) -> Option<&'static str> {
        let rows = self.memory.rows.iter().map(|(_, memory)| memory);
        let mut frames = rows.filter_map(|memory| memory.frames.as_ref());
        frames.any(|frames| frames.own.is_none()).then_some(
            "what some processes share is unknown: the kernel exports no exact mapcounts of large \
             folios, or of hugetlb in shared page tables (see introspect-summary(1))",
        )
    }
}

/// Writes the rows, those with the most memory first, and in a table the sum of all.
pub(super) fn write(
    grouped: &Grouped,
    sorting: &SortOptions,
    is_table: bool,
    sink: &mut Sink,
) -> Result<(), Failure> {
    let GroupedMemory { rows, total, .. } = &grouped.memory;
    let mut records: Vec<_> = rows
        .iter()
        .map(|(key, memory)| record(key, memory))
        .collect();
    GroupRecord::sort_largest_first(&mut records);
    sorting.arrange(&mut records)?;
    records.iter().try_for_each(|record| sink.write(record))?;
    if !is_table || records.is_empty() {
        return Ok(());
    }
    sink.write(&GroupRecord::new(Name(b"total"), None, total))?;
    grouped.unused.iter().try_for_each(|row| sink.write(row))
}

fn record<'a>(key: &'a GroupKey, memory: &GroupMemory) -> GroupRecord<'a> {
    let object = key.object;
    let object = object.map(|(device, inode)| (DeviceNumber::from(device), inode));
    GroupRecord::new(Name(&key.name), object, memory)
}
