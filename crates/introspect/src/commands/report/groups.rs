//! Groups of processes of a report, by each property that processes have in common. Must not
//! know where processes come from.

use std::collections::BTreeMap;

use process_introspection::{Error, GroupPart, GroupScope, MemoryGroups, Mounts, PhysicalMap};
use process_introspection_export::{GroupRecord, Name, SummaryRecord};
use process_introspection_picture::report::document::Document;
use process_introspection_picture::report::json::List;
use process_introspection_picture::report::records::ProcessFacts;

use crate::grouping::{Member, Property};

/// Properties that the processes of a group have in common.
const PROPERTIES: [(&str, Property); 5] = [
    ("command", Property::Command),
    ("cgroup", Property::Cgroup),
    ("unit", Property::Unit),
    ("container", Property::Container),
    ("user", Property::User),
];

fn member(facts: &ProcessFacts) -> Member<'_> {
    Member {
        command: &facts.name,
        uid: facts.user,
        cgroup: &facts.cgroup,
        unit: facts.unit.as_deref(),
        container: facts.container.as_deref(),
    }
}

/// Groups of live processes, in which each frame counts once.
#[derive(Debug, Default)]
pub(super) struct LiveGroups([MemoryGroups<Vec<u8>>; PROPERTIES.len()]);

impl LiveGroups {
    /// Adds a process.
    pub(super) fn add(&mut self, facts: &ProcessFacts, part: &GroupPart) {
        for (groups, (_, property)) in self.0.iter_mut().zip(PROPERTIES) {
            groups.add_process([(property.name(member(facts)), part.clone())]);
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
        let one = of_process(summary);
        for (groups, (_, property)) in self.0.iter_mut().zip(PROPERTIES) {
            let group = groups.entry(property.name(member(facts)));
            group
                .and_modify(|group| add(group, &one))
                .or_insert_with(|| one.clone());
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
    GroupRecord::sort_largest_first(&mut records);
    let mut list = Document::group_list();
    for record in &records {
        list.push(record);
    }
    list
}
