//! `introspect physical`: the physical memory behind the addresses of a process, of several
//! or of all.

mod reader;
mod writer;

use clap::error::ErrorKind;
use clap::{value_parser, Args};
use process_introspection::{PageSize, Process};
use process_introspection_dataset::lake::Snapshot;
use process_introspection_export::{Extra, Layout, PhysicalRecord, Record};
use process_introspection_picture::svg::physical::Picture;

use crate::commands::several::{warn_of, Identity, Several};
use crate::commands::sources::with_sources;
use crate::control::launch::{launch, WalkContext};
use crate::failure::{continue_unless, Failure};
use crate::options::from::FromOptions;
use crate::options::launch::LaunchOptions;
use crate::options::output::{with_pictures, OutputOptions};
use crate::options::pid::TargetText;
use crate::options::processes::{ProcessesArguments, PICTURE_OF_ONE};
use crate::options::selection::Selection;
use crate::options::stats::StatsOption;
use crate::output::fold::Fold;
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;
use crate::source::{Nodes, Source};
use reader::Reader;
use writer::Writer;

const USAGE: &str = "\
introspect physical [OPTIONS] <PID>[,<PID>...]|--all [RANGE]
       introspect physical [OPTIONS] [RANGE] -- <COMMAND>...";

const EXAMPLES: &str = "\
Examples:
  introspect physical 1234 7ffd1c000000-7ffd1c021000
  introspect physical 1234 --format jsonl | jq 'select(.state == \"swapped\")'
  introspect physical --all --backed --format arrow -o memory.arrows
  introspect physical --backed -o pages.txt -- sort -n words";

pub(crate) const MANUAL: &str = include_str!("manual/physical.txt");

/// List the physical memory behind a process's addresses
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all([
        "stats",
        "freeze", "vm_flags", "thread_stacks", "threads", "procfs", "sysfs", "at_exit", "after",
        "on", "command", "deadline",
    ])),
    // A changed argument would be the last one without its index.
    mut_arg("pids", |pids| pids.index(1).required_unless_present_any(["all", "command"])),
    mut_arg("range", |range| range.index(2)),
    mut_arg("command", |command| command.index(3)),
    mut_arg("all", |all| all.conflicts_with_all(["freeze", "command", "at_exit", "after", "on"])),
    mut_arg("deadline", |deadline| {
        deadline.conflicts_with_all(["command", "at_exit", "after", "on"])
    }),
    mut_arg("format", with_pictures))]
pub(crate) struct Arguments {
    #[command(flatten)]
    process: ProcessesArguments,
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
    /// Threads, at most 64; 0 chooses [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true,
        value_parser = value_parser!(u8).range(..=64))]
    threads: u8,
    /// Add page flags and mapcounts
    #[arg(long)]
    details: bool,
    #[command(flatten)]
    from: FromOptions,
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
        self.process.target().filter(|_| !self.launch.is_present())
    }

    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        if self.fold && !self.output.is_table() {
            let message = "--fold is for tables: other formats have every record";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        if !self.launch.is_present() {
            self.process.check()?;
            self.process.check_picture(self.output.is_picture())?;
        }
        if self.output.is_picture() && (self.details || self.vm_flags) {
            let message = "--details and --vm-flags have no effect on --format svg, which shows \
                           neither facts of pages nor flags";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        self.from.check(self.process.targets())?;
        self.launch
            .check(&self.process.freeze, &self.process.mounts)
    }

    /// Runs the subcommand and returns the exit status.
    pub(crate) fn run(&self) -> Result<u8, Failure> {
        let selection = self.selection()?;
        if self.launch.is_present() {
            let check = || Ok(Process::current()?.require_frames()?);
            return launch(
                &self.launch,
                &self.process.freeze,
                check,
                &mut |process, context| self.one(&Source::Live(process), &selection, context),
            );
        }
        with_sources(
            &self.process,
            &self.from,
            |process| process.require_frames(),
            |source, context| self.one(source, &selection, context),
            |several| self.several(several, &selection),
        )?;
        Ok(0)
    }

    /// Returns the selected addresses. With COMMAND there is no PID, and the argument in
    /// its place is RANGE.
    fn selection(&self) -> Result<Selection<'_>, clap::Error> {
        match self.launch.is_present() {
            true => self
                .process
                .selection_without_pid("COMMAND", "before -- COMMAND"),
            false => self.process.selection(),
        }
    }

    /// Returns whether the table joins records.
    fn folds(&self, selection: &Selection<'_>) -> bool {
        let by_default = selection.is_everything() && !self.no_fold && !self.details;
        self.output.is_table() && (self.fold || by_default)
    }

    /// Lists the memory of one process.
    fn one(
        &self,
        process: &Source<'_>,
        selection: &Selection<'_>,
        context: WalkContext,
    ) -> Result<(), Failure> {
        if let Source::Stored(process) = process {
            self.require_details(process.snapshot())?;
        }
        let ranges = process.ranges(selection)?;
        let reader = self.reader(process.nodes()?);
        reader.check(process)?;
        let remarks = Remarks::new(process, &self.output, context.launched.is_some())?;
        let layout = self.layout(&reader.nodes, false);
        let sink = Sink::open(&self.output, &layout, Some(process), &ranges, context)?;
        let mut writer = self.writer(sink, remarks, selection, process.page_size());
        if self.output.is_picture() {
            let identity = Identity::of_source(process)?;
            let page = process.page_size().bytes();
            writer.picture = Some(Box::new(Picture::new(page, Some(identity.fields()))));
        }
        let mut failed = None;
        reader.read(process, ranges, |region, details| {
            let passed = writer.sink.passed(region.virt);
            let written = passed.and_then(|()| writer.add(region, details.as_ref(), None));
            continue_unless(&mut failed, written)
        })?;
        failed.map_or(Ok(()), Err)?;
        writer.end(None)?;
        writer.finish()?.finish(process, selection);
        Ok(())
    }

    /// Lists the memory of several processes.
    fn several(&self, several: &Several, selection: &Selection<'_>) -> Result<(), Failure> {
        if self.output.is_picture() {
            return Err(Failure::Message(PICTURE_OF_ONE.to_owned()));
        }
        let reader = self.reader(several.nodes()?);
        match several {
            Several::Stored { snapshot, .. } => self.require_details(snapshot)?,
            Several::Live { .. } => {
                let this = Process::current()?;
                this.require_frames()?;
                reader.check(&Source::Live(&this))?;
            }
        }
        let remarks = several.remarks(&self.output)?;
        let sink = several.open_sink(&self.output, &self.layout(&reader.nodes, true))?;
        let mut writer = self.writer(sink, remarks, selection, several.page_size()?);
        let selected = selection.to_shared();
        let unread = several.list(&mut writer, move |process, give| {
            let ranges = process.any_ranges(&selected.get())?;
            reader.read(process, ranges, |region, details| {
                give((region.clone(), details))
            })
        })?;
        writer.finish()?.finish_several(selection);
        warn_of(&unread);
        Ok(())
    }

    /// Fails if details are requested that a snapshot does not have.
    fn require_details(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        match self.details && !snapshot.row().head.details {
            true => Err(Failure::Message(format!(
                "snapshot {} has no details of pages (introspect snapshot --details stores them)",
                snapshot.entry().id()
            ))),
            false => Ok(()),
        }
    }

    fn reader(&self, nodes: Nodes) -> Reader {
        Reader {
            nodes,
            details: self.details,
            vm_flags: self.vm_flags,
            thread_stacks: self.thread_stacks,
            threads: usize::from(self.threads),
        }
    }

    fn writer(
        &self,
        sink: Sink,
        remarks: Remarks,
        selection: &Selection<'_>,
        page_size: PageSize,
    ) -> Writer {
        Writer {
            sink,
            remarks,
            fold: self.folds(selection).then(Fold::default),
            is_backed_only: self.backed,
            with_details: self.details,
            address: selection.address(),
            page_size,
            unknown: 0,
            picture: None,
        }
    }

    fn layout(&self, nodes: &Nodes, of_several: bool) -> Layout {
        let with_node = nodes.are_several() || self.details;
        PhysicalRecord::LAYOUT.with(match (of_several, self.details, with_node) {
            (false, true, _) => &[Extra::Node, Extra::Details],
            (false, false, true) => &[Extra::Node],
            (false, false, false) => &[],
            (true, true, _) => &[Extra::Process, Extra::Node, Extra::Details],
            (true, false, true) => &[Extra::Process, Extra::Node],
            (true, false, false) => &[Extra::Process],
        })
    }
}
