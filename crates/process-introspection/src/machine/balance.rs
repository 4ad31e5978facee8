//! Balance of the machine's memory: what was counted frame by frame, beside the counters of
//! the kernel, and what neither explains.

use std::ops::ControlFlow;

use crate::error::Error;
use crate::machine::census::{FrameCensus, FrameTally};
use crate::machine::counters::{MemoryCounter, MemoryCounters};
use crate::machine::frame_runs::{FrameRun, FrameRuns};
use crate::machine::frame_use::FrameUse;
use crate::named::named_values;
use crate::process::mounts::Mounts;

/// Counter of the kernel that says what uses of frames say, too.
#[derive(Copy, Clone, Debug)]
#[non_exhaustive]
pub struct UseCounter {
    /// Name: a line of meminfo, or a sum of such lines.
    pub name: &'static str,
    /// Uses whose frames it counts.
    pub uses: &'static [FrameUse],
    value: fn(&MemoryCounters) -> Option<u64>,
}

impl UseCounter {
    /// Counters, each with the uses that it counts. Free memory is compared with that of
    /// zoneinfo: MemFree can have memory that the kernel has not initialized yet.
    pub const ALL: [Self; 9] = [
        Self::of("AnonPages", &[FrameUse::Anonymous], |all| {
            all.get(MemoryCounter::AnonPages)
        }),
        Self::of("Shmem", &[FrameUse::Shmem], |all| {
            all.get(MemoryCounter::Shmem)
        }),
        Self::of(
            "Cached+Buffers-Shmem",
            &[FrameUse::PageCacheMapped, FrameUse::PageCacheUnmapped],
            |all| {
                let files = all.get(MemoryCounter::Cached)? + all.get(MemoryCounter::Buffers)?;
                files.checked_sub(all.get(MemoryCounter::Shmem)?)
            },
        ),
        Self::of("Slab", &[FrameUse::Slab], |all| {
            all.get(MemoryCounter::Slab)
        }),
        Self::of("PageTables", &[FrameUse::PageTable], |all| {
            all.get(MemoryCounter::PageTables)
        }),
        Self::of(
            "Hugetlb",
            &[FrameUse::HugetlbMapped, FrameUse::HugetlbUnmapped],
            |all| all.get(MemoryCounter::Hugetlb),
        ),
        Self::of("Balloon", &[FrameUse::Offline], |all| {
            all.get(MemoryCounter::Balloon)
        }),
        Self::of("HardwareCorrupted", &[FrameUse::Poisoned], |all| {
            all.get(MemoryCounter::HardwareCorrupted)
        }),
        Self::of("nr_free_pages", &[FrameUse::Free], |all| {
            Some(all.bytes_of_zones(|zone| zone.free))
        }),
    ];

    const fn of(
        name: &'static str,
        uses: &'static [FrameUse],
        value: fn(&MemoryCounters) -> Option<u64>,
    ) -> Self {
        Self { name, uses, value }
    }

    /// Returns the counter of a use; `None` if the kernel counts no such memory.
    pub fn of_use(frame_use: FrameUse) -> Option<&'static Self> {
        static ALL: [UseCounter; UseCounter::ALL.len()] = UseCounter::ALL;
        ALL.iter().find(|counter| counter.uses.contains(&frame_use))
    }

    /// Returns its value in bytes; `None` if this kernel does not have it.
    pub fn value(&self, counters: &MemoryCounters) -> Option<u64> {
        (self.value)(counters)
    }
}

/// Memory of a use, beside the counter of the kernel.
#[derive(Copy, Clone, Debug)]
#[non_exhaustive]
pub struct CountedUse {
    /// Use of the frames.
    pub frame_use: FrameUse,
    /// Bytes of its frames.
    pub bytes: u64,
    /// Counter; `None` if the kernel counts no such memory.
    pub counter: Option<&'static UseCounter>,
    /// Values of the counter in bytes, before the frames were read and after; `None` if this
    /// kernel does not have it.
    pub counted: Option<(u64, u64)>,
}

named_values! {
    /// Part of the memory whose use no flag shows (`kernel` and `unflagged`), by counters.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum UnflaggedPart {
        /// Not initialized yet: present, neither managed nor reserved.
        NotInitialized = "not-initialized",
        /// Not accepted from the firmware yet.
        Unaccepted = "unaccepted",
        /// Free in a list of a CPU.
        PerCpuLists = "per-cpu-lists",
        /// Memory of vmalloc: modules, BPF, and kernel stacks on most architectures.
        Vmalloc = "vmalloc",
        /// Kernel stacks that are no memory of vmalloc.
        KernelStacks = "kernel-stacks",
        /// Data of each CPU.
        PerCpuData = "percpu",
        /// Memory of kmalloc that is larger than a slab: the slab counter less slab frames.
        LargeKmalloc = "large-kmalloc",
        /// Page tables of virtual machines and of IOMMUs.
        SecondaryPageTables = "secondary-page-tables",
        /// Pools of zswap and zram.
        Zsmalloc = "zsmalloc",
        /// Memory of drivers in regions for contiguous allocations.
        Cma = "cma",
        /// Memory in use by GPUs, or kept for them.
        Gpu = "gpu",
        /// Memory of drivers that they give back under pressure.
        MiscReclaimable = "misc-reclaimable",
        /// Arrays of frames that were allocated after boot.
        Memmap = "memmap",
    }
    /// All parts, in the order of outputs.
    pub const ALL;
    /// Returns the name in every output.
    pub const fn name;
}

/// Memory of the machine, each frame in one use, beside the counters of the kernel.
#[derive(Clone, Debug)]
pub struct MemoryBalance {
    census: FrameCensus,
    before: MemoryCounters,
    after: MemoryCounters,
}

impl MemoryBalance {
    /// Counts all frames, and reads the counters before and after.
    ///
    /// ```
    /// use process_introspection::MemoryBalance;
    ///
    /// match MemoryBalance::take() {
    ///     Ok(balance) => println!("{} KiB unexplained", balance.unexplained() / 1024),
    ///     Err(error) => assert!(error.is_permission_denied() || error.is_unsupported(), "{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`FrameCensus::take`].
    pub fn take() -> Result<Self, Error> {
        Self::take_in(&Mounts::new())
    }

    /// Counts all frames by files below other mounts of proc and sysfs.
    ///
    /// # Errors
    /// As [`MemoryBalance::take`].
    pub fn take_in(mounts: &Mounts) -> Result<Self, Error> {
        Self::take_with_progress(mounts, |_, _| ())
    }

    /// Counts all frames by files below other mounts of proc and sysfs, and calls `passed` as
    /// [`FrameCensus::take_with_progress`] does.
    ///
    /// # Errors
    /// As [`MemoryBalance::take`].
    pub fn take_with_progress(
        mounts: &Mounts,
        passed: impl Fn(u64, u64) + Sync,
    ) -> Result<Self, Error> {
        let before = MemoryCounters::read_in(mounts)?;
        let census = FrameCensus::take_with_progress(mounts, passed)?;
        let after = MemoryCounters::read_in(mounts)?;
        Ok(Self::new(census, before, after))
    }

    /// Counts all frames on this thread, with counters below these mounts, and passes each run
    /// to `each`, ascending, which can break off: the census is then that of the frames before.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn visit(
        mounts: &Mounts,
        runs: &FrameRuns,
        mut each: impl FnMut(&FrameRun) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        let before = MemoryCounters::read_in(mounts)?;
        let mut tally = FrameTally::of(runs);
        runs.visit(|run| {
            tally.add(run);
            each(run)
        })?;
        let after = MemoryCounters::read_in(mounts)?;
        Ok(Self::new(tally.finish(), before, after))
    }

    /// Returns the balance of a census, and of the counters before and after it.
    pub fn new(census: FrameCensus, before: MemoryCounters, after: MemoryCounters) -> Self {
        Self {
            census,
            before,
            after,
        }
    }

    /// Returns the census.
    pub fn census(&self) -> &FrameCensus {
        &self.census
    }

    /// Returns the counters as they were before the census.
    pub fn counters_before(&self) -> &MemoryCounters {
        &self.before
    }

    /// Returns the counters as they were after the census.
    pub fn counters(&self) -> &MemoryCounters {
        &self.after
    }

    /// Returns the memory that exists, in bytes, as zoneinfo has it.
    pub fn present(&self) -> u64 {
        self.after.bytes_of_zones(|zone| zone.present)
    }

    /// Returns the memory of each use that has any.
    pub fn uses(&self) -> Vec<CountedUse> {
        let page = self.census.page_size().bytes();
        let total = self.census.total();
        let uses = total.iter().map(|(frame_use, frames)| {
            let counter = UseCounter::of_use(frame_use);
            CountedUse {
                frame_use,
                bytes: frames * page,
                counter,
                counted: counter.and_then(|counter| {
                    let before = counter.value(&self.before);
                    before.zip(counter.value(&self.after))
                }),
            }
        });
        uses.filter(|one| one.bytes > 0 || one.counted.is_some_and(|of| of != (0, 0)))
            .collect()
    }

    /// Returns the bytes of frames whose use no flag shows, and what the counters say that
    /// they are: the mean of before and after. Parts that this kernel does not count, and parts
    /// without memory, are left out.
    pub fn unflagged(&self) -> Vec<(UnflaggedPart, u64)> {
        let parts = UnflaggedPart::ALL.into_iter();
        let parts = parts.filter_map(|part| {
            let before = self.part(part, &self.before)?;
            let after = self.part(part, &self.after)?;
            Some((part, before.midpoint(after)))
        });
        parts.filter(|&(_, bytes)| bytes > 0).collect()
    }

    /// Returns the bytes of frames whose use neither a flag nor a counter shows. Counters are
    /// of other moments than frames, so it can be less than 0.
    pub fn unexplained(&self) -> i64 {
        let unflagged = self.bytes(FrameUse::Kernel) + self.bytes(FrameUse::Unflagged);
        let parts: u64 = self.unflagged().into_iter().map(|(_, bytes)| bytes).sum();
        unflagged as i64 - parts as i64
    }

    fn bytes(&self, frame_use: FrameUse) -> u64 {
        self.census.total()[frame_use] * self.census.page_size().bytes()
    }

    /// Returns the bytes of a part by counters of one moment.
    fn part(&self, part: UnflaggedPart, counters: &MemoryCounters) -> Option<u64> {
        use MemoryCounter as C;
        match part {
            UnflaggedPart::NotInitialized => {
                let rest = counters.bytes_of_zones(|zone| zone.present - zone.managed);
                // Balloons take memory from what is managed, too (mm/page_alloc.c
                // `adjust_managed_page_count`).
                let known = [FrameUse::Reserved, FrameUse::Zero, FrameUse::Offline];
                let known: u64 = known.into_iter().map(|one| self.bytes(one)).sum();
                Some(rest.saturating_sub(known))
            }
            UnflaggedPart::Unaccepted => counters.get(C::Unaccepted),
            UnflaggedPart::PerCpuLists => Some(counters.bytes_of_zones(|zone| zone.per_cpu)),
            UnflaggedPart::Vmalloc => counters.get(C::VmallocUsed),
            UnflaggedPart::KernelStacks => {
                let stacks = counters.get(C::KernelStack);
                stacks.filter(|_| !counters.stacks_in_vmalloc())
            }
            UnflaggedPart::PerCpuData => counters.get(C::Percpu),
            UnflaggedPart::LargeKmalloc => {
                let slab = counters.get(C::Slab)?;
                Some(slab.saturating_sub(self.bytes(FrameUse::Slab)))
            }
            UnflaggedPart::SecondaryPageTables => counters.get(C::SecPageTables),
            UnflaggedPart::Zsmalloc => counters.get(C::Zsmalloc),
            UnflaggedPart::Cma => counters.get(C::CmaAllocated),
            UnflaggedPart::Gpu => {
                let active = counters.get(C::GpuActive);
                active
                    .zip(counters.get(C::GpuReclaim))
                    .map(|(active, kept)| active + kept)
            }
            UnflaggedPart::MiscReclaimable => counters.get(C::MiscReclaimable),
            UnflaggedPart::Memmap => counters.get(C::Memmap),
        }
    }
}
