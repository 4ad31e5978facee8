//! Record of what changed between two times: of a mapping, of a process, or of all.

use process_introspection::{MappingChanges, MemoryChanges};

use crate::field::{record, Fields, Show};
use crate::name::Name;
use crate::number::{rough, Hex, Time};
use crate::page::protection_name;
use crate::record::Record;
use crate::table::{Notes, Row};
use crate::types::word_list;
use crate::value::Decimal;
use crate::words::{mapping_kinds, PROTECTION};

word_list! {
    /// Subject of a record of changes.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum ChangeOf {
        /// Mapping.
        #[default]
        Mapping = "mapping",
        /// Process: the sum of its mappings.
        Process = "process",
        /// All processes: the sum.
        Total = "total",
    }
}

word_list! {
    /// Change of a mapping or a process as a whole.
    #[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum ChangeKind {
        /// It existed both times, and something is different.
        #[default]
        Changed = "changed",
        /// Mapping that did not exist before.
        New = "new",
        /// Mapping that does not exist any more.
        Gone = "gone",
        /// Process that did not exist before.
        Started = "started",
        /// Process that does not exist any more.
        Ended = "ended",
        /// Nothing is different.
        Same = "same",
    }
}

record! {
    /// Change of memory between two times: of a mapping, of a process, or of all processes.
    /// Each page belongs to at most one of grown, freed, swapped_out, swapped_in,
    /// new_in_swap, freed_from_swap, moved, replaced and poisoned.
    #[derive(Copy, Default)]
    pub struct ChangeRecord<'a> {
        /// Subject: a mapping, a process as the sum of its mappings, or the total of all.
        pub record: ChangeOf,
        /// Change as a whole: a mapping is new or gone, a process has started or ended, or
        /// it existed both times.
        pub change: ChangeKind = text(2, "CHANGE", 7),
        /// First time.
        pub before_at: Time,
        /// Second time.
        pub after_at: Time,
        /// Process, in the PID namespace of the program that read it.
        pub pid: Option<u32> = number(0, "PID", 7).null("in the total"),
        /// Unique PID: a number that no other process of this boot has.
        pub unique_pid: Option<Decimal> = null("in the total, or if it is unknown"),
        /// Command line of the process. Bytes that are not UTF-8 are replaced.
        pub command: Name<'a> = also(8, Show::Command).null("in records of mappings and the total"),
        /// First virtual address of the mapping.
        pub vaddr: Option<Hex> = number(1, "VADDR", 12).null("unless it is a mapping"),
        /// Size of the mapping afterwards, in bytes; before, if it is gone.
        pub size: Option<u64> = bytes().null("unless it is a mapping"),
        /// Protection of the mapping: read, write, execute, with - for what is not allowed.
        pub prot: Option<&'static str> = pattern(PROTECTION).null("unless it is a mapping"),
        /// Whether the mapping is shared, not private.
        pub shared: Option<bool> = null("unless it is a mapping"),
        /// Kind of the mapping.
        pub kind: Option<&'static str> = one_of(mapping_kinds).null("unless it is a mapping"),
        /// Name of the mapping: the path of its object, or a name of the kernel's in
        /// brackets. Bytes that are not UTF-8 are replaced.
        pub path: Name<'a> = text(8, "NAME", 0).null("if it has no name, or is no mapping"),
        /// Pages with at least one change, each once, in bytes.
        pub changed: u64 = bytes(),
        /// Bytes of virtual memory that only the second time has.
        pub mapped: u64 = bytes(),
        /// Bytes of virtual memory that only the first time had.
        pub unmapped: u64 = bytes(),
        /// Bytes in memory before: RAM and memory of devices, without the zero page.
        pub memory_before: u64 = bytes().rough(3, "BEFORE", 6),
        /// Bytes in memory afterwards.
        pub memory_after: u64 = bytes().rough(4, "AFTER", 6),
        /// Bytes in swap before, by page-table entries.
        pub swap_before: u64 = bytes(),
        /// Bytes in swap afterwards.
        pub swap_after: u64 = bytes(),
        /// Bytes that had neither memory nor swap and are in memory.
        pub grown: u64 = bytes().rough(5, "GROWN", 6),
        /// Bytes that were in memory and have neither memory nor swap: unmapped, discarded,
        /// or reclaimed pages of files and of shared memory.
        pub freed: u64 = bytes().rough(6, "FREED", 6),
        /// Bytes that were in memory and are in swap.
        pub swapped_out: u64 = bytes(),
        /// Bytes that were in swap and are in memory.
        pub swapped_in: u64 = bytes(),
        /// Bytes that had neither memory nor swap and are in swap.
        pub new_in_swap: u64 = bytes(),
        /// Bytes that were in swap and have neither swap nor memory.
        pub freed_from_swap: u64 = bytes(),
        /// Bytes in another frame than before: migration, compaction, merging, or pages that
        /// were read again.
        pub moved: Option<u64> = bytes().rough(7, "MOVED", 6)
            .null("if no addresses could be compared"),
        /// Bytes of pages of an object that became private copies, or back.
        pub replaced: u64 = bytes(),
        /// Bytes that a memory error took away.
        pub poisoned: u64 = bytes(),
        /// Bytes in memory both times that only afterwards page-table entries larger than a
        /// base page map.
        pub became_huge: Option<u64> = bytes().null("if no sizes of entries could be compared"),
        /// Bytes in memory both times that only before such entries mapped.
        pub stopped_huge: Option<u64> = bytes().null("as for became_huge"),
        /// Bytes in memory both times, of which an address is unknown.
        pub unknown_address: u64 = bytes(),
        /// Bytes in memory both times, of which the size of a page-table entry is unknown.
        pub unknown_size: u64 = bytes(),
        /// Bytes of which a state is unknown.
        pub unknown_state: u64 = bytes(),
        /// Number of processes that started.
        pub processes_started: Option<u64> = null("unless it is the total"),
        /// Number of processes that ended.
        pub processes_ended: Option<u64> = null("unless it is the total"),
        /// Number of processes that existed both times, and in which something is different.
        pub processes_changed: Option<u64> = null("unless it is the total"),
        /// Number of processes in which nothing is different.
        pub processes_same: Option<u64> = null("unless it is the total"),
        /// Number of processes that could not be read, at one of the times or both.
        pub processes_unread: Option<u64> = null("unless it is the total"),
    }
}

impl<'a> ChangeRecord<'a> {
    /// Returns a record of these changes, whose subject is not set.
    pub fn of(changes: &MemoryChanges) -> Self {
        let knows_addresses = changes.compared_addresses > 0 || changes.unknown_address == 0;
        let knows_sizes = changes.compared_sizes > 0 || changes.unknown_size == 0;
        Self {
            change: match changes.differ() {
                true => ChangeKind::Changed,
                false => ChangeKind::Same,
            },
            changed: changes.changed,
            mapped: changes.mapped,
            unmapped: changes.unmapped,
            memory_before: changes.memory_before,
            memory_after: changes.memory_after,
            swap_before: changes.swap_before,
            swap_after: changes.swap_after,
            grown: changes.grown,
            freed: changes.freed,
            swapped_out: changes.swapped_out,
            swapped_in: changes.swapped_in,
            new_in_swap: changes.new_in_swap,
            freed_from_swap: changes.freed_from_swap,
            moved: knows_addresses.then_some(changes.moved),
            replaced: changes.replaced,
            poisoned: changes.poisoned,
            became_huge: knows_sizes.then_some(changes.became_huge),
            stopped_huge: knows_sizes.then_some(changes.stopped_huge),
            unknown_address: changes.unknown_address,
            unknown_size: changes.unknown_size,
            unknown_state: changes.unknown_state,
            ..Self::default()
        }
    }

    /// Returns the record of a mapping.
    pub fn of_mapping(row: &'a MappingChanges) -> Self {
        let record = Self::of(&row.changes);
        let Some(mapping) = row.after.as_ref().or(row.before.as_ref()) else {
            return record;
        };
        Self {
            record: ChangeOf::Mapping,
            change: match (&row.before, &row.after) {
                (None, _) => ChangeKind::New,
                (_, None) => ChangeKind::Gone,
                _ => record.change,
            },
            vaddr: Some(mapping.range.start().into()),
            size: Some(mapping.range.size()),
            prot: Some(protection_name(mapping.protection)),
            shared: Some(mapping.shared),
            kind: Some(mapping.kind().name()),
            path: Name(mapping.name().as_bytes()),
            ..record
        }
    }

    /// Returns the numbers that have no column, with what they mean.
    fn others(&self) -> [(u64, &'static str); 13] {
        let unknown = |bytes| match self.record {
            // Most mappings of the kernel's have such pages.
            ChangeOf::Mapping => 0,
            _ => bytes,
        };
        [
            (self.mapped, "mapped"),
            (self.unmapped, "unmapped"),
            (self.swapped_out, "swapped out"),
            (self.swapped_in, "swapped in"),
            (self.new_in_swap, "new in swap"),
            (self.freed_from_swap, "freed from swap"),
            (self.replaced, "replaced by copies"),
            (self.poisoned, "poisoned"),
            (self.became_huge.unwrap_or_default(), "became huge"),
            (self.stopped_huge.unwrap_or_default(), "stopped being huge"),
            (unknown(self.unknown_address), "of unknown address"),
            (unknown(self.unknown_size), "of unknown entry size"),
            (unknown(self.unknown_state), "of unknown state"),
        ]
    }
}

impl Record for ChangeRecord<'_> {
    fn row(&self, row: &mut Row<'_>) {
        self.visit(row);
        for (title, bytes) in [
            ("GROWN", Some(self.grown)),
            ("FREED", Some(self.freed)),
            ("MOVED", self.moved),
        ] {
            match bytes {
                Some(0) => row.set(title, ""),
                None => row.set(title, "?"),
                Some(_) => {}
            }
        }
        match (self.record, self.kind) {
            // Memory without a name is known by its kind.
            (ChangeOf::Mapping, Some(kind)) if self.path.0.is_empty() => row.set("NAME", kind),
            (ChangeOf::Total, _) => row.set("PID", "total"),
            _ => {}
        }
    }

    fn notes(&self, notes: &mut Notes<'_>) {
        let mut others = self
            .others()
            .into_iter()
            .filter(|(bytes, _)| *bytes > 0)
            .peekable();
        while let Some((bytes, what)) = others.next() {
            let comma = if others.peek().is_some() { "," } else { "" };
            notes.phrase(&format!("{} {what}{comma}", rough(bytes)));
        }
        if self.record != ChangeOf::Total {
            return;
        }
        notes.end_line();
        notes.phrase(&format!("from {}", self.before_at));
        notes.phrase(&format!("to {}", self.after_at));
        let counts = [
            (self.processes_started, "started"),
            (self.processes_ended, "ended"),
            (self.processes_changed, "changed"),
            (self.processes_same, "the same"),
            (self.processes_unread, "not read"),
        ];
        let counts = counts.into_iter().filter_map(|(count, what)| match count {
            None | Some(0) => None,
            Some(count) => Some(format!("{count} {what}")),
        });
        let counts: Vec<_> = counts.collect();
        if !counts.is_empty() {
            notes
                .end_line()
                .phrase(&format!("processes: {}", counts.join(", ")));
        }
    }
}
