//! `introspect extents`: byte-exact physical extents, and conditions on them.

mod conditions;

use clap::Args;
use process_introspection_export::{ExtentRecord, Extra, Record};

use crate::commands::one_source::with_source;
use crate::control::launch::WalkContext;
use crate::failure::Failure;
use crate::options::from::FromOptions;
use crate::options::output::OutputOptions;
use crate::options::process::ProcessArguments;
use crate::options::range::Size;
use crate::options::stats::StatsOption;
use crate::output::sink::Sink;
use crate::source::Source;
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
    mut_arg("range", |range| range.required_unless_present("mapping")),
    mut_arg("from", |from| from.conflicts_with_all(["stats", "freeze", "procfs", "sysfs"])))]
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
    from: FromOptions,
    #[command(flatten)]
    pub(crate) stats: StatsOption,
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
            |process| process.require_frames(),
            |source, context| self.list(source, context),
        )
    }

    fn list(&self, process: &Source<'_>, context: WalkContext) -> Result<(), Failure> {
        let ranges = process.ranges(&self.process.range.selection())?;
        let nodes = process.nodes()?;
        let layout = ExtentRecord::LAYOUT.with(match nodes.are_several() {
            true => &[Extra::Node],
            false => &[],
        });
        let mut sink = Sink::open(&self.output, &layout, Some(process), &ranges, context)?;
        let align = self.align.map(|size| size.0);
        let mut conditions = Conditions::new(self.contiguous, align);
        for &range in &ranges {
            for extent in process.extents(range, &nodes)? {
                let (extent, node) = extent?;
                sink.passed(extent.virt)?;
                let mut record = ExtentRecord::new(&extent, process.page_size());
                record.node = node;
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
