//! `introspect summary`: the composition of a process's memory. Several processes are in
//! [`several`].

mod several;

use std::cmp::Reverse;
use std::env;
use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use process_introspection::{
    AddrRange, AdviceReading, MappingSummary, PhysicalMap, Process, Summary, SummaryOptions,
    SummaryStep,
};
use process_introspection_export::{
    Layout, MappingUsageRecord, Record, SummaryPicture, SummaryRecord,
};

use crate::control::launch::{launch, WalkContext};
use crate::failure::{continue_unless, warn, Failure};
use crate::options::freeze::FreezeOption;
use crate::options::launch::LaunchOptions;
use crate::options::mounts::MountOptions;
use crate::options::output::OutputOptions;
use crate::options::pid::TargetText;
use crate::options::selection::MappingOption;
use crate::output::sink::Sink;
use several::Selected;

const USAGE: &str = "\
introspect summary [OPTIONS] <PID>...
       introspect summary [OPTIONS] --all
       introspect summary [OPTIONS] -- <COMMAND>...";

const EXAMPLES: &str = "\
Examples:
  introspect summary 1234
  introspect summary --all --format json | jq '.[] | [.pid, .total.pss]'
  introspect summary redis-server postgres --freeze
  introspect summary 1234 --by-mapping
  introspect summary --after 2s -- qemu-system-x86_64";

pub(crate) const MANUAL: &str = include_str!("../manual/summary.txt");

/// Show what a process's memory consists of, on one screen
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Processes: PID, unique PID, `self`, or exact name
    #[arg(value_name = "PID", required_unless_present_any = ["all", "command"],
        conflicts_with_all = ["all", "command", "at_exit", "after", "on"])]
    pids: Vec<TargetText>,
    /// List every process, by PSS
    #[arg(long,
        conflicts_with_all = ["command", "by_mapping", "mapping", "freeze", "at_exit", "after", "on"])]
    all: bool,
    /// With --all: give up a process without progress
    #[arg(long, value_name = "TIME", conflicts_with_all = ["pids", "command"], default_value = "5s",
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    /// List mappings, by PSS
    #[arg(long)]
    by_mapping: bool,
    /// Read huge page advice from smaps, which is slow
    #[arg(long, conflicts_with_all = ["all", "by_mapping"])]
    vm_flags: bool,
    #[command(flatten)]
    mapping: MappingOption,
    #[command(flatten)]
    freeze: FreezeOption,
    #[command(flatten)]
    mounts: MountOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    launch: LaunchOptions,
}

impl Arguments {
    /// Returns the process that is named, if one is.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        match &self.pids[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.launch.check(&self.freeze, &self.mounts)
    }

    /// Runs the subcommand and returns the exit status.
    pub(crate) fn run(&self) -> Result<u8, Failure> {
        if self.launch.is_present() {
            // No privilege is required.
            let check = || Ok(());
            return launch(
                &self.launch,
                &self.freeze,
                check,
                &mut |process, context| self.one(process, context),
            );
        }
        let mounts = self.mounts.mounts()?;
        if self.all {
            return several::all(self, &mounts).map(|()| 0);
        }
        let selected = Selected::named(&mounts, &self.pids)?;
        match &selected[..] {
            [one] => {
                let (process, freeze) = one.open(&mounts, &self.freeze)?;
                self.one(&process, freeze.into())
            }
            several => several::several(self, &mounts, several),
        }
        .map(|()| 0)
    }

    /// Returns when advice about huge pages is read: never if it is not shown.
    fn advice(&self, is_shown: bool) -> AdviceReading {
        match (self.vm_flags, is_shown && !self.by_mapping) {
            (true, _) => AdviceReading::Always,
            (false, true) => AdviceReading::WhereCheap,
            (false, false) => AdviceReading::Never,
        }
    }

    /// Writes a screen, or a line for each mapping.
    fn one(&self, process: &Process, mut context: WalkContext) -> Result<(), Failure> {
        let layout: &Layout = match self.by_mapping {
            false => &SummaryRecord::LAYOUT,
            true => &MappingUsageRecord::LAYOUT,
        };
        let freeze = context.freeze.take();
        let map = PhysicalMap::read_in(process.mounts())?;
        let ranges = self.mapping.selection(None).ranges(process)?;
        let mut sink = Sink::open_for_summary(&self.output, layout, process, &ranges, context)?;
        let options = SummaryOptions::new(&map).advice(self.advice(true));
        let found = summarize(process, &options, &ranges, self.by_mapping, |range| {
            sink.passed(range)
        });
        drop(freeze);
        sink.end_progress();
        self.write(&found?, &map, &mut sink)?;
        sink.finish()
    }

    fn write(&self, found: &Found, map: &PhysicalMap, sink: &mut Sink) -> Result<(), Failure> {
        let missing = missing(&found.summary);
        if self.by_mapping || !self.output.is_table() {
            for what in &missing {
                warn(format_args!("process {}: {what}", found.pid));
            }
        }
        if !self.by_mapping {
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
}

/// Summary of one process.
#[derive(Debug)]
struct Found {
    pid: u32,
    command: OsString,
    page_size: u64,
    summary: Summary,
    /// Sorted; empty unless requested.
    mappings: Vec<MappingSummary>,
}

impl Found {
    fn record(&self) -> SummaryRecord {
        SummaryRecord::new(self.pid, &self.command, &self.summary, self.page_size)
    }
}

/// Summarizes a process.
fn summarize(
    process: &Process,
    options: &SummaryOptions<'_>,
    ranges: &[AddrRange],
    keep_mappings: bool,
    mut passed: impl FnMut(AddrRange) -> Result<(), Failure>,
) -> Result<Found, Failure> {
    let (mut mappings, mut failed) = (Vec::new(), None);
    let summary = process.summary_with(ranges, options, |step| {
        let passed = match step {
            SummaryStep::Passed(range) => passed(range),
            SummaryStep::Mapping(mapping) if keep_mappings => {
                mappings.push(mapping);
                Ok(())
            }
            _ => Ok(()),
        };
        continue_unless(&mut failed, passed)
    })?;
    failed.map_or(Ok(()), Err)?;
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

/// Returns what a summary lacks, and why.
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
        missing.push("this kernel does not report huge pages (Linux 6.7 does)".to_owned());
    }
    missing
}

/// Returns whether the locale has block characters.
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
