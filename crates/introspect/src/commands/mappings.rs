//! `introspect virtual`: the mappings of a process.

use clap::Args;
use process_introspection::Backing;
use process_introspection_export::{Record, VirtualRecord};

use crate::commands::one_source::with_source;
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::from::FromOptions;
use crate::options::output::OutputOptions;
use crate::options::process::ProcessArguments;
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;
use crate::source::Source;

const EXAMPLES: &str = "\
Examples:
  introspect virtual 1234
  introspect virtual 1234 --mapping libc.so
  introspect virtual 1234 --thread-stacks
  introspect virtual self --format csv";

pub(crate) const MANUAL: &str = include_str!("manual/virtual.txt");

/// List mappings
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all(["thread_stacks", "freeze", "procfs", "sysfs"])))]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) process: ProcessArguments,
    /// Find thread stacks by the stack pointers
    #[arg(long)]
    thread_stacks: bool,
    #[command(flatten)]
    from: FromOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.from.check([&self.process.target.pid])
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        with_source(
            &self.process,
            &self.from,
            |_| Ok(()),
            |source, context| self.list(source, context),
        )
    }

    fn list(&self, process: &Source<'_>, context: WalkContext) -> Result<(), Failure> {
        let selection = self.process.range.selection();
        let bounds = selection.bounds(process.page_size());
        let mut selected = process
            .mappings(bounds)?
            .filter(|mapping| {
                mapping
                    .as_ref()
                    .map_or(true, |mapping| selection.contains_name(mapping))
            })
            .peekable();
        if selection.mapping.is_some() && selected.peek().is_none() {
            return Err(selection.no_mapping());
        }
        let stacks = match process {
            Source::Live(process) if self.thread_stacks => Some(process.thread_stacks()?),
            _ => None,
        };
        let mut remarks = Remarks::new(process, &self.output, false)?;
        let mut sink = Sink::open(
            &self.output,
            &VirtualRecord::LAYOUT,
            Some(process),
            &[bounds],
            context,
        )?;
        for mapping in selected {
            let mut mapping = mapping?;
            if let Some(stacks) = &stacks {
                mapping = stacks.classify(&mapping);
            }
            sink.passed(mapping.range)?;
            remarks.listed(Some(&mapping), Backing::Resident);
            sink.write(&VirtualRecord::new(&mapping, process.page_size()))?;
        }
        sink.finish()?;
        remarks.finish(process, &selection);
        Ok(())
    }
}
