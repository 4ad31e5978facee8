//! `introspect virtual`: the mappings of a process.

use clap::Args;
use process_introspection::Backing;
use process_introspection_export::{Record, VirtualRecord};

use crate::control::freeze::freeze;
use crate::failure::Failure;
use crate::options::output::OutputOptions;
use crate::options::process::ProcessArguments;
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;

const EXAMPLES: &str = "\
Examples:
  introspect virtual 1234
  introspect virtual 1234 --mapping libc.so
  introspect virtual 1234 --thread-stacks
  introspect virtual self --format csv";

pub(crate) const MANUAL: &str = include_str!("manual/virtual.txt");

/// List mappings
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) process: ProcessArguments,
    /// Find thread stacks by the stack pointers
    #[arg(long)]
    thread_stacks: bool,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let process = self.process.target.open()?;
        let freeze = freeze(&self.process.freeze, &process, &self.process.target.pid)?;
        let selection = self.process.range.selection();
        let bounds = selection.bounds(&process);
        let mut selected = process
            .virtual_regions(bounds)?
            .filter(|mapping| {
                mapping
                    .as_ref()
                    .map_or(true, |mapping| selection.contains_name(mapping))
            })
            .peekable();
        if selection.mapping.is_some() && selected.peek().is_none() {
            return Err(selection.no_mapping());
        }
        let stacks = self
            .thread_stacks
            .then(|| process.thread_stacks())
            .transpose()?;
        let mut remarks = Remarks::new(&process, &self.output, false)?;
        let mut sink = Sink::open(
            &self.output,
            &VirtualRecord::LAYOUT,
            Some(&process),
            &[bounds],
            freeze.into(),
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
        remarks.finish(&process, &selection);
        Ok(())
    }
}
