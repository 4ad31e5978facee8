//! `introspect summary`: what memory is made of, of one process; several are in
//! [`several`].

mod aside;
mod several;

use std::cmp::Reverse;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::ops::ControlFlow;

use process_introspection::{
    AddrRange, AdviceReading, MappingSummary, PhysicalMap, Process, Summary, SummaryOptions,
    SummaryStep,
};
use process_introspection_export::{
    Format, Layout, MappingUsageRecord, Record, SummaryPicture, SummaryRecord,
};

use crate::commands::{self as arguments, By};
use crate::failure::Failure;
use crate::output::sink::{Setting, Sink};
use several::Chosen;

/// `introspect summary`. Gives the status to end with.
pub(crate) fn summary(asked: &arguments::Summary) -> Result<u8, Failure> {
    if asked.launch.is_asked_for() {
        // Nothing is asked for that a privilege could forbid altogether.
        let check = || Ok(());
        return asked.launch.run(check, &asked.freeze, |process, setting| {
            of_one(asked, process, setting)
        });
    }
    let mounts = asked.mounts.mounts()?;
    if asked.all {
        return several::all(asked, &mounts).map(|()| 0);
    }
    let chosen = Chosen::named(&mounts, &asked.pids)?;
    match &chosen[..] {
        [one] => {
            let (process, standing) = one.open(&mounts, &asked.freeze)?;
            of_one(asked, &process, standing.into())
        }
        several => several::several(asked, &mounts, several),
    }
    .map(|()| 0)
}

/// What was found out of one process.
#[derive(Debug)]
struct Found {
    pid: u32,
    command: OsString,
    page_size: u64,
    summary: Summary,
    /// Sorted, if they were asked for.
    mappings: Vec<MappingSummary>,
}

impl Found {
    fn record(&self) -> SummaryRecord {
        SummaryRecord::new(self.pid, &self.command, &self.summary, self.page_size)
    }
}

/// Looks at a process, which goes on before anything is written.
fn look(
    process: &Process,
    options: &SummaryOptions<'_>,
    ranges: &[AddrRange],
    keep_mappings: bool,
    mut passed: impl FnMut(AddrRange) -> Result<(), Failure>,
) -> Result<Found, Failure> {
    let (mut mappings, mut failed) = (Vec::new(), None);
    let summary = process.summary_with(ranges, options, |step| {
        match step {
            SummaryStep::Mapping(mapping) if keep_mappings => mappings.push(mapping),
            SummaryStep::Passed(range) => failed = passed(range).err(),
            _ => {}
        }
        match failed {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    })?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    mappings.sort_by_key(|mapping| {
        let usage = &mapping.usage;
        let sizes = (
            usage.proportional(),
            usage.resident + usage.hugetlb,
            usage.virt,
        );
        (Reverse(sizes), mapping.mapping.range.start())
    });
    Ok(Found {
        pid: process.pid().unwrap_or_default(),
        command: process.command_line(),
        page_size: process.page_size().bytes(),
        summary,
        mappings,
    })
}

/// When advice of mappings about huge pages is read: never if it is not shown.
fn advice(asked: &arguments::Summary, is_shown: bool) -> AdviceReading {
    match (asked.vm_flags, is_shown && asked.by.is_none()) {
        (true, _) => AdviceReading::Always,
        (false, true) => AdviceReading::WhereCheap,
        (false, false) => AdviceReading::Never,
    }
}

/// A screen, or a line for each mapping.
fn of_one(
    asked: &arguments::Summary,
    process: &Process,
    mut setting: Setting,
) -> Result<(), Failure> {
    let layout: &Layout = match asked.by {
        None => &SummaryRecord::LAYOUT,
        Some(By::Mapping) => &MappingUsageRecord::LAYOUT,
    };
    let standing = setting.standing.take();
    let map = PhysicalMap::read_in(process.mounts())?;
    let ranges = asked.selection().ranges(process)?;
    let mut sink = Sink::gathering(&asked.output, layout, &ranges, setting)?;
    let options = SummaryOptions::new(&map).advice(advice(asked, true));
    let found = look(process, &options, &ranges, asked.by.is_some(), |range| {
        sink.passed(range)
    });
    drop(standing);
    sink.end_progress();
    write(asked, &found?, &map, &mut sink)?;
    sink.finish()
}

fn write(
    asked: &arguments::Summary,
    found: &Found,
    map: &PhysicalMap,
    sink: &mut Sink,
) -> Result<(), Failure> {
    let missing = missing(&found.summary);
    let is_picture = asked.by.is_none() && matches!(asked.output.format.0, Format::Table);
    for what in missing.iter().filter(|_| !is_picture) {
        // Where nobody can be told, the records still show it.
        let _ = writeln!(io::stderr(), "introspect: process {}: {what}", found.pid);
    }
    if asked.by.is_none() {
        return sink.write(&SummaryPicture {
            record: &found.record(),
            missing: &missing,
            by_node: map.has_several_nodes(),
            ascii: !has_utf8(),
        });
    }
    for mapping in &found.mappings {
        sink.write(&MappingUsageRecord::new(found.pid, &found.summary, mapping))?;
    }
    Ok(())
}

/// What a summary lacks, and why.
fn missing(summary: &Summary) -> Vec<String> {
    let mut missing = Vec::new();
    if !summary.knows_addresses {
        missing.push(
            "addresses need CAP_SYS_ADMIN: without it no PSS, USS, page sizes, extents, nodes, \
             and the zero page counts as resident"
                .to_owned(),
        );
    } else if !summary.knows_frames {
        missing.push(
            "the kernel's files on page frames are root's: without them no PSS, USS, page sizes"
                .to_owned(),
        );
    }
    if summary.coverage.is_none() {
        missing.push("this kernel does not tell huge pages (Linux 6.7 does)".to_owned());
    }
    missing
}

/// Whether the locale can have other blocks than `#`.
fn has_utf8() -> bool {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL")
        .or_else(|| set("LC_CTYPE"))
        .or_else(|| set("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
