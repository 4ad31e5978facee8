//! Description of the records of an output, for formats that have a place for one. Opens no
//! file.

use std::collections::HashMap;
use std::time::SystemTime;

use process_introspection::{AddrRange, PageSize, Process};
use process_introspection_export::Time;

/// Returns the description of records of these ranges of a process, or of other records, that
/// are read from now on.
pub(crate) fn of(process: Option<&Process>, ranges: &[AddrRange]) -> HashMap<String, String> {
    let mut texts = vec![
        ("tool", "introspect".to_owned()),
        ("tool_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("started_at", Time::from(SystemTime::now()).to_string()),
        ("page_size", PageSize::base().bytes().to_string()),
    ];
    if let Some(process) = process {
        let pid = process.pid().map(|pid| pid.to_string());
        let unique_pid = process.unique_pid().ok().map(|unique| unique.to_string());
        texts.extend(pid.map(|pid| ("pid", pid)));
        texts.extend(unique_pid.map(|unique| ("unique_pid", unique)));
    }
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
