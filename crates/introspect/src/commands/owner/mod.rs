//! `introspect owner`: the processes that map physical memory, and the use of its pages.

mod log;
mod payers;
mod stored;
mod stored_frames;
mod totals;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{value_parser, Args};
use process_introspection::{
    owners, Coverage, OwnerEvent, PageRun, PageSize, PageUses, PassOptions, PhysRange, Process,
};
use process_introspection_export::{
    Fields, Layout, OwnerRecord, OwnerTotalRecord, Record, Searched,
};

use crate::commands::address_check;
use crate::failure::{continue_unless, warn, Failure};
use crate::options::from::FromOptions;
use crate::options::mounts::MountOptions;
use crate::options::output::OutputOptions;
use crate::options::range::PhysicalRangeText;
use crate::options::sorting::SortOptions;
use crate::options::stats::StatsOption;
use crate::output::sink::Sink;
use crate::text::counted;
use log::{Log, NamedPages};
use payers::Payers;
use totals::Totals;
use watch::Watch;

const USAGE: &str = "\
introspect owner [OPTIONS] <PADDR>...
       introspect owner [OPTIONS] --from-log <FILE> [PADDR]...
       introspect owner [OPTIONS] --kmsg [PADDR]...";

const EXAMPLES: &str = "\
Examples:
  introspect owner pfn:1163651 100000+2M --format json
  introspect owner 11c183000 --watch --interval 100ms
  introspect owner 100000000+1G --by-process --top 10
  introspect owner --from-log /var/log/kern.log.2.gz --unread
  ras-mc-ctl --errors | introspect owner --from-log -";

pub(crate) const MANUAL: &str = include_str!("../manual/owner.txt");

/// List the processes that map physical memory, and its use
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("sort", |sort| sort.help("Sort sums by a field of JSON, such as pid")),
    mut_arg("top", |top| top.help("List the first N sums only")),
    mut_arg("from", |from| from.conflicts_with_all([
        "stats",
        "watch", "interval", "threads", "deadline", "procfs", "sysfs",
    ])))]
pub(crate) struct Arguments {
    /// Physical address, page frame pfn:N, or range
    #[arg(value_name = "PADDR", required_unless_present_any = ["from_log", "kmsg"])]
    memory: Vec<PhysicalRangeText>,
    /// Read addresses from messages in FILE (text, gzip)
    #[arg(long, value_name = "FILE")]
    from_log: Option<PathBuf>,
    /// Read addresses from the kernel's log
    #[arg(long)]
    kmsg: bool,
    /// Continue, and report pages that move
    #[arg(long)]
    watch: bool,
    /// Time between two looks of --watch
    #[arg(long, value_name = "TIME", requires = "watch", default_value = "1s",
        value_parser = humantime::parse_duration)]
    interval: Duration,
    /// List processes that could not be read
    #[arg(long)]
    unread: bool,
    /// Sum by process, largest first
    #[arg(long, conflicts_with_all = ["watch", "interval"])]
    by_process: bool,
    #[command(flatten)]
    sorting: SortOptions,
    /// Threads, at most 64; 0 chooses [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true,
        value_parser = value_parser!(u8).range(..=64))]
    threads: u8,
    /// Give up a process that makes no progress
    #[arg(long, value_name = "TIME", default_value = "5s",
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    #[command(flatten)]
    from: FromOptions,
    #[command(flatten)]
    mounts: MountOptions,
    #[command(flatten)]
    pub(crate) stats: StatsOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.from.check([])?;
        if self.sorting.is_present() && !self.by_process {
            let message = "--sort and --top are for sums (--by-process): other records are \
                           written as they are found";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        self.sorting.check(OwnerTotalRecord::FIELDS)
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(snapshot) = self.from.open()? {
            return stored::run(self, &snapshot);
        }
        // Before a log is read, which can take long.
        Process::current()?.require_frames()?;
        let mounts = self.mounts.mounts()?;
        let uses = PageUses::open_in(&mounts)?;
        let page = PageSize::base();
        let (memory, named, log_failure) = self.memory(page)?;
        let given = self.memory.iter().filter_map(|text| text.first(page));
        address_check::warn(uses.map(), given, named.pages(page).map(PhysRange::start));
        let mut sink = Sink::open_for_processes(&self.output, self.layout(), None)?;
        if memory.is_empty() {
            // The log names no memory, which was reported.
            sink.finish()?;
            return log_failure.map_or(Ok(()), Err);
        }
        let mut listing = Listing {
            unread: self.unread,
            named,
            uses,
            payers: Payers::new(&mounts),
            watch: self.watch.then(|| Watch::new(self.interval, &mounts)),
            totals: self.by_process.then(Totals::default),
        };
        let mut failed = None;
        let options = PassOptions::new()
            .threads(usize::from(self.threads))
            .mounts(&mounts)
            .deadline(self.deadline);
        let coverage = owners(&memory, options, |event| {
            let written = sink.check().and_then(|()| listing.take(event, &mut sink));
            continue_unless(&mut failed, written)
        })?;
        failed.map_or(Ok(()), Err)?;
        let Listing {
            mut uses,
            payers,
            watch,
            totals,
            ..
        } = listing;
        if let Some(totals) = totals {
            sink.end_progress();
            totals.write(&self.sorting, |inode| payers.get(inode), &mut sink)?;
        }
        match watch {
            Some(watch) => {
                sink.flush()?;
                warn_if_incomplete(&coverage);
                watch.run(&mut uses, &mut sink)?;
                sink.finish()?;
            }
            None => {
                sink.finish()?;
                warn_if_incomplete(&coverage);
            }
        }
        log_failure.map_or(Ok(()), Err)
    }

    /// Returns the layout of the records.
    fn layout(&self) -> &'static Layout {
        match self.by_process {
            false => &OwnerRecord::LAYOUT,
            true => &OwnerTotalRecord::LAYOUT,
        }
    }

    /// Returns the memory to search for, the lines of logs that name it, and the error
    /// with which the command ends if no line was understood.
    fn memory(
        &self,
        page: PageSize,
    ) -> Result<(Vec<PhysRange>, NamedPages, Option<Failure>), Failure> {
        let memory = self.memory.iter().map(|text| text.resolve(page));
        let memory: Option<Vec<_>> = memory.collect();
        let mut memory = memory.ok_or_else(address_check::no_such_frame)?;
        if self.from_log.is_none() && !self.kmsg {
            return Ok((memory, NamedPages::default(), None));
        }
        let mut log = Log::new(page);
        if let Some(path) = &self.from_log {
            log.read(path)?;
        }
        if self.kmsg {
            log.read_kernel_log()?;
        }
        let (named, failure) = log.finish();
        memory.extend(named.pages(page));
        Ok((memory, named, failure))
    }
}

/// List of owners, or sums, while the pass goes on.
struct Listing {
    /// Processes that could not be read are listed.
    unread: bool,
    named: NamedPages,
    uses: PageUses,
    payers: Payers,
    watch: Option<Watch>,
    totals: Option<Totals>,
}

impl Listing {
    /// Writes the records of an event, or adds it to the sums.
    fn take(&mut self, event: OwnerEvent, sink: &mut Sink) -> Result<(), Failure> {
        if let OwnerEvent::Progress { done, of } = event {
            sink.passed_processes(done, of);
            return Ok(());
        }
        if let OwnerEvent::Unread(process, error) = event {
            let why = reason(&error.to_string());
            return match &mut self.totals {
                _ if !self.unread => Ok(()),
                Some(totals) => {
                    totals.add_unread(process, why);
                    Ok(())
                }
                None => sink.write(&OwnerRecord::unread(&process, why)),
            };
        }
        if let Some(totals) = &mut self.totals {
            return totals.take(event, &mut self.uses, sink);
        }
        let base = PageSize::base();
        match event {
            OwnerEvent::Owner(owner) => {
                let range = owner.region.backing.address().and_then(|start| {
                    let end = start.checked_add(owner.region.size())?;
                    PhysRange::new(start, end)
                });
                if let Some(range) = range {
                    self.write(range, sink, |run| {
                        OwnerRecord::mapped(&owner, &run.into(), base)
                    })?;
                }
                match &mut self.watch {
                    Some(watch) => watch.add(&owner),
                    None => Ok(()),
                }
            }
            OwnerEvent::Lost(owner, first) => {
                let end = first.checked_add(owner.region.size());
                let range = end.and_then(|end| PhysRange::new(first, end));
                self.write(range.unwrap_or_default(), sink, |run| {
                    OwnerRecord::lost(&owner, first, run, base)
                })
            }
            OwnerEvent::Unmapped(range, coverage) => {
                self.write_unmapped(range, coverage.into(), sink)
            }
            _ => Ok(()),
        }
    }

    /// Writes a record for each run of one use.
    fn write<'a>(
        &'a mut self,
        range: PhysRange,
        sink: &mut Sink,
        record: impl Fn(&PageRun) -> OwnerRecord<'a>,
    ) -> Result<(), Failure> {
        let (mut failed, named) = (None, &self.named);
        self.uses.visit(range, |run| {
            let written = sink
                .check()
                .and_then(|()| sink.write(&record(run).named_by(named.by(run.range))));
            continue_unless(&mut failed, written)
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Writes a record for each run of one use in memory that no process maps, with the payer.
    fn write_unmapped(
        &mut self,
        range: PhysRange,
        searched: Searched,
        sink: &mut Sink,
    ) -> Result<(), Failure> {
        let (mut failed, named, payers) = (None, &self.named, &self.payers);
        self.uses.visit_with_payers(range, |run| {
            let record = OwnerRecord::unmapped(run, searched, PageSize::base());
            let record = record.paid_by(payers.get(run.payer));
            let written = sink
                .check()
                .and_then(|()| sink.write(&record.named_by(named.by(run.range))));
            continue_unless(&mut failed, written)
        })?;
        failed.map_or(Ok(()), Err)
    }
}

/// Returns why a process could not be read, without its name, which the record has.
fn reason(text: &str) -> String {
    let at = text.find(": cannot ").map_or(0, |at| at + 2);
    text[at..].to_owned()
}

/// Warns if some processes were not read.
fn warn_if_incomplete(coverage: &Coverage) {
    if !coverage.is_complete() {
        warn(summary(coverage));
    }
}

fn summary(coverage: &Coverage) -> String {
    let counts = [
        (coverage.gone, "ended meanwhile", "ended meanwhile"),
        (coverage.refused, "was refused", "were refused"),
        (coverage.silent, "did not answer", "did not answer"),
        (coverage.failed, "could not be read", "could not be read"),
        (coverage.started, "started meanwhile", "started meanwhile"),
    ];
    let mut parts: Vec<_> = counts
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|&(count, one, several)| counted(count as u64, one, several))
        .collect();
    if !coverage.sees_all {
        parts.push("processes outside this PID namespace cannot be seen".to_owned());
    }
    let read = counted(coverage.read as u64, "process was", "processes were");
    format!("{read} read; not all: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_the_right_number() {
        let mut coverage = Coverage::default();
        (coverage.read, coverage.refused, coverage.sees_all) = (1, 1, true);
        assert_eq!(
            summary(&coverage),
            "1 process was read; not all: 1 was refused"
        );
        (coverage.read, coverage.refused, coverage.gone) = (30, 2, 1);
        let several = "30 processes were read; not all: 1 ended meanwhile, 2 were refused";
        assert_eq!(summary(&coverage), several);
    }
}
