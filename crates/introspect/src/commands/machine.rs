//! `introspect machine`: the memory of the whole machine, each frame in one use and with one
//! payer.

use std::ops::ControlFlow;

use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use process_introspection::{Cgroup, FrameRun, FrameRuns, FrameUse, MemoryBalance, MemoryCgroups};
use process_introspection_dataset::lake::StoredMachine;
use process_introspection_export::{
    Extra, Fields, FrameGroupRecord, FrameGrouping, FrameUseRecord, Layout, MachinePicture,
    MachineRecord, MetricRecord, Record,
};
use process_introspection_picture::map::buckets::{Buckets, Square};
use process_introspection_picture::svg;

use crate::control::launch::WalkContext;
use crate::failure::{continue_unless, Failure};
use crate::options::from::{as_user, no_frames, FromOptions};
use crate::options::mounts::MountOptions;
use crate::options::output::{with_pictures, OutputOptions};
use crate::options::sorting::SortOptions;
use crate::output::description::Described;
use crate::output::sink::Sink;
use crate::text::has_utf8;

const EXAMPLES: &str = "\
Examples:
  introspect machine
  introspect machine --by use
  introspect machine --contiguity --format csv
  introspect machine --from lake@2026-11-25T18:00:00Z
  introspect machine --format json | jq '.[] | [.present, .unexplained]'";

pub(crate) const MANUAL: &str = include_str!("manual/machine.txt");

/// Show what the machine's memory is used for, and who pays for it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES,
    mut_arg("from", |from| from.conflicts_with_all(["procfs", "sysfs"])),
    mut_arg("format", with_pictures))]
pub(crate) struct Arguments {
    /// List frames by their use, payer or place
    #[arg(long, value_name = "GROUP", value_enum)]
    by: Option<Grouping>,
    /// List published metrics of fragmentation and contiguity
    #[arg(long, conflicts_with = "by")]
    contiguity: bool,
    #[command(flatten)]
    sorting: SortOptions,
    #[command(flatten)]
    from: FromOptions,
    #[command(flatten)]
    mounts: MountOptions,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum Grouping {
    /// Use, beside the kernel's counter
    Use,
    /// Cgroup that pays
    Cgroup,
    /// systemd unit of that cgroup
    Unit,
    /// Container of that cgroup
    Container,
    /// NUMA node
    Node,
    /// Zone
    Zone,
}

impl Grouping {
    /// Returns the groups of payers or places; `None` for uses.
    fn of_frames(self) -> Option<FrameGrouping> {
        match self {
            Self::Use => None,
            Self::Cgroup => Some(FrameGrouping::Cgroup),
            Self::Unit => Some(FrameGrouping::Unit),
            Self::Container => Some(FrameGrouping::Container),
            Self::Node => Some(FrameGrouping::Node),
            Self::Zone => Some(FrameGrouping::Zone),
        }
    }
}

impl Arguments {
    /// Refuses options that have no effect.
    pub(crate) fn check(&self) -> Result<(), clap::Error> {
        self.from.check([])?;
        if self.by.is_none() && self.sorting.is_present() {
            let message = "--sort and --top are for lists: use them with --by";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        if self.output.is_picture() && (self.by.is_some() || self.contiguity) {
            let message = "--format svg shows all of the machine: it is not for --by and \
                           --contiguity";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        self.sorting.check(self.layout().fields)
    }

    fn layout(&self) -> Layout {
        match self.by {
            None if self.contiguity => MetricRecord::LAYOUT.with(&[Extra::Node]),
            None => MachineRecord::LAYOUT,
            Some(Grouping::Use) => FrameUseRecord::LAYOUT,
            Some(_) => FrameGroupRecord::LAYOUT,
        }
    }

    /// Runs the subcommand.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(snapshot) = self.from.open()? {
            let mut counts = self.counts();
            let machine = as_user(|| {
                snapshot.machine_with(|_, run| {
                    counts.iter_mut().for_each(|counts| add(counts, run));
                    ControlFlow::Continue(())
                })
            })?;
            let StoredMachine { balance, cgroups } = machine.ok_or_else(|| no_frames(&snapshot))?;
            let context = WalkContext::default();
            let source: &dyn Described = &snapshot;
            let sink = Sink::open(&self.output, &self.layout(), Some(source), &[], context)?;
            let cgroup = |inode| cgroups.get(&inode).cloned();
            return self.write(&balance, cgroup, counts.as_ref(), sink);
        }
        let mounts = self.mounts.mounts()?;
        let mut sink = Sink::open_for_frames(&self.output, &self.layout())?;
        let mut counts = self.counts();
        let balance = match &mut counts {
            Some(counts) => {
                let runs = FrameRuns::open_in(&mounts)?;
                let (all, mut done, mut failed) = (runs.frames(), 0, None);
                let balance = MemoryBalance::visit(&mounts, &runs, |run| {
                    add(counts, run);
                    done += run.pages;
                    sink.progress().passed_of(done, all);
                    continue_unless(&mut failed, sink.check())
                })?;
                failed.map_or(Ok(()), Err)?;
                balance
            }
            None => {
                let progress = sink.progress();
                MemoryBalance::take_with_progress(&mounts, |done, of| {
                    progress.passed_of(done, of);
                })?
            }
        };
        sink.end_progress();
        let cgroups = MemoryCgroups::read_in(&mounts);
        self.write(&balance, |inode| cgroups.get(inode), counts.as_ref(), sink)
    }

    /// Returns counts of the uses of frames for a picture.
    fn counts(&self) -> Option<Buckets> {
        let is_picture = self.output.is_picture();
        is_picture.then(|| Square::counts(FrameUse::ALL.len()))
    }

    fn write(
        &self,
        balance: &MemoryBalance,
        cgroup: impl Fn(u64) -> Option<Cgroup>,
        counts: Option<&Buckets>,
        mut sink: Sink,
    ) -> Result<(), Failure> {
        if self.contiguity {
            let metrics = MetricRecord::of_machine(balance);
            metrics.iter().try_for_each(|record| sink.write(record))?;
            return sink.finish();
        }
        let Some(by) = self.by else {
            let record = MachineRecord::new(balance, cgroup);
            if let Some(counts) = counts {
                let square = Square::new(counts, balance.census().page_size().bytes());
                sink.draw(&svg::machine::draw(&record, Some(&square)))?;
                return sink.finish();
            }
            sink.write(&MachinePicture {
                record: &record,
                ascii: !has_utf8(),
            })?;
            return sink.finish();
        };
        match by.of_frames() {
            None => self.list(MachineRecord::uses(balance), sink),
            Some(grouping) => {
                let groups = FrameGroupRecord::all(balance, grouping, cgroup);
                let groups = groups.ok_or_else(|| {
                    Failure::Message(
                        "this kernel has no memory cgroups, which pay for frames: list by use, \
                         node or zone"
                            .to_owned(),
                    )
                })?;
                self.list(groups, sink)
            }
        }
    }

    fn list<R: Record + Fields>(&self, mut records: Vec<R>, mut sink: Sink) -> Result<(), Failure> {
        self.sorting.arrange(&mut records)?;
        records.iter().try_for_each(|record| sink.write(record))?;
        sink.finish()
    }
}

/// Adds a run of frames to counts by use.
fn add(counts: &mut Buckets, run: &FrameRun) {
    let first = run.pfn.as_u64();
    counts.add(first..first + run.pages, run.frame_use as u8);
}
