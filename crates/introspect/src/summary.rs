//! `introspect summary`: what memory is made of, of some processes or of all.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::env;
use std::io::{self, Write};
use std::ops::ControlFlow;

use process_introspection::{
    all_processes, AddrRange, MappingSummary, PhysicalMap, Process, Summary, SummaryStep,
};
use process_introspection_export::{
    Format, HugePagesRecord, Layout, MappingUsageRecord, ProcessLine, Record, SummaryPicture,
    SummaryRecord, UsageRecord, WithPid,
};

use crate::arguments::{self, By};
use crate::count::processes;
use crate::failure::Failure;
use crate::sink::{Setting, Sink};
use crate::standing::Standing;
use crate::target::{beginning, printable};

/// `introspect summary`. Gives the status to end with.
pub(crate) fn summary(asked: &arguments::Summary) -> Result<u8, Failure> {
    if asked.launch.is_asked_for() {
        // Nothing is asked for that a privilege could forbid altogether.
        let check = || Ok(());
        return asked
            .launch
            .run(check, &asked.freeze, |process, mut setting| {
                let standing = setting.standing.take();
                let found = Ok((process, standing));
                of_each(asked, setting, 1, std::iter::once(found))
            });
    }
    if asked.all {
        return all(asked).map(|()| 0);
    }
    let opened = asked.pids.iter().map(|text| {
        let process = text.open()?;
        let standing = asked.freeze.stop(&process, text)?;
        Ok((process, standing))
    });
    of_each(asked, Setting::default(), asked.pids.len(), opened).map(|()| 0)
}

/// What was found out of one process.
struct Found {
    pid: u32,
    command: String,
    page_size: u64,
    summary: Summary,
    /// Sorted, if they were asked for.
    mappings: Vec<MappingSummary>,
}

impl Found {
    fn record(&self) -> SummaryRecord {
        SummaryRecord::new(
            self.pid,
            self.command.clone(),
            &self.summary,
            self.page_size,
        )
    }
}

/// Looks at a process, which goes on before anything is written.
fn look(
    process: &Process,
    map: &PhysicalMap,
    ranges: &[AddrRange],
    keep_mappings: bool,
    mut passed: impl FnMut(AddrRange) -> Result<(), Failure>,
) -> Result<Found, Failure> {
    let (mut mappings, mut failed) = (Vec::new(), None);
    let summary = process.summary_of(ranges, map, |step| {
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
        command: process.command_line().to_string_lossy().into_owned(),
        page_size: process.page_size().bytes(),
        summary,
        mappings,
    })
}

/// A screen for each, or a line for each mapping. If one fails, those before
/// are shown.
fn of_each<P: Borrow<Process>>(
    asked: &arguments::Summary,
    setting: Setting,
    count: usize,
    mut processes: impl Iterator<Item = Result<(P, Option<Standing>), Failure>>,
) -> Result<(), Failure> {
    let layout: &Layout = match (asked.by, count) {
        (None, _) => &SummaryRecord::LAYOUT,
        (Some(By::Mapping), 1) => &MappingUsageRecord::LAYOUT,
        (Some(By::Mapping), _) => &WithPid::LAYOUT,
    };
    let map = PhysicalMap::read()?;
    // What fails first is found out before the output is opened.
    let first = processes.next().transpose()?;
    let mut sink = Sink::gathering(&asked.output, layout, &[AddrRange::ALL], setting)?;
    let mut all = Vec::new();
    let looked: Result<(), Failure> =
        first
            .map(Ok)
            .into_iter()
            .chain(processes)
            .try_for_each(|next| {
                let (process, standing) = next?;
                let process = process.borrow();
                let ranges = asked.selection().ranges(process)?;
                let found = look(process, &map, &ranges, asked.by.is_some(), |range| {
                    sink.passed(range)
                });
                drop(standing);
                all.push(found?);
                Ok(())
            });
    sink.end_progress();
    for found in &all {
        write(asked, count, found, &mut sink)?;
    }
    looked?;
    sink.finish()
}

fn write(
    asked: &arguments::Summary,
    count: usize,
    found: &Found,
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
            ascii: !has_utf8(),
        });
    }
    for mapping in &found.mappings {
        let record = MappingUsageRecord::new(found.pid, &found.summary, mapping);
        match count {
            1 => sink.write(&record)?,
            _ => sink.write(&WithPid(record))?,
        }
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

/// Processes of which nothing can be told, and why.
#[derive(Debug, Default)]
struct Unread {
    ended: u64,
    refused: u64,
    failed: Vec<String>,
}

impl Unread {
    fn note(&mut self, pid: u32, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::Library(error) if error.is_gone() => self.ended += 1,
            Failure::Library(error) if error.is_permission_denied() => self.refused += 1,
            Failure::Library(error) => self.failed.push(format!("process {pid}: {error}")),
            other => return Err(other),
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = self.failed.clone();
        if self.refused > 0 {
            let them = if self.refused == 1 { "it" } else { "them" };
            lines.push(format!(
                "not in the list: {}, because reading {them} is refused to this user or here",
                processes(self.refused)
            ));
        }
        if self.ended > 0 {
            lines.push(format!(
                "not in the list: {} that ended meanwhile",
                processes(self.ended)
            ));
        }
        lines
    }
}

/// `introspect summary --all`.
fn all(asked: &arguments::Summary) -> Result<(), Failure> {
    let processes = all_processes()?;
    let is_table = matches!(asked.output.format.0, Format::Table);
    let layout = match is_table {
        true => &ProcessLine::LAYOUT,
        false => &SummaryRecord::LAYOUT,
    };
    let map = PhysicalMap::read()?;
    let mut sink = Sink::over_processes(&asked.output, layout)?;
    let (mut records, mut unread, mut lacks) = (Vec::new(), Unread::default(), Vec::new());
    for (done, process) in processes.iter().enumerate() {
        sink.passed_processes(done, processes.len());
        sink.check()?;
        let looked = Process::open(process)
            .map_err(Failure::from)
            .and_then(|opened| {
                // Kernel threads, and those that have ended.
                if opened.virtual_regions(..)?.next().is_none() {
                    return Ok(None);
                }
                let all = [AddrRange::ALL];
                look(&opened, &map, &all, false, |_| sink.check()).map(Some)
            });
        match looked {
            Ok(Some(found)) => {
                for what in missing(&found.summary) {
                    if !lacks.contains(&what) {
                        lacks.push(what);
                    }
                }
                let mut record = found.record();
                record.command = match is_table {
                    true => beginning(&printable(&process.command_line)),
                    false => process.command_line.to_string_lossy().into_owned(),
                };
                records.push(record);
            }
            Ok(None) => {}
            Err(failure) => unread.note(process.pid(), failure)?,
        }
    }
    sink.end_progress();
    records.sort_by_key(|record| {
        let usage = &record.total;
        (Reverse((usage.pss, usage.resident, usage.virt)), record.pid)
    });
    for record in &records {
        match is_table {
            true => sink.write(&ProcessLine(record))?,
            false => sink.write(record)?,
        }
    }
    if let Some(total) = is_table.then(|| total(&records)).flatten() {
        sink.write(&ProcessLine(&total))?;
    }
    sink.finish()?;
    for what in unread.lines().iter().chain(&lacks) {
        // Where nobody can be told, the list is still true.
        let _ = writeln!(io::stderr(), "introspect: {what}");
    }
    Ok(())
}

/// The line of all; what a sum says nothing of is not in it.
fn total(records: &[SummaryRecord]) -> Option<SummaryRecord> {
    let mut records_left = records.iter();
    let mut sum = records_left.next()?.clone();
    sum.pid = 0;
    sum.command = processes(records.len() as u64);
    (sum.kinds, sum.page_sizes, sum.nodes) = (Vec::new(), None, None);
    for record in records_left {
        sum.mappings += record.mappings;
        add_usage(&mut sum.total, &record.total);
        sum.huge_pages = sum.huge_pages.zip(record.huge_pages).map(add_huge_pages);
        let both = sum.contiguity.take().zip(record.contiguity.as_ref());
        sum.contiguity = both.map(|(mut sum, other)| {
            sum.extents += other.extents;
            sum.bytes += other.bytes;
            sum
        });
    }
    if let Some(contiguity) = &mut sum.contiguity {
        // Not to be had from those of the parts.
        (contiguity.median, contiguity.half_in) = (None, None);
        contiguity.largest.clear();
        contiguity.at_least.clear();
        contiguity.histogram.clear();
    }
    Some(sum)
}

fn add_usage(sum: &mut UsageRecord, other: &UsageRecord) {
    let add = |sum: Option<u64>, other: Option<u64>| sum.zip(other).map(|(a, b)| a + b);
    sum.virt += other.virt;
    sum.resident += other.resident;
    sum.pss = add(sum.pss, other.pss);
    sum.uss = add(sum.uss, other.uss);
    sum.swap += other.swap;
    sum.zero = add(sum.zero, other.zero);
    sum.hugetlb += other.hugetlb;
}

fn add_huge_pages((sum, other): (HugePagesRecord, HugePagesRecord)) -> HugePagesRecord {
    HugePagesRecord {
        size: sum.size,
        mapped: sum.mapped + other.mapped,
        too_small: sum.too_small + other.too_small,
        alignment: sum.alignment + other.alignment,
        holes: sum.holes + other.holes,
        fragmented: sum.fragmented + other.fragmented,
        small_entries: sum.small_entries + other.small_entries,
        frames_hidden: sum.frames_hidden + other.frames_hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_list_is_said_in_the_right_number() {
        let unread = |ended, refused| Unread {
            ended,
            refused,
            failed: vec!["process 7: cannot".to_owned()],
        };
        let one = [
            "process 7: cannot",
            "not in the list: 1 process, because reading it is refused to this user or here",
            "not in the list: 1 process that ended meanwhile",
        ];
        assert_eq!(unread(1, 1).lines(), one);
        let several = unread(2, 3).lines();
        assert!(several[1].starts_with("not in the list: 3 processes, because reading them is"));
        assert_eq!(
            several[2],
            "not in the list: 2 processes that ended meanwhile"
        );
        assert_eq!(Unread::default().lines(), [""; 0]);
    }
}
