//! `introspect summary --contiguity`: published metrics of processes, live or of a snapshot.

use process_introspection::{AddrRange, ContiguityMetrics};
use process_introspection_export::{Extra, MetricRecord, Record};

use super::Arguments;
use crate::commands::selected::Selected;
use crate::commands::several::{warn_of, Identity, Listing, Several};
use crate::control::launch::WalkContext;
use crate::failure::{continue_unless, warn, Failure};
use crate::options::freeze::FOR_ONE_PROCESS;
use crate::options::from::as_user;
use crate::output::sink::Sink;
use crate::source::{stored, Source};

/// Writes the metrics of the selected processes.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(snapshot) = arguments.from.open()? {
        let mut rows = match arguments.all {
            true => {
                let rows = as_user(|| snapshot.processes())?.into_iter();
                rows.map(|row| (row, false)).collect()
            }
            false => stored::find_each(&snapshot, &arguments.pids)?,
        };
        if let ([_], [_]) = (&arguments.pids[..], &rows[..]) {
            if let Some((row, _)) = rows.pop() {
                let process = as_user(|| snapshot.open_process(row))?;
                let context = WalkContext::default();
                return one(arguments, &Source::Stored(&process), context);
            }
        }
        let snapshot = Box::new(snapshot);
        return several(arguments, &Several::Stored { snapshot, rows });
    }
    let mounts = arguments.mounts.mounts()?;
    let processes = if arguments.all {
        let all = mounts.all_pids()?.into_iter();
        all.map(|unique| (unique, false)).collect()
    } else {
        let selected = Selected::named(&mounts, &arguments.pids)?;
        if let ([_], [named]) = (&arguments.pids[..], &selected[..]) {
            let (process, freeze) = named.open(&mounts, &arguments.freeze)?;
            return one(arguments, &Source::Live(&process), freeze.into());
        }
        if arguments.freeze.freeze {
            return Err(Failure::Message(FOR_ONE_PROCESS.to_owned()));
        }
        Selected::unique_pids(&mounts, &selected)?
    };
    let deadline = arguments.deadline;
    let live = Several::Live {
        mounts,
        processes,
        deadline,
    };
    several(arguments, &live)
}

/// Writes the metrics of one process.
pub(super) fn one(
    arguments: &Arguments,
    process: &Source<'_>,
    mut context: WalkContext,
) -> Result<(), Failure> {
    let freeze = context.freeze.take();
    let ranges = process.ranges(&arguments.mapping.selection(None))?;
    let mut sink = Sink::open_for_summary(
        &arguments.output,
        &MetricRecord::LAYOUT,
        process,
        &ranges,
        context,
    )?;
    let metrics = compute(process, &ranges, |range| sink.passed(range));
    drop(freeze);
    sink.end_progress();
    let metrics = metrics?;
    for record in MetricRecord::of_process(&metrics) {
        sink.write(&record)?;
    }
    sink.finish()?;
    missing(&metrics, process).iter().for_each(warn);
    Ok(())
}

/// Writes the metrics of several processes, one behind the other.
fn several(arguments: &Arguments, several: &Several) -> Result<(), Failure> {
    let layout = MetricRecord::LAYOUT.with(&[Extra::Process]);
    let mut writer = Writer {
        sink: several.open_sink(&arguments.output, &layout)?,
        missing: Vec::new(),
    };
    let selection = arguments.mapping.selection(None).to_shared();
    let unread = several.list(&mut writer, move |process, give| {
        let ranges = process.any_ranges(&selection.get())?;
        if process.has_memory() && !ranges.is_empty() {
            let metrics = compute(process, &ranges, |_| Ok(()))?;
            let missing = missing(&metrics, process);
            // Nobody wants more.
            let _ = give((metrics, missing));
        }
        Ok(())
    })?;
    writer.sink.finish()?;
    warn_of(&unread);
    writer.missing.iter().for_each(warn);
    Ok(())
}

/// Writer of the metrics of one process after another.
struct Writer {
    sink: Sink,
    /// What some of them lack.
    missing: Vec<&'static str>,
}

impl Listing<(ContiguityMetrics, Vec<&'static str>)> for Writer {
    fn sink(&mut self) -> &mut Sink {
        &mut self.sink
    }

    fn item(
        &mut self,
        process: &Identity,
        (metrics, missing): (ContiguityMetrics, Vec<&'static str>),
    ) -> Result<(), Failure> {
        for what in missing {
            if !self.missing.contains(&what) {
                self.missing.push(what);
            }
        }
        for mut record in MetricRecord::of_process(&metrics) {
            record.process = Some(process.fields());
            self.sink.write(&record)?;
        }
        Ok(())
    }
}

fn compute(
    process: &Source<'_>,
    ranges: &[AddrRange],
    passed: impl Fn(AddrRange) -> Result<(), Failure>,
) -> Result<ContiguityMetrics, Failure> {
    let mut failed = None;
    let metrics =
        process.contiguity_metrics(ranges, |range| continue_unless(&mut failed, passed(range)))?;
    failed.map_or(Ok(metrics), Err)
}

/// Returns what is unknown, and why.
fn missing(metrics: &ContiguityMetrics, process: &Source<'_>) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if metrics.ranges.is_none() {
        missing.push(
            "addresses need CAP_SYS_ADMIN: without it only virtual runs and huge page coverage are \
             known",
        );
    } else if metrics.folios.is_none() {
        missing.push(match process {
            Source::Live(_) => {
                "the kernel's files on page frames are root's: without them no metrics of folios"
            }
            Source::Stored(_) => "a snapshot does not have the metrics of folios",
        });
    }
    if metrics.total_huge_coverage().huge.is_none() {
        missing.push("the size of some page-table entries is unknown (Linux 6.7 reports them)");
    }
    missing
}
