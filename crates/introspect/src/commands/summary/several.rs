//! `introspect summary` of several processes, or of all: which they are, a line
//! for each, and the sum.

use std::cmp::Reverse;
use std::io::{self, Write};

use process_introspection::{
    HugePageSettings, Mounts, PhysicalMap, Process, SummaryOptions, Target,
};
use process_introspection_export::{
    Format, HugePagesRecord, Layout, MappingUsageRecord, ProcessLine, Record, SummaryRecord,
    UsageRecord, WithPid,
};

use super::aside::Aside;
use super::{advice, look, missing, Found};
use crate::commands::{self as arguments, By, FreezeOption};
use crate::control::freeze::Standing;
use crate::failure::Failure;
use crate::options::pid::TargetText;
use crate::options::target::beginning;
use crate::output::count::processes;
use crate::output::sink::Sink;

/// A process to look at.
#[derive(Debug)]
pub(super) struct Chosen {
    target: Target,
    /// How it is called in messages.
    name: TargetText,
    /// Whether it was named by its number: then it must be there, and readable.
    required: bool,
}

impl Chosen {
    /// Returns the processes that these texts mean, at least one for each: all of
    /// a name.
    pub(super) fn named(mounts: &Mounts, texts: &[TargetText]) -> Result<Vec<Self>, Failure> {
        let mut chosen = Vec::new();
        for text in texts {
            match &text.find_all(mounts)?[..] {
                several @ [_, _, ..] => {
                    chosen.extend(several.iter().map(|&target| Self::found(target)));
                }
                targets => chosen.extend(targets.iter().map(|&target| Self {
                    target,
                    name: text.clone(),
                    required: true,
                })),
            }
        }
        Ok(chosen)
    }

    /// A process of a list, which can have ended by now.
    fn found(target: Target) -> Self {
        let name = match target {
            Target::Caller => TargetText::This,
            Target::Pid(pid) | Target::Unique { pid, .. } => TargetText::Number(pid.into()),
        };
        Self {
            target,
            name,
            required: false,
        }
    }

    /// Opens the process, and stops it if that is asked for.
    pub(super) fn open(
        &self,
        mounts: &Mounts,
        freeze: &FreezeOption,
    ) -> Result<(Process, Option<Standing>), Failure> {
        let process = mounts.process(self.target)?;
        let standing = freeze.stop(&process, &self.name)?;
        Ok((process, standing))
    }
}

/// What was found out of several processes.
#[derive(Default)]
struct Gathered {
    found: Vec<Found>,
    unread: Unread,
    /// What ended it early.
    failed: Option<Failure>,
}

/// `introspect summary --all`: a line for each process, and the sum.
pub(super) fn all(asked: &arguments::Summary, mounts: &Mounts) -> Result<(), Failure> {
    let processes = mounts.all_pids()?;
    let map = PhysicalMap::read_in(mounts)?;
    let is_table = matches!(asked.output.format.0, Format::Table);
    let sink = Sink::over_processes(&asked.output, layout(asked))?;
    // The table says nothing of kinds.
    let mut aside = Aside::new(mounts, map, !is_table, asked.deadline);
    let mut gathered = Gathered::default();
    for (done, &process) in processes.iter().enumerate() {
        sink.passed_processes(done, processes.len());
        sink.check()?;
        match aside.look(process, || sink.check()) {
            Ok(found) => gathered.found.extend(found),
            Err(failure) => gathered.unread.note(failure)?,
        }
    }
    report(asked, gathered, sink)
}

/// `introspect summary` of several processes: a line for each, and the sum; or a
/// line for each of their mappings. If one that was named by its number fails,
/// those before are shown.
pub(super) fn several(
    asked: &arguments::Summary,
    mounts: &Mounts,
    chosen: &[Chosen],
) -> Result<(), Failure> {
    if matches!(asked.output.format.0, Format::Table) && asked.vm_flags {
        return Err(Failure::Message(
            "--vm-flags is for one process, or for --format json, jsonl or csv: the table of \
             several shows nothing of it"
                .to_owned(),
        ));
    }
    // What fails first is found out before the output is opened.
    if let Some(first) = chosen.first().filter(|first| first.required) {
        mounts.process(first.target)?;
    }
    let map = PhysicalMap::read_in(mounts)?;
    let sink = Sink::over_processes(&asked.output, layout(asked))?;
    let gathered = gather(asked, mounts, chosen, &map, &sink)?;
    report(asked, gathered, sink)
}

fn layout(asked: &arguments::Summary) -> &'static Layout {
    match (asked.by, asked.output.format.0) {
        (Some(By::Mapping), _) => &WithPid::LAYOUT,
        (None, Format::Table) => &ProcessLine::LAYOUT,
        (None, _) => &SummaryRecord::LAYOUT,
    }
}

/// Writes what was found, and says what was not read.
fn report(asked: &arguments::Summary, gathered: Gathered, mut sink: Sink) -> Result<(), Failure> {
    let Gathered {
        mut found,
        unread,
        failed,
    } = gathered;
    let is_table = matches!(asked.output.format.0, Format::Table);
    sink.end_progress();
    found.sort_by_key(|found| {
        let usage = &found.summary.total;
        let sizes = (usage.proportional(), usage.resident, usage.virt);
        (Reverse(sizes), found.pid)
    });
    let mut lacks = Vec::new();
    for what in found.iter().flat_map(|found| missing(&found.summary)) {
        if !lacks.contains(&what) {
            lacks.push(what);
        }
    }
    match asked.by {
        Some(By::Mapping) => write_mappings(&found, &mut sink)?,
        None => write_processes(found, is_table, &mut sink)?,
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    sink.finish()?;
    for what in unread.lines().iter().chain(&lacks) {
        // Where nobody can be told, the list is still true.
        let _ = writeln!(io::stderr(), "introspect: {what}");
    }
    Ok(())
}

fn gather(
    asked: &arguments::Summary,
    mounts: &Mounts,
    chosen: &[Chosen],
    map: &PhysicalMap,
    sink: &Sink,
) -> Result<Gathered, Failure> {
    let mut gathered = Gathered::default();
    let mut settings = None;
    // The table does not show it.
    let shows_advice = !matches!(asked.output.format.0, Format::Table);
    for (done, one) in chosen.iter().enumerate() {
        sink.passed_processes(done, chosen.len());
        sink.check()?;
        let looked = one
            .open(mounts, &asked.freeze)
            .and_then(|(process, standing)| {
                let pid = process.pid().unwrap_or_default();
                if gathered.found.iter().any(|before| before.pid == pid) {
                    return Ok(None);
                }
                // Kernel threads, and those that have ended.
                if !one.required && process.virtual_regions(..)?.next().is_none() {
                    return Ok(None);
                }
                let ranges = asked.selection().ranges(&process)?;
                // Once: they are the machine's.
                let size = process.page_size().pmd().bytes();
                let settings =
                    settings.get_or_insert_with(|| HugePageSettings::read_in(mounts, size));
                let options = SummaryOptions::new(map)
                    .settings(settings)
                    .advice(advice(asked, shows_advice));
                let found = look(&process, &options, &ranges, asked.by.is_some(), |_| {
                    sink.check()
                });
                drop(standing);
                found.map(Some)
            });
        match looked {
            Ok(found) => gathered.found.extend(found),
            Err(failure) if one.required => {
                gathered.failed = Some(failure);
                break;
            }
            Err(failure) => gathered.unread.note(failure)?,
        }
    }
    Ok(gathered)
}

fn write_mappings(all: &[Found], sink: &mut Sink) -> Result<(), Failure> {
    for found in all {
        for mapping in &found.mappings {
            let record = MappingUsageRecord::new(found.pid, &found.summary, mapping);
            sink.write(&WithPid(record))?;
        }
    }
    Ok(())
}

fn write_processes(all: Vec<Found>, is_table: bool, sink: &mut Sink) -> Result<(), Failure> {
    let records = all.into_iter().map(|found| {
        let mut record = found.record();
        if is_table {
            record.command = beginning(&record.command);
        }
        record
    });
    let records: Vec<_> = records.collect();
    for record in &records {
        match is_table {
            true => sink.write(&ProcessLine(record))?,
            false => sink.write(record)?,
        }
    }
    match is_table.then(|| total(&records)).flatten() {
        Some(total) => sink.write(&ProcessLine(&total)),
        None => Ok(()),
    }
}

/// Processes of which nothing can be told, and why.
#[derive(Debug, Default)]
struct Unread {
    ended: u64,
    refused: u64,
    failed: Vec<String>,
}

impl Unread {
    fn note(&mut self, failure: Failure) -> Result<(), Failure> {
        match failure {
            Failure::Library(error) if error.is_gone() => self.ended += 1,
            Failure::Library(error) if error.is_permission_denied() => self.refused += 1,
            Failure::Library(error) => self.failed.push(format!("not in the list: {error}")),
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

/// The line of all; what a sum says nothing of is not in it.
fn total(records: &[SummaryRecord]) -> Option<SummaryRecord> {
    let mut records_left = records.iter();
    let mut sum = records_left.next()?.clone();
    sum.pid = 0;
    sum.command = processes(records.len() as u64);
    sum.command_hex = None;
    (sum.kinds, sum.page_sizes, sum.nodes) = (Vec::new(), None, None);
    for record in records_left {
        sum.mappings += record.mappings;
        add_usage(&mut sum.total, &record.total);
        let huge_pages = sum.huge_pages.take().zip(record.huge_pages.as_ref());
        sum.huge_pages = huge_pages.map(add_huge_pages);
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

/// Adds what a line shows of huge pages.
fn add_huge_pages((mut sum, other): (HugePagesRecord, &HugePagesRecord)) -> HugePagesRecord {
    sum.mapped += other.mapped;
    sum
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
