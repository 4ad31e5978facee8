//! `introspect owner`: which processes map physical memory, and what its pages
//! are.

mod log;
mod watch;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use clap::{value_parser, Args};
use process_introspection::{
    owners, Coverage, Error, Owner, OwnerEvent, OwnerOptions, PageRun, PageSize, PageUses,
    PhysRange, Process,
};
use process_introspection_export::{OwnerRecord, Record, Searched};

use crate::commands::beyond;
use crate::commands::owner::log::{Log, Named};
use crate::commands::owner::watch::Watch;
use crate::commands::{OutputOptions, DEADLINE};
use crate::failure::Failure;
use crate::options::mounts::MountOptions;
use crate::options::range::PhysicalRangeText;
use crate::output::count::counted;
use crate::output::sink::Sink;

#[derive(Debug, Args)]
pub(crate) struct OwnerArguments {
    /// Physical addresses, page frames (pfn:N) or ranges (START-END, START+SIZE)
    #[arg(value_name = "PADDR", required_unless_present_any = ["from_log", "kmsg"])]
    memory: Vec<PhysicalRangeText>,
    /// Takes addresses out of the messages in FILE (text or gzip), - for standard input
    #[arg(long, value_name = "FILE")]
    from_log: Option<PathBuf>,
    /// Takes addresses out of the kernel's log as it is now
    #[arg(long)]
    kmsg: bool,
    /// Goes on, and tells when a page that was found has moved
    #[arg(long)]
    watch: bool,
    /// How often --watch looks
    #[arg(long, value_name = "TIME", requires = "watch", default_value = "1s",
        value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Lists the processes that could not be read, too
    #[arg(long)]
    unread: bool,
    /// Reads with up to N threads, at most 64; 0 means as many as help
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u8).range(..=64))]
    threads: u8,
    /// Leaves a process that does not answer for so long
    #[arg(long, value_name = "TIME", default_value = DEADLINE,
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    #[command(flatten)]
    mounts: MountOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl OwnerArguments {
    /// What is asked about, the lines of logs that name it, and why the command
    /// fails in the end.
    fn wanted(&self, page: PageSize) -> Result<(Vec<PhysRange>, Named, Option<Failure>), Failure> {
        let mut wanted = Vec::new();
        for memory in &self.memory {
            wanted.push(memory.resolve(page).ok_or_else(|| {
                Failure::Message(
                    "there is no page frame of such a number: its address has over 64 bits"
                        .to_owned(),
                )
            })?);
        }
        if self.from_log.is_some() || self.kmsg {
            let mut log = Log::new(page);
            if let Some(path) = &self.from_log {
                log.read(path)?;
            }
            if self.kmsg {
                log.read_kernels()?;
            }
            let (named, failure) = log.finish();
            wanted.extend(named.pages(page));
            return Ok((wanted, named, failure));
        }
        Ok((wanted, Named::default(), None))
    }
}

/// `introspect owner`.
pub(crate) fn owner(arguments: &OwnerArguments) -> Result<(), Failure> {
    // Before a log is read, which can take long.
    Process::current()?.physical_regions(0..0)?;
    let mounts = arguments.mounts.mounts()?;
    let mut uses = PageUses::open_in(&mounts)?;
    let page = PageSize::base();
    let (wanted, named, not_understood) = arguments.wanted(page)?;
    let given = arguments.memory.iter().filter_map(|text| text.first(page));
    let of_log = named.pages(page).map(PhysRange::start);
    beyond::warn(uses.map(), given, of_log);
    let mut sink = Sink::over_processes(&arguments.output, &OwnerRecord::LAYOUT)?;
    if wanted.is_empty() {
        // The log has said nothing of memory, which was told.
        sink.finish()?;
        return not_understood.map_or(Ok(()), Err);
    }
    let mut watch = arguments
        .watch
        .then(|| Watch::new(arguments.interval, &mounts));
    let mut failed = None;
    let options = OwnerOptions::new()
        .threads(usize::from(arguments.threads))
        .mounts(&mounts)
        .deadline(arguments.deadline);
    let coverage = owners(&wanted, options, |event| {
        let step = |sink: &mut Sink| match event {
            OwnerEvent::Owner(owner) => mapped(&owner, &named, &mut uses, sink, watch.as_mut()),
            OwnerEvent::Lost(owner, first) => {
                let end = first.checked_add(owner.region.size());
                let range = end.and_then(|end| PhysRange::new(first, end));
                runs_of(range.unwrap_or_default(), &mut uses, |run| {
                    sink.check()?;
                    let record = OwnerRecord::lost(&owner, first, run, page);
                    sink.write(&record.named_by(named.by(run.range)))
                })
            }
            OwnerEvent::Unread(process, error) if arguments.unread => {
                sink.write(&OwnerRecord::unread(&process, reason(&error)))
            }
            OwnerEvent::Progress { done, of } => {
                sink.passed_processes(done, of);
                Ok(())
            }
            OwnerEvent::Unmapped(range, coverage) => {
                unmapped(range, coverage.into(), &named, &mut uses, sink)
            }
            _ => Ok(()),
        };
        failed = sink.check().and_then(|()| step(&mut sink)).err();
        match failed {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    })?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    if let Some(watch) = watch {
        sink.flush()?;
        say(&coverage);
        watch.run(&mut uses, &mut sink)?;
        sink.finish()?;
    } else {
        sink.finish()?;
        say(&coverage);
    }
    not_understood.map_or(Ok(()), Err)
}

/// Writes what a process maps, a record for each run of one use.
fn mapped(
    owner: &Owner,
    named: &Named,
    uses: &mut PageUses,
    sink: &mut Sink,
    watch: Option<&mut Watch>,
) -> Result<(), Failure> {
    let (base, region) = (PageSize::base(), &owner.region);
    let range = region.backing.address().and_then(|start| {
        let end = start.checked_add(region.size())?;
        PhysRange::new(start, end)
    });
    if let Some(range) = range {
        runs_of(range, uses, |run| {
            sink.check()?;
            sink.write(&OwnerRecord::mapped(owner, run, base).named_by(named.by(run.range)))
        })?;
    }
    match watch {
        Some(watch) => watch.add(owner),
        None => Ok(()),
    }
}

/// Writes that no process was found to map it.
fn unmapped(
    range: PhysRange,
    searched: Searched,
    named: &Named,
    uses: &mut PageUses,
    sink: &mut Sink,
) -> Result<(), Failure> {
    runs_of(range, uses, |run| {
        sink.check()?;
        let record = OwnerRecord::unmapped(run, searched, PageSize::base());
        sink.write(&record.named_by(named.by(run.range)))
    })
}

fn runs_of(
    range: PhysRange,
    uses: &mut PageUses,
    mut write: impl FnMut(&PageRun) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut failed = None;
    uses.visit(range, |run| {
        failed = write(run).err();
        match failed {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// Why a process could not be read, without its name, which stands beside it.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    match text.find(": cannot ") {
        Some(at) => text[at + 2..].to_owned(),
        None => text,
    }
}

/// Says on standard error what was not looked at.
fn say(coverage: &Coverage) {
    if !coverage.is_complete() {
        // Where nobody can be told, the records still tell.
        let _ = writeln!(io::stderr(), "introspect: {}", told(coverage));
    }
}

fn told(coverage: &Coverage) -> String {
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
        parts.push("those outside of this PID namespace cannot be seen".to_owned());
    }
    let read = counted(coverage.read as u64, "process was", "processes were");
    format!("{read} read; not all: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_is_and_several_are() {
        let mut coverage = Coverage::default();
        (coverage.read, coverage.refused, coverage.sees_all) = (1, 1, true);
        assert_eq!(
            told(&coverage),
            "1 process was read; not all: 1 was refused"
        );
        (coverage.read, coverage.refused, coverage.gone) = (30, 2, 1);
        let several = "30 processes were read; not all: 1 ended meanwhile, 2 were refused";
        assert_eq!(told(&coverage), several);
    }
}
