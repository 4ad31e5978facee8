//! `introspect pagetable`: the leaf entries of the page table.

use clap::Args;
use process_introspection::PhysicalMap;
use process_introspection_export::{Extra, PageTableRecord, Record};

use crate::commands::details::Details;
use crate::control::freeze::freeze;
use crate::failure::Failure;
use crate::options::output::OutputOptions;
use crate::options::process::ProcessArguments;
use crate::options::stats::StatsOption;
use crate::output::remarks::Remarks;
use crate::output::sink::Sink;
use crate::source::Source;

const USAGE: &str = "\
introspect pagetable [OPTIONS] <PID> <RANGE>
       introspect pagetable [OPTIONS] <PID> [RANGE] --mapping <NAME>";

const EXAMPLES: &str = "\
Examples:
  introspect pagetable 1234 7f0000000000+16K
  introspect pagetable 1234 7f0000000000+1G --backed --format jsonl
  introspect pagetable 1234 --mapping '[stack]'";

pub(crate) const MANUAL: &str = include_str!("manual/pagetable.txt");

/// List the leaf entries of the page table
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("range", |range| range.required_unless_present("mapping")))]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) process: ProcessArguments,
    /// Leave out what is not backed by memory
    #[arg(long)]
    backed: bool,
    /// Add page flags and mapcounts
    #[arg(long)]
    details: bool,
    #[command(flatten)]
    pub(crate) stats: StatsOption,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let process = self.process.target.open()?;
        process.require_frames()?;
        let freeze = freeze(&self.process.freeze, &process, &self.process.target.pid)?;
        let selection = self.process.range.selection();
        let ranges = selection.ranges(&process)?;
        let mut remarks = Remarks::new(&Source::Live(&process), &self.output, false)?;
        let address = selection.address();
        let map = PhysicalMap::read_in(process.mounts())?;
        let details = Details::open(self.details, &process)?;
        let layout = PageTableRecord::LAYOUT.with(match self.details {
            true => &[Extra::Details],
            false => &[],
        });
        let mut sink = Sink::open(
            &self.output,
            &layout,
            Some(&process),
            &ranges,
            freeze.into(),
        )?;
        let mut walk = process.walk_ranges(ranges).memory_types().nodes(&map);
        if self.details {
            walk = walk.details();
        }
        for entry in walk.entries()? {
            let entry = entry?;
            sink.passed(entry.virt)?;
            if self.backed && !entry.backing.is_backed() {
                remarks.left_out();
                continue;
            }
            remarks.listed(entry.mapping.as_deref(), entry.backing);
            let mut record = PageTableRecord::new(&entry, process.page_size());
            record.set_memory_type(entry.memory_type);
            record.node = entry.node;
            if let Some(address) = address {
                record.set_byte(address);
            }
            let facts = entry.facts.as_ref();
            let details = facts.map(|facts| details.of(entry.virt, entry.backing, facts));
            record.details = details.as_ref();
            sink.write(&record)?;
        }
        sink.finish()?;
        remarks.finish(&Source::Live(&process), &selection);
        Ok(())
    }
}
