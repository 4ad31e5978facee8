//! Groups of processes of a report, by each property that processes have in common. Must not
//! know where processes come from.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use process_introspection::{Error, GroupPart, GroupScope, MemoryGroups, Mounts, PhysicalMap};
use process_introspection_export::{GroupRecord, Name, SummaryRecord};
use process_introspection_picture::report::document::Document;
use process_introspection_picture::report::json::List;
use process_introspection_picture::report::records::ProcessFacts;

/// Returns the name of the group of a process; empty if it is in none.
type GroupName = fn(&ProcessFacts) -> Vec<u8>;

/// Properties that the processes of a group have in common.
const PROPERTIES: [(&str, GroupName); 5] = [
    ("command", |facts| facts.name.clone()),
    ("cgroup", |facts| facts.cgroup.clone()),
    ("unit", |facts| {
        facts.unit.clone().unwrap_or_default().into()
    }),
    ("container", |facts| {
        facts.container.clone().unwrap_or_default().into()
    }),
    ("user", |facts| {
        facts
            .user
            .map_or(Vec::new(), |user| user.to_string().into())
    }),
];

/// Groups of live processes, in which each frame counts once.
#[derive(Debug, Default)]
pub(super) struct LiveGroups([MemoryGroups<Vec<u8>>; PROPERTIES.len()]);

impl LiveGroups {
    /// Adds a process.
    pub(super) fn add(&mut self, facts: &ProcessFacts, part: &GroupPart) {
        for (groups, (_, key)) in self.0.iter_mut().zip(PROPERTIES) {
            groups.add_process([(key(facts), part.clone())]);
        }
    }

    /// Moves the groups to the document. `are_all` states that all processes were added.
    pub(super) fn finish(
        self,
        are_all: bool,
        mounts: &Mounts,
        map: &PhysicalMap,
        document: &mut Document,
    ) -> Result<(), Error> {
        for (groups, (by, _)) in self.0.into_iter().zip(PROPERTIES) {
            let found = groups.finish(GroupScope::Rows, are_all, mounts, map)?;
            let rows = found.rows.iter();
            let records = rows.map(|(key, memory)| GroupRecord::new(Name(key), None, memory));
            document.groups.push((by, list(records.collect())));
        }
        Ok(())
    }
}

/// Groups of stored processes: sums of their numbers, because mapcounts of frames are not
/// stored for each process.
#[derive(Debug, Default)]
pub(super) struct StoredGroups([BTreeMap<Vec<u8>, GroupRecord<'static>>; PROPERTIES.len()]);

impl StoredGroups {
    /// Adds a process.
    pub(super) fn add(&mut self, facts: &ProcessFacts, summary: &SummaryRecord) {
        for (groups, (_, key)) in self.0.iter_mut().zip(PROPERTIES) {
            let one = of_process(summary);
            match groups.get_mut(&key(facts)) {
                Some(group) => add(group, &one),
                None => drop(groups.insert(key(facts), one)),
            }
        }
    }

    /// Moves the groups to the document.
    pub(super) fn finish(self, document: &mut Document) {
        for (groups, (by, _)) in self.0.iter().zip(PROPERTIES) {
            let records = groups.iter().map(|(key, group)| GroupRecord {
                group: Name(key),
                ..group.clone()
            });
            document.groups.push((by, list(records.collect())));
        }
    }
}

/// Returns the group of one process.
fn of_process(summary: &SummaryRecord) -> GroupRecord<'static> {
    let usage = &summary.total;
    GroupRecord {
        group: Name(b""),
        dev: None,
        ino: None,
        processes: 1,
        mappings: summary.mappings,
        memory: None,
        shared: None,
        virt: usage.virt,
        resident: usage.resident,
        pss: usage.pss,
        uss: usage.uss,
        swap: usage.swap,
        hugetlb: Some(usage.hugetlb).filter(|&bytes| bytes == 0),
        huge: summary.huge_pages.as_ref().map(|huge| huge.mapped),
        extents: summary.contiguity.as_ref().map(|extents| extents.extents),
        nodes: None,
    }
}

fn add(sum: &mut GroupRecord<'_>, one: &GroupRecord<'_>) {
    let add = |sum: Option<u64>, one: Option<u64>| sum.zip(one).map(|(sum, one)| sum + one);
    sum.processes += one.processes;
    sum.mappings += one.mappings;
    sum.virt += one.virt;
    sum.resident += one.resident;
    sum.pss = add(sum.pss, one.pss);
    sum.uss = add(sum.uss, one.uss);
    sum.swap += one.swap;
    sum.hugetlb = add(sum.hugetlb, one.hugetlb);
    sum.huge = add(sum.huge, one.huge);
    sum.extents = add(sum.extents, one.extents);
}

/// Returns the groups in order, those with the most memory first.
fn list(mut records: Vec<GroupRecord<'_>>) -> List {
    records.sort_by_key(|record| {
        let mapped = record
            .memory
            .zip(record.shared)
            .map(|(own, shared)| own + shared);
        let sizes = (record.memory, mapped, record.pss, record.resident);
        (Reverse(sizes), record.group.0)
    });
    let mut list = Document::group_list();
    for record in &records {
        list.push(record);
    }
    list
}
