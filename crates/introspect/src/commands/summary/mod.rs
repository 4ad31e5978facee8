//! `introspect summary`: the composition of a process's memory. Several processes are in
//! [`several`], groups of them in [`groups`], published metrics in [`metrics`].

mod groups;
mod metrics;
mod several;
mod stored;

use std::cmp::Reverse;
use std::slice;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::Args;
use process_introspection::{
    AddrRange, AdviceReading, HugePageActivity, MappingSummary, PhysicalMap, Process, Summary,
    SummaryOptions, SummaryStep,
};
use process_introspection_dataset::tables::mappings::MappingRow;
use process_introspection_export::{
    GroupRecord, Layout, MappingUsageRecord, Record, SummaryPicture, SummaryRecord,
};
use process_introspection_picture::svg;

use crate::commands::selected::Selected;
use crate::commands::summaries::{missing, rank};
use crate::control::launch::{launch, WalkContext};
use crate::failure::{continue_unless, warn, Failure};
use crate::options::freeze::{FreezeOption, FOR_ONE_PROCESS};
use crate::options::from::FromOptions;
use crate::options::launch::LaunchOptions;
use crate::options::mounts::MountOptions;
use crate::options::output::{with_pictures, OutputOptions};
use crate::options::pid::TargetText;
use crate::options::processes::only;
use crate::options::selection::MappingOption;
use crate::options::sorting::SortOptions;
use crate::options::stats::StatsOption;
use crate::output::sink::Sink;
use crate::source::Source;
use crate::text::has_utf8;
use groups::By;

const USAGE: &str = "\
introspect summary [OPTIONS] <PID>...
       introspect summary [OPTIONS] --all
       introspect summary [OPTIONS] -- <COMMAND>...";

const EXAMPLES: &str = "\
Examples:
  introspect summary 1234
  introspect summary --all --format json | jq '.[] | [.pid, .total.pss]'
  introspect summary 1234 --by-mapping --sort swap --top 10
  introspect summary --all --by unit
  introspect summary --after 2s -- qemu-system-x86_64";

pub(crate) const MANUAL: &str = include_str!("../manual/summary.txt");

/// Show what a process's memory consists of, on one screen
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all([
        "stats",
        "deadline", "vm_flags", "freeze", "procfs", "sysfs", "at_exit", "after", "on", "command",
    ])),
    mut_arg("format", with_pictures))]
pub(crate) struct Arguments {
    /// Processes: PID, unique PID, `self`, or exact name
    #[arg(value_name = "PID", required_unless_present_any = ["all", "command"],
        conflicts_with_all = ["all", "command", "at_exit", "after", "on"])]
    pids: Vec<TargetText>,
    /// List every process, by PSS and hugetlb
    #[arg(long,
        conflicts_with_all = ["command", "by_mapping", "mapping", "freeze", "at_exit", "after", "on"])]
    all: bool,
    /// Give up a process without progress
    #[arg(long, value_name = "TIME", conflicts_with_all = ["pids", "command"], default_value = "5s",
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    /// List each mapping, by PSS and hugetlb
    #[arg(long)]
    by_mapping: bool,
    /// List published metrics of contiguity
    #[arg(long, conflicts_with_all = ["by_mapping", "by", "vm_flags"])]
    contiguity: bool,
    /// Sum by cgroup, unit, container, command, user, ...
    #[arg(long, value_enum, hide_possible_values = true, value_name = "GROUP",
        conflicts_with_all = ["by_mapping", "command"])]
    by: Option<By>,
    /// Read huge page advice from smaps, which is slow
    #[arg(long, conflicts_with_all = ["all", "by_mapping", "by"])]
    vm_flags: bool,
    #[command(flatten)]
    sorting: SortOptions,
    #[command(flatten)]
    mapping: MappingOption,
    #[command(flatten)]
    freeze: FreezeOption,
    #[command(flatten)]
    from: FromOptions,
    #[command(flatten)]
    mounts: MountOptions,
    #[command(flatten)]
    pub(crate) stats: StatsOption,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    launch: LaunchOptions,
}

impl Arguments {
    /// Returns the process that is named, if one is.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        only(&self.pids)
    }

    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.from.check(&self.pids)?;
        if self.from.is_present() && self.by.is_some() {
            let message =
                "--by compares the mappings of a group with the kernel's mapcount of each \
                           frame, read with its processes: a snapshot has it of whole regions \
                           (--details) or from before it read processes (--frames). Its tables \
                           have the sums of PSS, USS and RSS";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        if self.from.is_present()
            && !self.mapping.selection(None).is_everything()
            && !self.by_mapping
            && !self.contiguity
        {
            let message = "--mapping has no effect on a summary --from a snapshot, which has the \
                           numbers of whole processes: use it with --by-mapping";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        if self.output.is_picture() && (self.by_mapping || self.contiguity || self.by.is_some()) {
            let message = "--format svg shows one process, or several beside each other: it is \
                           not for --by-mapping, --by and --contiguity";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        let is_one = self.launch.is_present()
            || matches!(
                &self.pids[..],
                [TargetText::This | TargetText::Number(_) | TargetText::TooLarge(_)]
            );
        if self.sorting.is_present() && self.contiguity {
            let message = "--sort and --top are not for --contiguity: metrics have an order";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        if self.contiguity && self.freeze.freeze && self.pids.len() > 1 {
            return Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                FOR_ONE_PROCESS,
            ));
        }
        if self.sorting.is_present() && is_one && !self.by_mapping && self.by.is_none() {
            let message = "--sort and --top are for lists: of several processes, or with \
                           --by-mapping or --by of mappings or groups";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        let fields = match self.by {
            Some(_) => GroupRecord::LAYOUT.fields,
            None => self.layout().fields,
        };
        self.sorting.check(fields)?;
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
                &mut |process, context| match self.contiguity {
                    true => metrics::one(self, &Source::Live(process), context),
                    false => self.one(process, context),
                },
            );
        }
        if self.contiguity {
            return metrics::run(self).map(|()| 0);
        }
        if let Some(snapshot) = self.from.open()? {
            return stored::run(self, &snapshot).map(|()| 0);
        }
        let mounts = self.mounts.mounts()?;
        if self.all {
            return several::all(self, &mounts).map(|()| 0);
        }
        let selected = Selected::named(&mounts, &self.pids)?;
        match &selected[..] {
            [one] if self.by.is_none() => {
                let (process, freeze) = one.open(&mounts, &self.freeze)?;
                self.one(&process, freeze.into())
            }
            several => several::several(self, &mounts, several),
        }
        .map(|()| 0)
    }

    /// Returns by what memory of several processes is summed: as requested; in the table of
    /// processes in one row.
    fn summed_by(&self) -> Option<By> {
        let is_table = self.output.is_table() && !self.by_mapping;
        self.by.or(is_table.then_some(By::All))
    }

    /// Returns when advice about huge pages is read: never if it is not shown.
    fn advice(&self, is_shown: bool) -> AdviceReading {
        match (
            self.vm_flags,
            is_shown && !self.by_mapping && self.by.is_none(),
        ) {
            (true, _) => AdviceReading::Always,
            (false, true) => AdviceReading::WhereCheap,
            (false, false) => AdviceReading::Never,
        }
    }

    /// Writes a screen, or a line for each mapping.
    fn one(&self, process: &Process, mut context: WalkContext) -> Result<(), Failure> {
        let freeze = context.freeze.take();
        let map = PhysicalMap::read_in(process.mounts())?;
        let ranges = self.mapping.selection(None).ranges(process)?;
        let mut sink =
            Sink::open_for_summary(&self.output, self.layout(), process, &ranges, context)?;
        let options = SummaryOptions::new(&map).advice(self.advice(true));
        let found = summarize(process, &options, &ranges, self.by_mapping, |range| {
            sink.passed(range)
        });
        drop(freeze);
        sink.end_progress();
        let mut found = found?;
        found.record.thp = Some((&HugePageActivity::read_in(process.mounts())).into());
        self.write(&found, map.has_several_nodes(), sink)
    }

    /// Returns the layout of the records of one process.
    fn layout(&self) -> &'static Layout {
        match self.by_mapping {
            false => &SummaryRecord::LAYOUT,
            true => &MappingUsageRecord::LAYOUT,
        }
    }

    fn write(&self, found: &Found, by_node: bool, mut sink: Sink) -> Result<(), Failure> {
        let record = &found.record;
        let missing = missing(record);
        if self.by_mapping || !self.output.is_table() {
            for what in &missing {
                warn(format_args!("process {}: {what}", record.pid));
            }
        }
        match self.by_mapping {
            true => write_mappings(slice::from_ref(found), &self.sorting, &mut sink)?,
            false if self.output.is_picture() => {
                sink.draw(&svg::summary::draw(record, &missing))?;
            }
            false => sink.write(&SummaryPicture {
                record,
                missing: &missing,
                by_node,
                ascii: !has_utf8(),
            })?,
        }
        sink.finish()
    }
}

/// Summary of one process.
#[derive(Debug)]
struct Found {
    record: SummaryRecord,
    mappings: Mappings,
}

/// Numbers of a process's mappings; none unless requested.
#[derive(Debug)]
enum Mappings {
    Live(Box<Summary>, Vec<MappingSummary>),
    Stored(Vec<MappingRow>),
}

impl Found {
    /// Returns the numbers of mappings, largest first.
    fn mapping_records(&self) -> Vec<MappingUsageRecord<'_>> {
        let pid = self.record.pid;
        let mut records: Vec<_> = match &self.mappings {
            Mappings::Live(summary, mappings) => mappings
                .iter()
                .map(|mapping| MappingUsageRecord::new(pid, summary, mapping))
                .collect(),
            Mappings::Stored(rows) => rows.iter().filter_map(|row| row.usage(pid)).collect(),
        };
        sort_by_size(&mut records);
        records
    }
}

/// Writes the numbers of the mappings of processes: those of one process behind those of the
/// other, or all in the requested order.
fn write_mappings(all: &[Found], sorting: &SortOptions, sink: &mut Sink) -> Result<(), Failure> {
    let mut records: Vec<_> = all.iter().flat_map(Found::mapping_records).collect();
    if sorting.is_present() {
        sort_by_size(&mut records);
        sorting.arrange(&mut records)?;
    }
    records.iter().try_for_each(|record| sink.write(record))
}

fn sort_by_size(records: &mut [MappingUsageRecord<'_>]) {
    records.sort_by_key(|record| {
        let usage = &record.usage;
        (Reverse(rank(usage)), record.vaddr.0)
    });
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
    let pid = process.pid().unwrap_or_default();
    let command = process.command_line();
    Ok(Found {
        record: SummaryRecord::new(pid, &command, &summary, process.page_size().bytes()),
        mappings: Mappings::Live(Box::new(summary), mappings),
    })
}
