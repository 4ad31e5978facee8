//! Walks of the machine for metrics: all frames, all processes, counters of the kernel. Must not
//! know names of metrics, nor when walks are made.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use process_introspection::{
    for_each_process, lock_time, AddrRange, AdviceReading, Error, FrameRuns, GroupPart, GroupScope,
    GroupedMemory, HugePageSettings, MappingSummary, MemoryBalance, MemoryCounters, MemoryGroups,
    PageSize, PassOptions, PhysicalMap, Process, Summary, SummaryOptions, SummaryStep,
};

use super::Selection;
use crate::failure::{continue_unless, Failure};
use crate::grouping::{Member, Property};
use crate::pace::{cpu_time, Budget};

/// Runs of frames between two checks.
const CHECKED: u32 = 1 << 10;

/// Longest rest within the walk of a process, less than the time after which it counts as silent.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// How fast a walk goes.
pub(super) enum Effort {
    /// As fast as possible, until this fails.
    Full(Box<dyn Fn() -> Result<(), Failure> + Send + Sync>),
    /// On one thread, with rests for a budget.
    Paced(Paced),
}

/// Pace of walks.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) budget: Budget,
    /// CPU time of this process that is no part of a walk, in nanoseconds.
    pub(super) elsewhere: Arc<AtomicU64>,
}

impl Paced {
    /// Returns the CPU time of all walks.
    fn used(&self) -> Duration {
        let elsewhere = Duration::from_nanos(self.elsewhere.load(Ordering::Relaxed));
        cpu_time().saturating_sub(elsewhere)
    }
}

impl Effort {
    /// Returns the number of threads that read processes; 0 for as many as help.
    fn threads(&self) -> usize {
        match self {
            Self::Full(_) => 0,
            Self::Paced(_) => 1,
        }
    }

    /// Rests, at most this long. Fails if the walk is to end.
    fn check(&self, longest: Duration) -> Result<(), Failure> {
        match self {
            Self::Full(check) => check(),
            Self::Paced(paced) => {
                paced.budget.pause(paced.used(), longest);
                Ok(())
            }
        }
    }

    /// Returns the CPU time that walks have used.
    fn used(&self) -> Duration {
        match self {
            Self::Full(_) => cpu_time(),
            Self::Paced(paced) => paced.used(),
        }
    }
}

/// Result of a walk, and its cost.
#[derive(Debug)]
pub(super) struct Walked<T> {
    pub(super) found: T,
    pub(super) cost: Cost,
}

/// Cost of a walk.
#[derive(Copy, Clone, Debug)]
pub(super) struct Cost {
    /// End of the walk.
    pub(super) end: SystemTime,
    pub(super) duration: Duration,
    pub(super) cpu: Duration,
    /// Time of calls that held mmap locks.
    pub(super) lock: Duration,
}

/// Resident memory, and the part of it that huge entries map, hugetlb included.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Mapped {
    pub(super) resident: u64,
    pub(super) huge: u64,
}

/// Mapped memory by the name of the kind of mapping.
pub(super) type Kinds = BTreeMap<&'static str, Mapped>;

/// Number of processes by the result of their walk.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) read: u64,
    pub(super) denied: u64,
    pub(super) silent: u64,
    pub(super) failed: u64,
    /// Ended before they were read.
    pub(super) ended: u64,
    /// Hidden by proc.
    pub(super) hidden: u64,
}

impl Counts {
    fn add(&mut self, error: &Error) {
        *match error {
            error if error.is_gone() => &mut self.ended,
            error if error.is_permission_denied() => &mut self.denied,
            error if error.is_silent() => &mut self.silent,
            _ => &mut self.failed,
        } += 1;
    }

    /// Returns whether every process was read that has not ended.
    pub(super) fn is_complete(&self) -> bool {
        self.denied + self.silent + self.failed + self.hidden == 0
    }
}

/// Memory of all processes.
#[derive(Debug)]
pub(super) struct Processes {
    pub(super) counts: Counts,
    pub(super) groups: GroupedMemory<Vec<u8>>,
    pub(super) kinds: Kinds,
    /// The kernel reports huge entries.
    pub(super) knows_huge: bool,
}

/// Memory of one process.
struct Read {
    group: Vec<u8>,
    part: GroupPart,
    kinds: Kinds,
    knows_huge: bool,
}

/// Reader of a machine.
pub(super) struct Reader {
    selection: Selection,
    effort: Arc<Effort>,
}

impl Reader {
    /// Returns a reader of this machine. The time for which locks are held is counted from now on.
    pub(super) fn new(selection: &Selection, effort: Effort) -> Self {
        process_introspection::count_lock_time();
        Self {
            selection: selection.clone(),
            effort: Arc::new(effort),
        }
    }

    fn walk<T>(&self, read: impl FnOnce() -> Result<T, Failure>) -> Result<Walked<T>, Failure> {
        let (begun, cpu, lock) = (Instant::now(), self.effort.used(), lock_time());
        let found = read()?;
        let lock = lock_time().nanoseconds - lock.nanoseconds;
        let walked = Walked {
            found,
            cost: Cost {
                end: SystemTime::now(),
                duration: begun.elapsed(),
                cpu: self.effort.used().saturating_sub(cpu),
                lock: Duration::from_nanos(lock),
            },
        };
        // The cost of the last part of the walk counts, too.
        self.effort.check(Duration::MAX)?;
        Ok(walked)
    }

    /// Reads counters of the kernel.
    pub(super) fn counters(&self) -> Result<MemoryCounters, Failure> {
        Ok(MemoryCounters::read_in(&self.selection.mounts)?)
    }

    /// Reads all frames; the error text if this caller or this kernel cannot.
    pub(super) fn frames(&self) -> Result<Result<Walked<MemoryBalance>, String>, Failure> {
        let mounts = &self.selection.mounts;
        let walked = self.walk(|| match &*self.effort {
            Effort::Full(_) => Ok(MemoryBalance::take_in(mounts)?),
            Effort::Paced(_) => {
                let runs = FrameRuns::open_in(mounts)?;
                let (mut count, mut failed) = (0, None);
                let balance = MemoryBalance::visit(mounts, &runs, |_| {
                    count += 1;
                    match count % CHECKED {
                        0 => continue_unless(&mut failed, self.effort.check(Duration::MAX)),
                        _ => ControlFlow::Continue(()),
                    }
                })?;
                failed.map_or(Ok(balance), Err)
            }
        });
        match walked {
            Err(Failure::Library(error))
                if error.is_permission_denied() || error.is_unsupported() =>
            {
                Ok(Err(error.to_string()))
            }
            walked => walked.map(Ok),
        }
    }

    /// Reads all processes.
    pub(super) fn processes(&self) -> Result<Walked<Processes>, Failure> {
        self.walk(|| self.read_processes())
    }

    fn read_processes(&self) -> Result<Processes, Failure> {
        let mounts = &self.selection.mounts;
        let (mut listed, mut counts) = (Vec::new(), Counts::default());
        for process in mounts.listed_processes()? {
            match process.unique_pid {
                Ok(unique) => listed.push(unique),
                Err(error) if error.is_gone() => counts.ended += 1,
                Err(_) => counts.hidden += 1,
            }
        }
        let map = PhysicalMap::read_in(mounts)?;
        let huge = PageSize::base().pmd().bytes();
        let settings = HugePageSettings::read_in(mounts, huge);
        let (by, effort, map_of_all) = (self.selection.by, Arc::clone(&self.effort), map.clone());
        let look = move |process: Process| read(&process, by, &map, &settings, &effort);
        let options = PassOptions::new()
            .threads(self.effort.threads())
            .mounts(mounts)
            .deadline(self.selection.deadline);
        let (mut groups, mut failed) = (MemoryGroups::new(), None);
        let (mut kinds, mut knows_huge) = (Kinds::new(), true);
        for_each_process(listed, &options, look, |looked| {
            match looked.map(|looked| looked.and_then(|read| read)) {
                None | Some(Ok(None)) => {}
                Some(Ok(Some(read))) => {
                    counts.read += 1;
                    knows_huge &= read.knows_huge;
                    for (kind, mapped) in read.kinds {
                        let sum = kinds.entry(kind).or_default();
                        sum.resident += mapped.resident;
                        sum.huge += mapped.huge;
                    }
                    groups.add_process([(read.group, read.part)]);
                }
                Some(Err(error)) => counts.add(&error),
            }
            let check = match &*self.effort {
                Effort::Full(check) => check(),
                // The thread that reads rests.
                Effort::Paced(_) => Ok(()),
            };
            continue_unless(&mut failed, check)
        });
        failed.map_or(Ok(()), Err)?;
        let are_all = counts.is_complete();
        Ok(Processes {
            counts,
            groups: groups.finish(GroupScope::Rows, are_all, mounts, &map_of_all)?,
            kinds,
            knows_huge,
        })
    }
}

/// Reads a process; `None` if it has no memory.
fn read(
    process: &Process,
    by: Property,
    map: &PhysicalMap,
    settings: &HugePageSettings,
    effort: &Effort,
) -> Result<Option<Read>, Error> {
    // Kernel threads, and processes that have ended.
    if process.virtual_regions(..)?.next().is_none() {
        return Ok(None);
    }
    let info = process.info()?;
    // Advice is not read: that would hold mmap locks.
    let options = SummaryOptions::new(map)
        .settings(settings)
        .advice(AdviceReading::Never)
        .without_page_classes()
        .frames();
    let mut mappings = Vec::new();
    let summary = process.summary_with(&[AddrRange::ALL], &options, |step| {
        match step {
            SummaryStep::Mapping(mapping) => mappings.push(mapping),
            // A check costs more than a region.
            SummaryStep::Region(_) => return ControlFlow::Continue(()),
            _ => {}
        }
        // Whoever ends the pass knows why.
        match effort.check(LONGEST_REST) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    Ok(Some(Read {
        group: by.name(Member::new(&info.command, info.uid, info.cgroup.as_ref())),
        kinds: kinds(&mappings),
        knows_huge: knows_huge(&summary),
        part: GroupPart::of_process(&summary, mappings),
    }))
}

fn knows_huge(summary: &Summary) -> bool {
    summary.coverage.is_some()
}

fn kinds(mappings: &[MappingSummary]) -> Kinds {
    let mut kinds = Kinds::new();
    for mapping in mappings {
        let sum = kinds.entry(mapping.mapping.kind().name()).or_default();
        let hugetlb = mapping.usage.hugetlb;
        sum.resident += mapping.usage.resident + hugetlb;
        sum.huge += mapping.huge + hugetlb;
    }
    kinds
}
