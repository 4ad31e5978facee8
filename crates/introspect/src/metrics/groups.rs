//! Groups that have series of their own, and the sum of the others. Must not know how groups are
//! read.

use std::collections::{BTreeMap, BTreeSet};

use process_introspection_export::GroupRecord;

use crate::text::printable_bytes;

/// Label of the sum of all groups that have no series. A group of this name is in it.
const OTHER: &str = "other";

/// Longest label in characters.
const LONGEST: usize = 120;

/// Memory of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) processes: u64,
    pub(super) memory: Option<u64>,
    pub(super) shared: Option<u64>,
    pub(super) proportional: Option<u64>,
    pub(super) resident: u64,
    pub(super) swap: u64,
}

impl Group {
    /// A group without processes.
    const NONE: Self = Self {
        processes: 0,
        memory: Some(0),
        shared: Some(0),
        proportional: Some(0),
        resident: 0,
        swap: 0,
    };

    fn new(record: &GroupRecord<'_>) -> Self {
        Self {
            processes: record.processes,
            memory: record.memory,
            shared: record.shared,
            proportional: record.pss,
            resident: record.resident,
            swap: record.swap,
        }
    }

    /// Adds another group. What is unknown of one is unknown of both.
    fn add(&mut self, other: &Self) {
        let add = |sum: &mut Option<u64>, other: Option<u64>| {
            *sum = sum.zip(other).map(|(sum, other)| sum + other);
        };
        self.processes += other.processes;
        add(&mut self.memory, other.memory);
        add(&mut self.shared, other.shared);
        add(&mut self.proportional, other.proportional);
        self.resident += other.resident;
        self.swap += other.swap;
    }

    /// Returns the size by which groups are chosen.
    fn size(&self) -> u64 {
        self.memory.or(self.proportional).unwrap_or(self.resident)
    }
}

/// Returns the label of a group: its name on one line, without hidden characters, and no longer
/// than 120 characters. A longer name ends with a hash of all of it.
fn label(name: &[u8]) -> String {
    // Units have backslashes in their names, which stay as they are.
    let parts = name.split(|&byte| byte == b'\\').map(printable_bytes);
    let text = parts.collect::<Vec<_>>().join("\\");
    if text.chars().count() <= LONGEST {
        return text;
    }
    // FNV-1a: the same in every version of this command.
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let kept: String = text.chars().take(LONGEST - 17).collect();
    format!("{kept}~{hash:016x}")
}

/// Returns the series of groups: the `top` largest by their labels, and the sum of the others.
/// Groups with equal labels are one.
///
/// `listed` has the labels of the last choice: a group that it has keeps its series until another
/// one is larger by a tenth, so that two of equal size do not take turns.
pub(super) fn choose(
    records: &[GroupRecord<'_>],
    top: usize,
    listed: &mut BTreeSet<String>,
) -> Vec<(String, Group)> {
    let mut groups = BTreeMap::<String, Group>::new();
    let mut other = Group::NONE;
    for record in records {
        let (label, group) = (label(record.group.0), Group::new(record));
        if label == OTHER {
            other.add(&group);
            continue;
        }
        groups
            .entry(label)
            .and_modify(|sum| sum.add(&group))
            .or_insert(group);
    }
    let mut ranked: Vec<_> = groups.into_iter().collect();
    ranked.sort_by_cached_key(|(label, group)| {
        let size = u128::from(group.size());
        let weight = if listed.contains(label) { 11 } else { 10 };
        (std::cmp::Reverse(size * weight), label.clone())
    });
    let others = ranked.split_off(top.min(ranked.len()));
    others.iter().for_each(|(_, group)| other.add(group));
    *listed = ranked.iter().map(|(label, _)| label.clone()).collect();
    ranked.sort_by(|(one, _), (another, _)| one.cmp(another));
    ranked.push((OTHER.to_owned(), other));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use process_introspection::GroupMemory;
    use process_introspection_export::Name;

    fn record(name: &[u8], memory: Option<u64>) -> GroupRecord<'_> {
        GroupRecord {
            memory,
            shared: memory,
            pss: Some(7),
            processes: 1,
            resident: 10,
            ..GroupRecord::new(Name(name), None, &GroupMemory::default())
        }
    }

    fn labels(chosen: &[(String, Group)]) -> Vec<&str> {
        chosen.iter().map(|(label, _)| &label[..]).collect()
    }

    #[test]
    fn the_largest_are_listed_and_the_others_are_one_sum() {
        let sizes: [(&[u8], u64); 4] = [(b"a", 10), (b"b", 40), (b"c", 20), (b"", 30)];
        let records = sizes.map(|(name, size)| record(name, Some(size)));
        let chosen = choose(&records, 2, &mut BTreeSet::new());
        assert_eq!(labels(&chosen), ["", "b", "other"]);
        let other = &chosen[2].1;
        assert_eq!((other.memory, other.processes), (Some(30), 2));
        let all = choose(&records, 9, &mut BTreeSet::new());
        assert_eq!(all.last().unwrap().1, Group::NONE);
        let none = choose(&records, 0, &mut BTreeSet::new());
        assert_eq!(none[0].1.memory, Some(100));
    }

    #[test]
    fn a_listed_group_stays_until_another_one_is_larger_by_a_tenth() {
        let mut listed = BTreeSet::new();
        for (a, b, expected) in [
            (100, 99, "a"),
            (100, 109, "a"),
            (100, 111, "b"),
            (111, 111, "b"),
        ] {
            let records = [record(b"a", Some(a)), record(b"b", Some(b))];
            let chosen = choose(&records, 1, &mut listed);
            assert_eq!(labels(&chosen), [expected, "other"], "{a} {b}");
        }
    }

    #[test]
    fn a_group_of_the_name_other_is_in_the_sum() {
        let records = [record(b"other", Some(5)), record(b"a", Some(1))];
        let chosen = choose(&records, 2, &mut BTreeSet::new());
        assert_eq!(labels(&chosen), ["a", "other"]);
        assert_eq!(chosen[1].1.memory, Some(5));
    }

    #[test]
    fn a_sum_with_an_unknown_part_is_unknown() {
        let records = [record(b"a", Some(5)), record(b"b", None)];
        let chosen = choose(&records, 0, &mut BTreeSet::new());
        let other = &chosen[0].1;
        assert_eq!((other.memory, other.proportional), (None, Some(14)));
    }

    #[test]
    fn labels_are_bounded_printable_and_differ_as_their_names() {
        let long = |end: &str| label(format!("{}{end}", "é\n".repeat(500)).as_bytes());
        let (one, other) = (long("1"), long("2"));
        assert_ne!(one, other);
        assert_eq!(one, long("1"));
        for text in [&one, &other, &label(b"\xff\x00\x1b[31m\"\\\n")] {
            assert!(text.chars().count() <= LONGEST, "{text}");
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        assert_eq!(label(br"dev-disk\x2d1.swap"), r"dev-disk\x2d1.swap");
        // Equal labels are one series.
        let records = [record(b"\xff", Some(5)), record(br"\xff", Some(6))];
        let chosen = choose(&records, 9, &mut BTreeSet::new());
        let sum: u64 = chosen.iter().filter_map(|(_, group)| group.memory).sum();
        assert_eq!(sum, 11);
        let all: BTreeSet<_> = labels(&chosen).into_iter().collect();
        assert_eq!(all.len(), chosen.len());
    }
}
