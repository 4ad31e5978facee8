//! `introspect virtual`: the mappings of a process, of several or of all.

use std::sync::Arc;

use clap::Args;
use process_introspection::{Backing, Mapping, PageSize};
use process_introspection_export::{Extra, Record, VirtualRecord};

use crate::commands::several::{warn_of, Identity, Listing, Several};
use crate::commands::sources::with_sources;
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::from::FromOptions;
use crate::options::output::OutputOptions;
use crate::options::pid::TargetText;
use crate::options::processes::ProcessesArguments;
use crate::options::selection::Selection;
use crate::options::stats::StatsOption;
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;
use crate::source::Source;

const USAGE: &str = "\
introspect virtual [OPTIONS] <PID>[,<PID>...]|--all [RANGE]";

const EXAMPLES: &str = "\
Examples:
  introspect virtual 1234
  introspect virtual 1234 --mapping libc.so
  introspect virtual 1234 --thread-stacks
  introspect virtual --all --mapping libcrypto --format jsonl
  introspect virtual self --format csv";

pub(crate) const MANUAL: &str = include_str!("manual/virtual.txt");

/// List mappings
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all([
        "stats",
        "thread_stacks", "freeze", "procfs", "sysfs", "deadline",
    ])))]
pub(crate) struct Arguments {
    #[command(flatten)]
    process: ProcessesArguments,
    /// Find thread stacks by the stack pointers
    #[arg(long)]
    thread_stacks: bool,
    #[command(flatten)]
    from: FromOptions,
    #[command(flatten)]
    pub(crate) stats: StatsOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Returns the process that is named, if one is.
    pub(crate) fn target(&self) -> Option<&TargetText> {
        self.process.target()
    }

    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.process.check()?;
        self.from.check(self.process.targets())
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        with_sources(
            &self.process,
            &self.from,
            |_| Ok(()),
            |source, context| self.one(source, context),
            |several| self.several(several),
        )
    }

    /// Lists the mappings of one process.
    fn one(&self, process: &Source<'_>, context: WalkContext) -> Result<(), Failure> {
        let selection = self.process.selection()?;
        let bounds = selection.bounds(process.page_size());
        let mut selected = mappings(process, &selection, self.thread_stacks)?.peekable();
        if selection.mapping.is_some() && selected.peek().is_none() {
            return Err(selection.no_mapping());
        }
        let mut writer = Writer {
            remarks: Remarks::new(process, &self.output, false)?,
            sink: Sink::open(
                &self.output,
                &VirtualRecord::LAYOUT,
                Some(process),
                &[bounds],
                context,
            )?,
            page_size: process.page_size(),
        };
        for mapping in selected {
            let mapping = mapping?;
            writer.sink.passed(mapping.range)?;
            writer.add(&mapping, None)?;
        }
        writer.sink.finish()?;
        writer.remarks.finish(process, &selection);
        Ok(())
    }

    /// Lists the mappings of several processes.
    fn several(&self, several: &Several) -> Result<(), Failure> {
        let selection = self.process.selection()?;
        let layout = VirtualRecord::LAYOUT.with(&[Extra::Process]);
        let mut writer = Writer {
            remarks: several.remarks(&self.output)?,
            sink: several.open_sink(&self.output, &layout)?,
            page_size: several.page_size()?,
        };
        let (selected, thread_stacks) = (selection.to_shared(), self.thread_stacks);
        let unread = several.list(&mut writer, move |process, give| {
            for mapping in mappings(process, &selected.get(), thread_stacks)? {
                if give(mapping?).is_break() {
                    break;
                }
            }
            Ok(())
        })?;
        writer.sink.finish()?;
        writer.remarks.finish_several(&selection);
        warn_of(&unread);
        Ok(())
    }
}

/// Returns the selected mappings of a process.
fn mappings<'a>(
    process: &Source<'a>,
    selection: &'a Selection<'_>,
    thread_stacks: bool,
) -> Result<impl Iterator<Item = Result<Arc<Mapping>, Failure>> + 'a, Failure> {
    let all = process.mappings(selection.bounds(process.page_size()))?;
    let stacks = match process {
        Source::Live(process) if thread_stacks => Some(process.thread_stacks()?),
        _ => None,
    };
    let selected = all.filter(|mapping| {
        let mapping = mapping.as_ref();
        mapping.map_or(true, |mapping| selection.contains_name(mapping))
    });
    Ok(selected.map(move |mapping| {
        let mapping = mapping?;
        Ok(match &stacks {
            Some(stacks) => stacks.classify(&mapping),
            None => mapping,
        })
    }))
}

/// Writer of the mappings of one process after another.
struct Writer {
    sink: Sink,
    remarks: Remarks,
    page_size: PageSize,
}

impl Writer {
    fn add(&mut self, mapping: &Mapping, process: Option<&Identity>) -> Result<(), Failure> {
        self.remarks.listed(Some(mapping), Backing::Resident);
        let mut record = VirtualRecord::new(mapping, self.page_size);
        record.process = process.map(Identity::fields);
        self.sink.write(&record)
    }
}

impl Listing<Arc<Mapping>> for Writer {
    fn sink(&mut self) -> &mut Sink {
        &mut self.sink
    }

    fn item(&mut self, process: &Identity, mapping: Arc<Mapping>) -> Result<(), Failure> {
        self.add(&mapping, Some(process))
    }
}
