//! `introspect physical`: the physical memory behind a process's addresses.

use clap::error::ErrorKind;
use clap::{value_parser, Args};
use process_introspection::{Attributed, PhysicalMap, PhysicalRegion, Process, Walk};
use process_introspection_export::{Extra, PhysicalRecord, Record};

use crate::commands::details::Details;
use crate::control::freeze::freeze;
use crate::control::launch::{launch, WalkContext};
use crate::failure::{continue_unless, Failure};
use crate::options::freeze::FreezeOption;
use crate::options::launch::LaunchOptions;
use crate::options::mounts::MountOptions;
use crate::options::output::OutputOptions;
use crate::options::pid::TargetText;
use crate::options::range::RangeText;
use crate::options::selection::{RangeArgument, Selection};
use crate::output::fold::{Fold, Folding};
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;

const USAGE: &str = "\
introspect physical [OPTIONS] <PID> [RANGE]
       introspect physical [OPTIONS] [RANGE] -- <COMMAND>...";

const EXAMPLES: &str = "\
Examples:
  introspect physical 1234 7ffd1c000000-7ffd1c021000
  introspect physical postgres --mapping '[heap]' --details
  introspect physical 1234 --format jsonl | jq 'select(.state == \"swapped\")'
  introspect physical --backed -o pages.txt -- sort -n words";

pub(crate) const MANUAL: &str = include_str!("manual/physical.txt");

/// List the physical memory behind a process's addresses
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Process: PID, unique PID, `self`, or exact name
    #[arg(value_name = "PID", required_unless_present = "command")]
    pid: Option<TargetText>,
    #[command(flatten)]
    range: RangeArgument,
    #[command(flatten)]
    freeze: FreezeOption,
    /// Leave out what is not backed by memory
    #[arg(long)]
    backed: bool,
    /// Join zero and absent rows (default if all is listed)
    #[arg(long, conflicts_with_all = ["no_fold", "details"])]
    fold: bool,
    /// List every record in the table
    #[arg(long)]
    no_fold: bool,
    /// Read mapping flags from smaps first, which is slow
    #[arg(long)]
    vm_flags: bool,
    /// Find thread stacks by the stack pointers
    #[arg(long)]
    thread_stacks: bool,
    /// Number of threads, at most 64; 0 chooses [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true,
        value_parser = value_parser!(u8).range(..=64))]
    threads: u8,
    /// Add page flags and mapcounts
    #[arg(long)]
    details: bool,
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
        self.pid.as_ref().filter(|_| !self.launch.is_present())
    }

    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        if self.fold && !self.output.is_table() {
            let message = "--fold is for tables: other formats have every record";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        self.launch.check(&self.freeze, &self.mounts)
    }

    /// Runs the subcommand and returns the exit status.
    pub(crate) fn run(&self) -> Result<u8, Failure> {
        let selection = self.selection()?;
        let Some(pid) = self.target() else {
            let check = || Ok(Process::current()?.require_frames()?);
            return launch(
                &self.launch,
                &self.freeze,
                check,
                &mut |process, context| self.walk(process, &selection, context),
            );
        };
        let process = pid.open(&self.mounts.mounts()?)?;
        process.require_frames()?;
        let freeze = freeze(&self.freeze, &process, pid)?;
        self.walk(&process, &selection, freeze.into())?;
        Ok(0)
    }

    /// Returns the selected addresses. With COMMAND there is no PID, and the argument in
    /// its place is RANGE.
    fn selection(&self) -> Result<Selection<'_>, clap::Error> {
        let selection = self.range.selection();
        let Some(text) = self.pid.as_ref().filter(|_| self.launch.is_present()) else {
            return Ok(selection);
        };
        let wrong = |message: String| clap::Error::raw(ErrorKind::ValueValidation, message);
        // A number alone is a PID rather than an address.
        let is_range = matches!(text, TargetText::Named(_)) && selection.range.is_none();
        if !is_range {
            return Err(wrong(format!(
                "both the process {text} and COMMAND are given"
            )));
        }
        let range = text.to_string().parse::<RangeText>();
        let range = range.map_err(|error| {
            wrong(format!(
                "before -- COMMAND there can be RANGE, which {text} is not: {error}"
            ))
        })?;
        Ok(Selection {
            range: Some(range),
            ..selection
        })
    }

    /// Returns whether the table joins records.
    fn folds(&self, selection: &Selection<'_>) -> bool {
        let by_default = selection.is_everything() && !self.no_fold && !self.details;
        self.output.is_table() && (self.fold || by_default)
    }

    fn walk(
        &self,
        process: &Process,
        selection: &Selection<'_>,
        context: WalkContext,
    ) -> Result<(), Failure> {
        let ranges = selection.ranges(process)?;
        let map = PhysicalMap::read_in(process.mounts())?;
        let details = Details::open(self.details, process)?;
        let with_node = map.has_several_nodes() || self.details;
        let layout = PhysicalRecord::LAYOUT.with(match (self.details, with_node) {
            (true, _) => &[Extra::Node, Extra::Details],
            (_, true) => &[Extra::Node],
            (_, false) => &[],
        });
        let mut remarks = Remarks::new(process, &self.output, context.launched.is_some())?;
        let mut sink = Sink::open(&self.output, &layout, Some(process), &ranges, context)?;
        let address = selection.address();
        let write = |region: &Attributed<PhysicalRegion>, folded, sink: &mut Sink| {
            let mut record = PhysicalRecord::new(region, region.page_size, process.page_size());
            record.set_memory_type(region.memory_type);
            record.node = region.node;
            record.folded = folded;
            if let Some(address) = address {
                record.set_byte(address);
            }
            let facts = region.facts.as_ref();
            let details = facts.map(|facts| details.of(region.virt, region.backing, facts));
            record.details = details.as_ref();
            sink.write(&record)
        };
        let write_fold = |folding: Option<Folding>, sink: &mut Sink| match folding {
            None => Ok(()),
            Some(Folding::Records(regions)) => {
                let mut regions = regions.iter();
                regions.try_for_each(|region| write(region, None, sink))
            }
            Some(Folding::Row(region, folded)) => write(&region, Some(folded), sink),
        };
        let mut fold = self.folds(selection).then(Fold::default);
        let mut write_or_fold = |region: &Attributed<PhysicalRegion>| {
            sink.passed(region.virt)?;
            if self.backed && !region.backing.is_backed() {
                remarks.left_out();
                return Ok(());
            }
            remarks.listed(Some(&region.mapping), region.backing);
            if let Some(fold) = &mut fold {
                let (folding, is_added) = fold.next(region);
                write_fold(folding, &mut sink)?;
                if is_added {
                    return Ok(());
                }
            }
            write(region, None, &mut sink)
        };
        let mut failed = None;
        self.describe(process.walk_ranges(ranges), &map)
            .for_each(|region| continue_unless(&mut failed, write_or_fold(region)))?;
        failed.map_or(Ok(()), Err)?;
        write_fold(fold.and_then(|mut fold| fold.end()), &mut sink)?;
        sink.finish()?;
        remarks.finish(process, selection);
        Ok(())
    }

    /// Adds the options to a walk.
    fn describe<'a>(&self, walk: Walk<'a>, map: &'a PhysicalMap) -> Walk<'a> {
        let threads = usize::from(self.threads);
        let mut walk = walk.threads(threads).memory_types().page_sizes().nodes(map);
        if self.details {
            walk = walk.details();
        }
        if self.vm_flags {
            walk = walk.vm_flags();
        }
        if self.thread_stacks {
            walk = walk.thread_stacks();
        }
        walk
    }
}
