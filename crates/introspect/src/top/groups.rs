//! Rows of groups: processes added up. Must not know the state of the view.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use crate::grouping::Property;
use crate::top::model::{GroupReading, GroupRow, ProcessRow};

/// Property by which groups are formed at first.
pub(crate) const FIRST: Property = Property::Command;

/// What was read of groups beside their processes.
#[derive(Debug, Default)]
pub(crate) struct GroupReadings {
    /// Frames of groups, each once.
    pub(crate) reading: Option<GroupReading>,
    /// Bytes for which cgroups pay, by their paths.
    pub(crate) charges: BTreeMap<Vec<u8>, u64>,
}

/// Returns the property behind another one in the order of the key.
pub(crate) fn after(property: Property) -> Property {
    match property {
        Property::Command => Property::Cgroup,
        Property::Cgroup => Property::Unit,
        Property::Unit => Property::Container,
        Property::Container => Property::User,
        Property::User => Property::Command,
    }
}

/// Returns the word for a property.
pub(crate) fn word(property: Property) -> &'static str {
    match property {
        Property::Command => "command",
        Property::Cgroup => "cgroup",
        Property::Unit => "unit",
        Property::Container => "container",
        Property::User => "user",
    }
}

/// Returns the name of a process's group; `None` if it is not known yet.
pub(crate) fn name(property: Property, row: &ProcessRow) -> Option<Cow<'_, [u8]>> {
    match (property, &row.facts) {
        (Property::Command, _) => Some(Cow::Borrowed(&row.counted.command)),
        (_, None) => None,
        (_, Some(facts)) => Some(Cow::Owned(facts.group(property))),
    }
}

/// Returns the groups of all processes that have not ended, in the order of their names.
pub(crate) fn rows(
    property: Property,
    processes: &[ProcessRow],
    readings: &GroupReadings,
) -> Vec<GroupRow> {
    let mut groups = BTreeMap::<Cow<'_, [u8]>, Members<'_>>::new();
    for row in processes.iter().filter(|row| row.ended.is_none()) {
        if let Some(name) = name(property, row) {
            groups.entry(name).or_default().0.push(row);
        }
    }
    let has_charges = matches!(
        property,
        Property::Cgroup | Property::Unit | Property::Container
    );
    let owners = match has_charges {
        true => owners(&groups),
        false => BTreeMap::new(),
    };
    let reading = readings.reading.as_ref();
    let reading = reading.filter(|reading| reading.property == property);
    let row = |(name, members): (&Cow<'_, [u8]>, &Members<'_>)| {
        let memory = reading.and_then(|reading| reading.memory.get(&name[..]).copied());
        let mut row = GroupRow {
            name: name.to_vec(),
            memory,
            charged: charged(name, members, &owners, &readings.charges),
            ..members.sum()
        };
        if let (Some(_), Some(reading), Some((_, at))) = (memory, reading, &mut row.exact) {
            *at = (*at).min(reading.at);
        }
        row
    };
    groups.iter().map(row).collect()
}

/// Processes of a group.
#[derive(Default)]
struct Members<'a>(Vec<&'a ProcessRow>);

impl<'a> Members<'a> {
    fn sum(&self) -> GroupRow {
        let (mut exact, mut unread, mut resident) = (None, None, 0);
        let mut is_complete = true;
        for row in &self.0 {
            resident += row.resident().known().unwrap_or_default();
            match (&row.exact, &mut exact) {
                (Some((one, at)), None) => exact = Some((*one, *at)),
                (Some((one, at)), Some((sum, oldest))) => {
                    sum.add(one);
                    *oldest = (*oldest).min(*at);
                }
                (None, _) => {
                    is_complete = false;
                    unread = unread.or(row.unread);
                }
            }
        }
        GroupRow {
            name: Vec::new(),
            processes: self.0.len() as u64,
            resident,
            exact: exact.filter(|_| is_complete),
            memory: None,
            unread,
            charged: None,
        }
    }

    /// Returns the paths of the cgroups of the processes.
    fn cgroups(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        let facts = self.0.iter().filter_map(|row| row.facts.as_ref());
        let cgroups = facts.filter_map(|facts| facts.cgroup.as_ref());
        cgroups.map(|cgroup| cgroup.path.as_bytes())
    }
}

/// Groups by the paths of cgroups that have processes of theirs; `None` for those of several.
type Owners<'a> = BTreeMap<&'a [u8], Option<&'a [u8]>>;

fn owners<'a>(groups: &'a BTreeMap<Cow<'_, [u8]>, Members<'a>>) -> Owners<'a> {
    let mut owners = Owners::new();
    for (name, members) in groups {
        for path in members.cgroups() {
            let owner = owners.entry(path).or_insert(Some(&name[..]));
            if *owner != Some(&name[..]) {
                *owner = None;
            }
        }
    }
    owners
}

/// Returns the bytes for which the cgroups of a group pay; `None` if that is not known, or if
/// processes of other groups are in them or below them.
fn charged(
    name: &[u8],
    members: &Members<'_>,
    owners: &Owners<'_>,
    charges: &BTreeMap<Vec<u8>, u64>,
) -> Option<u64> {
    let mut paths: Vec<_> = members.cgroups().collect();
    paths.sort_unstable();
    paths.dedup();
    let mut outermost = Vec::<&[u8]>::new();
    for path in paths {
        if !outermost.iter().any(|outer| is_within(path, outer)) {
            outermost.push(path);
        }
    }
    let mut sum = None;
    for path in outermost {
        let within = owners
            .range(path..)
            .take_while(|(one, _)| one.starts_with(path));
        let mut within = within.filter(|(one, _)| is_within(one, path));
        if !within.all(|(_, owner)| *owner == Some(name)) {
            return None;
        }
        sum = Some(sum.unwrap_or(0) + charges.get(path)?);
    }
    sum
}

/// Returns whether a path is another one, or below it.
fn is_within(path: &[u8], outer: &[u8]) -> bool {
    let outer = outer.strip_suffix(b"/").unwrap_or(outer);
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
