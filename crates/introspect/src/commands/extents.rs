//! `introspect extents`: byte-exact physical extents, and conditions on them.

mod conditions;

use clap::Args;
use process_introspection::{PhysAddr, PhysicalMap};
use process_introspection_export::{ExtentRecord, Extra, Record, State};

use crate::control::freeze::freeze;
use crate::failure::Failure;
use crate::options::output::OutputOptions;
use crate::options::process::ProcessArguments;
use crate::options::range::Size;
use crate::output::sink::Sink;
use conditions::Conditions;

const USAGE: &str = "\
introspect extents [OPTIONS] <PID> <RANGE>
       introspect extents [OPTIONS] <PID> [RANGE] --mapping <NAME>";

const EXAMPLES: &str = "\
Examples:
  introspect extents 1234 7f0000001010+5000
  introspect extents 1234 7f0000000000+2M --contiguous
  introspect extents 1234 7f0000000000+64M --align 2M --format json
  introspect extents qemu-system-x86_64 --mapping memfd:ram";

pub(crate) const MANUAL: &str = include_str!("manual/extents.txt");

/// List byte-exact physical extents; fail unless all is RAM
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES,
    mut_arg("range", |range| range.required_unless_present("mapping")))]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) process: ProcessArguments,
    /// Require that all is one extent
    #[arg(long)]
    contiguous: bool,
    /// Require extents that are aligned to SIZE
    #[arg(long, value_name = "SIZE")]
    align: Option<Size>,
    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let process = self.process.target.open()?;
        process.require_frames()?;
        let freeze = freeze(&self.process.freeze, &process, &self.process.target.pid)?;
        let ranges = self.process.range.selection().ranges(&process)?;
        let map = PhysicalMap::read_in(process.mounts())?;
        let layout = ExtentRecord::LAYOUT.with(match map.has_several_nodes() {
            true => &[Extra::Node],
            false => &[],
        });
        let mut sink = Sink::open(
            &self.output,
            &layout,
            Some(&process),
            &ranges,
            freeze.into(),
        )?;
        let align = self.align.map(|size| size.0);
        let mut conditions = Conditions::new(self.contiguous, align);
        for &range in &ranges {
            for extent in process.extents(range)? {
                let extent = extent?;
                sink.passed(extent.virt)?;
                let mut record = ExtentRecord::new(&extent, process.page_size());
                let start = record.paddr.map(|paddr| PhysAddr::new(paddr.0));
                // All of it is one page, if that is the zero page.
                let size = match record.state {
                    State::Zero => 1,
                    _ => extent.len(),
                };
                record.node = start.and_then(|start| map.node_of(start, size));
                conditions.add(&record);
                sink.write(&record)?;
            }
        }
        sink.finish()?;
        conditions
            .violation()
            .map_or(Ok(()), |violation| Err(Failure::Message(violation)))
    }
}
