//! `introspect resident`: which pages are in memory, without physical addresses.

use clap::Args;
use process_introspection_export::{Record, ResidentRecord};

use crate::control::freeze::freeze;
use crate::failure::Failure;
use crate::options::output::OutputOptions;
use crate::options::process::ProcessArguments;
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;

const EXAMPLES: &str = "\
Examples:
  introspect resident 1234
  introspect resident 1234 --backed
  introspect resident 1234 --mapping '[heap]' --format json";

pub(crate) const MANUAL: &str = include_str!("manual/resident.txt");

/// List what is in memory, without physical addresses
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) process: ProcessArguments,
    /// Leave out what is not backed by memory
    #[arg(long)]
    backed: bool,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let process = self.process.target.open()?;
        process.require_page_map()?;
        let freeze = freeze(&self.process.freeze, &process, &self.process.target.pid)?;
        let selection = self.process.range.selection();
        let ranges = selection.ranges(&process)?;
        let mut remarks = Remarks::new(&process, &self.output, false)?;
        let mut sink = Sink::open(
            &self.output,
            &ResidentRecord::LAYOUT,
            Some(&process),
            &ranges,
            freeze.into(),
        )?;
        for &range in &ranges {
            for region in process.resident_regions(range)? {
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
        remarks.finish(&process, &selection);
        Ok(())
    }
}
