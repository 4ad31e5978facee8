//! `introspect physical`: the physical memory behind a process's addresses.

use clap::error::ErrorKind;
use clap::{value_parser, Args};
use process_introspection::{Attributed, PhysicalRegion, Process, Walk};
use process_introspection_export::{self as export, Extra, PhysicalRecord, Record};

use crate::commands::details::Details;
use crate::control::freeze::freeze;
use crate::control::launch::{launch, WalkContext};
use crate::failure::{continue_unless, warn, Failure};
use crate::options::freeze::FreezeOption;
use crate::options::from::FromOptions;
use crate::options::launch::LaunchOptions;
use crate::options::mounts::MountOptions;
use crate::options::output::OutputOptions;
use crate::options::pid::TargetText;
use crate::options::range::RangeText;
use crate::options::selection::{RangeArgument, Selection};
use crate::output::fold::{Fold, Folding};
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;
use crate::source::{for_each_stored, stored, Nodes, Source};
use crate::text::counted;

type Region = Attributed<PhysicalRegion>;

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
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all([
        "freeze", "vm_flags", "thread_stacks", "threads", "procfs", "sysfs", "at_exit", "after",
        "on", "command",
    ])))]
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
    from: FromOptions,
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
        self.from.check(&self.pid)?;
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
                &mut |process, context| self.walk(&Source::Live(process), &selection, context),
            );
        };
        if let Some(snapshot) = self.from.open()? {
            let process = stored::open(&snapshot, pid)?;
            if self.details && !snapshot.row().details {
                return Err(Failure::Message(format!(
                    "snapshot {} has no details of pages (introspect snapshot --details stores them)",
                    snapshot.entry().id()
                )));
            }
            let source = Source::Stored(&process);
            self.walk(&source, &selection, WalkContext::default())?;
            return Ok(0);
        }
        let process = pid.open(&self.mounts.mounts()?)?;
        process.require_frames()?;
        let freeze = freeze(&self.freeze, &process, pid)?;
        self.walk(&Source::Live(&process), &selection, freeze.into())?;
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
        process: &Source<'_>,
        selection: &Selection<'_>,
        context: WalkContext,
    ) -> Result<(), Failure> {
        let ranges = process.ranges(selection)?;
        let nodes = process.nodes()?;
        let details = match process {
            Source::Live(process) => Some(Details::open(self.details, process)?),
            Source::Stored(_) => None,
        };
        let with_node = nodes.are_several() || self.details;
        let layout = PhysicalRecord::LAYOUT.with(match (self.details, with_node) {
            (true, _) => &[Extra::Node, Extra::Details],
            (_, true) => &[Extra::Node],
            (_, false) => &[],
        });
        let mut remarks = Remarks::new(process, &self.output, context.launched.is_some())?;
        let mut sink = Sink::open(&self.output, &layout, Some(process), &ranges, context)?;
        let address = selection.address();
        let write =
            |region: &Region, details: Option<&export::Details>, folded, sink: &mut Sink| {
                let mut record = PhysicalRecord::new(region, region.page_size, process.page_size());
                record.set_memory_type(region.memory_type);
                record.node = region.node;
                record.folded = folded;
                if let Some(address) = address {
                    record.set_byte(address);
                }
                record.details = details;
                sink.write(&record)
            };
        let write_fold = |folding: Option<Folding>, sink: &mut Sink| match folding {
            None => Ok(()),
            Some(Folding::Records(regions)) => {
                let mut regions = regions.iter();
                regions.try_for_each(|region| write(region, None, None, sink))
            }
            Some(Folding::Row(region, folded)) => write(&region, None, Some(folded), sink),
        };
        let mut fold = self.folds(selection).then(Fold::default);
        let mut write_or_fold = |region: &Region, details: Option<&export::Details>| {
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
            write(region, details, None, &mut sink)
        };
        let (mut failed, mut unknown) = (None, 0);
        match process {
            Source::Live(process) => {
                let walk = self.describe(process.walk_ranges(ranges), &nodes);
                walk.for_each(|region| {
                    let facts = region.facts.as_ref().zip(details.as_ref());
                    let details = facts
                        .map(|(facts, details)| details.of(region.virt, region.backing, facts));
                    continue_unless(&mut failed, write_or_fold(region, details.as_ref()))
                })?;
            }
            Source::Stored(process) => {
                for_each_stored(process, &ranges, self.details, |region, details| {
                    unknown += u64::from(self.details && details.is_none());
                    continue_unless(&mut failed, write_or_fold(region, details.as_ref()))
                })?;
            }
        }
        failed.map_or(Ok(()), Err)?;
        write_fold(fold.and_then(|mut fold| fold.end()), &mut sink)?;
        sink.finish()?;
        remarks.finish(process, selection);
        if unknown > 0 {
            warn(format_args!(
                "details of {} are unknown: the snapshot has those of whole regions, which RANGE \
                 cuts",
                counted(unknown, "region", "regions")
            ));
        }
        Ok(())
    }

    /// Adds the options to a walk.
    fn describe<'a>(&self, walk: Walk<'a>, nodes: &'a Nodes) -> Walk<'a> {
        let threads = usize::from(self.threads);
        let mut walk = walk.threads(threads).memory_types().page_sizes();
        if let Nodes::Machine(map) = nodes {
            walk = walk.nodes(map);
        }
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
