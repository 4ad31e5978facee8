//! Description of the records of an output, for formats that have a place for one.

use std::collections::HashMap;

use process_introspection::{AddrRange, Host, PageSize, Process};
use process_introspection_dataset::description::of_machine;
use process_introspection_dataset::lake::Snapshot;
use process_introspection_dataset::tables::processes::ProcessRow;

use crate::source::stored::Identity;
use crate::source::Source;

/// Facts, each with its name.
type Facts = Vec<(&'static str, String)>;

/// Source of records, as their description shows it.
pub(crate) trait Described {
    /// Returns the facts that are known of it: of the machine and the time, and of the
    /// process if it is one.
    fn facts(&self) -> Facts;
}

impl Described for Process {
    fn facts(&self) -> Facts {
        let mut facts = of_machine(Host::read_in(self.mounts()), self.page_size());
        let pid = self.pid().map(|pid| pid.to_string());
        let unique_pid = self.unique_pid().ok().map(|unique| unique.to_string());
        facts.extend(pid.map(|pid| ("pid", pid)));
        facts.extend(unique_pid.map(|unique| ("unique_pid", unique)));
        facts
    }
}

impl Described for Snapshot {
    fn facts(&self) -> Facts {
        let row = self.row();
        let host = String::from_utf8_lossy(&row.host_name.0).into_owned();
        let mut facts = vec![
            ("snapshot_id", self.entry().id().to_string()),
            ("started_at", row.head.taken_at.to_string()),
            ("page_size", row.page_size.to_string()),
            ("host", host),
            ("kernel", row.head.kernel.clone()),
            ("architecture", row.arch.clone()),
        ];
        facts.extend(row.boot_id.clone().map(|boot| ("boot_id", boot)));
        facts
    }
}

impl Described for Source<'_> {
    fn facts(&self) -> Facts {
        match self {
            Self::Live(process) => process.facts(),
            Self::Stored(process) => of_stored(process.snapshot(), process.row()),
        }
    }
}

impl Described for Identity<'_> {
    fn facts(&self) -> Facts {
        of_stored(self.snapshot, self.row)
    }
}

fn of_stored(snapshot: &Snapshot, row: &ProcessRow) -> Facts {
    let mut facts = snapshot.facts();
    facts.push(("pid", row.pid.to_string()));
    facts.push(("unique_pid", row.unique_pid.to_string()));
    facts
}

/// Returns the facts of this program.
fn of_tool() -> Facts {
    vec![
        ("tool", "introspect".to_owned()),
        ("tool_version", env!("CARGO_PKG_VERSION").to_owned()),
    ]
}

/// Returns the description of the files of a snapshot of this machine.
pub(crate) fn of_snapshot(host: Host) -> Vec<(String, String)> {
    let page_size = host.page_size;
    let facts = of_machine(host, page_size).into_iter().chain(of_tool());
    facts.map(|(key, text)| (key.to_owned(), text)).collect()
}

/// Returns the description of records of these ranges of a source, or of other records, that
/// are read from now on.
pub(crate) fn of(source: Option<&dyn Described>, ranges: &[AddrRange]) -> HashMap<String, String> {
    let mut texts = match source {
        Some(source) => source.facts(),
        None => of_machine(Host::read(), PageSize::base()),
    };
    texts.extend(of_tool());
    if !ranges.is_empty() {
        let ranges = ranges.iter().map(|range| {
            let (start, end) = (range.start().as_u64(), range.end().as_u64());
            format!("{start:#x}-{end:#x}")
        });
        texts.push(("ranges", ranges.collect::<Vec<_>>().join(",")));
    }
    let texts = texts.into_iter();
    texts.map(|(key, text)| (key.to_owned(), text)).collect()
}
