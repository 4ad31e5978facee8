//! `introspect resident`: which pages are in memory, without physical addresses.

use clap::Args;
use process_introspection_export::{Record, ResidentRecord};

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
  introspect resident 1234
  introspect resident 1234 --backed
  introspect resident 1234 --mapping '[heap]' --format json";

pub(crate) const MANUAL: &str = include_str!("manual/resident.txt");

/// List what is in memory, without physical addresses
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all(["freeze", "procfs", "sysfs"])))]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) process: ProcessArguments,
    /// Leave out what is not backed by memory
    #[arg(long)]
    backed: bool,
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
            |process| process.require_page_map(),
            |source, context| self.list(source, context),
        )
    }

    fn list(&self, process: &Source<'_>, context: WalkContext) -> Result<(), Failure> {
        let selection = self.process.range.selection();
        let ranges = process.ranges(&selection)?;
        let mut remarks = Remarks::new(process, &self.output, false)?;
        let mut sink = Sink::open(
            &self.output,
            &ResidentRecord::LAYOUT,
            Some(process),
            &ranges,
            context,
        )?;
        for &range in &ranges {
            for region in process.resident(range)? {
                let region = region?;
                sink.passed(region.virt)?;
                if self.backed && !region.backing.is_backed() {
                    remarks.left_out();
                    continue;
                }
                remarks.listed(Some(&region.mapping), region.backing);
                sink.write(&ResidentRecord::new(&region, process.page_size()))?;
            }
        }
        sink.finish()?;
        remarks.finish(process, &selection);
        Ok(())
    }
}
