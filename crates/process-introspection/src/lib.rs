//! Physical memory behind a range of a process's addresses.
//!
//! ```
//! use process_introspection::Process;
//!
//! let process = Process::current()?;
//! let buffer = vec![1u8; 1 << 20];
//! let start = buffer.as_ptr() as u64;
//! let range = start..start + buffer.len() as u64;
//!
//! // Residence can be queried without any privilege ...
//! for region in process.resident_regions(range.clone())? {
//!     let region = region?;
//!     println!("{} {:?}", region.virt, region.backing);
//! }
//!
//! // ... physical addresses need CAP_SYS_ADMIN. A walk reads the selected attributes.
//! match process.walk(range).page_sizes().iter() {
//!     Ok(regions) => {
//!         for region in regions {
//!             let region = region?;
//!             let (start, size) = (region.virt.start(), region.page_size);
//!             println!("{start:#x} {:#x} {:?} {size:?}", region.size(), region.backing);
//!         }
//!     }
//!     Err(error) => assert!(error.is_permission_denied(), "{error}"),
//! }
//! # Ok::<(), process_introspection::Error>(())
//! ```
//!
//! # Validity of an address
//!
//! Each address is valid when it is read, and only as long as the page stays in
//! its frame: the kernel moves, swaps, merges and splits pages at any time.
//! `mlock` keeps a page resident, but not in its frame; only pinning (as RDMA,
//! VFIO or `io_uring` registered buffers do) does. A physical address is the one
//! in the CPU's page tables; a device behind an IOMMU needs another one.
//!
//! # Privileges
//!
//! | query | required |
//! |---|---|
//! | layout ([`Process::virtual_regions`]), residence ([`Process::resident_regions`]) of one's own process | nothing |
//! | … of another process | the right to read it with ptrace: same user, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH |
//! | facts of a process ([`Process::info`], [`Mounts::process_info`]) | nothing; for the path of its program the right to read it with ptrace |
//! | status of processes and threads ([`status_of`], [`Thread::status`]), lists of processes | nothing; for some facts the right to read the process with ptrace, or to attach to it |
//! | registers of a thread ([`Thread::registers`]) | the right to attach to its process with ptrace |
//! | physical addresses | CAP_SYS_ADMIN in the initial user namespace as well |
//! | resources and nodes of physical addresses ([`PhysicalMap`]) | the same |
//! | pages of files in the page cache ([`page_cache`]) | the right to read the processes that use them, and to own the files or write to them |
//! | processes that map physical memory ([`owners`]) | the same, and the right to read each of them |
//! | facts of page frames ([`Frames`], [`PageUses`]) | the right to open root's files `/proc/kpageflags` and `/proc/kpagecount` |
//!
//! Without CAP_SYS_ADMIN the kernel silently reports frame 0 for every page. This
//! crate detects that and fails; it never returns a made-up address.
//!
//! # Processes that change
//!
//! A [`Process`] is one process and one memory. The target can run during a walk;
//! regions are nevertheless in order and never overlap. When the target exits or
//! executes another program, walks fail with an error that [`Error::is_gone`];
//! they never end early as if complete.
#![deny(unsafe_code)]

mod compare;
mod control;
mod error;
mod facts;
mod handover;
mod machine;
mod metrics;
mod named;
mod owners;
mod page_cache;
mod passes;
mod process;
mod summary;
mod sys;
mod text_files;
mod walk;

pub use compare::changes::MemoryChanges;
pub use compare::comparison::{compare_regions, MappingChanges};
pub use compare::recording::{RecordedRegions, Recorder, Recording};
pub use compare::source::{IteratedRegions, NoRegions, RegionSource};
pub use control::freeze::Frozen;
pub use control::launch::{is_signal_ignored, LaunchError, Moment, Program, StoppedAtExit};
pub use error::Error;
pub use facts::page_facts::{EntryFlags, NotedEntries, PageFacts, PageFactsReader};
pub use facts::thread_stacks::ThreadStacks;
pub use facts::vm_flags::VmFlags;
pub use machine::balance::{CountedUse, MemoryBalance, UnflaggedPart, UseCounter};
pub use machine::blocks::BlockCensus;
pub use machine::buddy::FreeBlocks;
pub use machine::census::{
    FrameCensus, FrameTally, PayerCensus, StateTotals, UseTotals, ZoneCensus,
};
pub use machine::cgroups::MemoryCgroups;
pub use machine::counters::{MemoryCounter, MemoryCounters};
pub use machine::frame_changes::{compare_frames, compare_frames_with, FrameChange};
pub use machine::frame_runs::{FrameRun, FrameRuns};
pub use machine::frame_use::{FrameState, FrameUse};
pub use machine::frames::{FrameFlags, Frames};
pub use machine::host::{machine_id, Host, MemoryPressure, Pressure};
pub use machine::huge_page_activity::{HugePageActivity, HugePageSize, Khugepaged};
pub use machine::huge_pages::{AnonymousMode, HugePageSettings, SharedMode};
pub use machine::huge_pools::HugePool;
pub use machine::memory_types::MemoryTypes;
pub use machine::page_use::{PageRun, PageUse, PageUses};
pub use machine::physical_map::{PhysicalKind, PhysicalMap, PhysicalPlace, Resource};
pub use machine::range::PhysRange;
pub use machine::swap_areas::{SwapArea, SwapAreas};
pub use machine::zones::Zone;
pub use metrics::{
    ContiguityMetrics, ContiguityMetricsAccumulator, FolioLayout, FoliosOfKind, HugeBytes, ThpBytes,
};
pub use owners::{owners, Coverage, Owner, OwnerEvent, OwnerSearch, PassedProcess, WantedFrames};
pub use page_cache::{
    page_cache, CacheCounters, CacheStates, CachedFile, FileUser, PageCache, PageCacheStep,
    UncountedFiles, UncountedReason,
};
pub use passes::{for_each_process, stream_processes, Parts, PassEvent, PassOptions};
pub use process::cgroup::Cgroup;
pub use process::counters::{MemoryRollup, ProcessCounters};
pub use process::find::{
    all_pids, all_processes, is_process_name, processes_named, ListedProcess, NamedProcess,
};
pub use process::info::ProcessInfo;
pub use process::mapping::{Mapping, MappingName, MappingParts};
pub use process::mounts::Mounts;
pub use process::object::Object;
pub use process::status::{all_unique_pids, children_of, program_of, status_of, Thread};
pub use process::user_rights::{raise_permitted_capabilities, with_user_rights};
pub use process::{Addresses, Process, UniquePid};
pub use summary::{
    AdviceReading, Contiguity, ContiguityCounter, ExtentClass, GroupFrames, GroupMemory, GroupPart,
    GroupScope, GroupedMemory, HugeCoverage, HugePolicy, MappedFrames, MappingSummary,
    MemoryGroups, PageClass, PolicyBytes, Summary, SummaryAccumulator, SummaryOptions, SummaryStep,
    Usage,
};
pub use walk::attributed::Attributed;
pub use walk::backed::Backed;
pub use walk::builder::Walk;
pub use walk::extents::{Extent, ExtentBacking, Extents};
pub use walk::joined::JoinedRegions;
pub use walk::page_table::{PageTable, PageTableEntry};
pub use walk::regions::{PhysicalRegion, PhysicalRegions};
pub use walk::resident::of_physical::ResidentOfPhysical;
pub use walk::resident::{ResidentRegion, ResidentRegions};
pub use walk::virtual_regions::VirtualRegions;

pub use process_introspection_core::addr::{AddrRange, PageSize, Pfn, PhysAddr, VirtAddr};
pub use process_introspection_core::backing::{
    Backing, DeviceMemory, SwapPlace, UnknownReason, Unlisted,
};
pub use process_introspection_core::flags::QnxFlags;
pub use process_introspection_core::image::BuildId;
pub use process_introspection_core::lock_time::{count_lock_time, lock_time, LockTime};
pub use process_introspection_core::mapping::MappingKind;
pub use process_introspection_core::memtype::MemoryType;
pub use process_introspection_core::proc_text::{Suspension, SystemCall};
pub use process_introspection_core::process::WordSize;
pub use process_introspection_core::registers::Registers;
pub use process_introspection_core::status::process::{Identities, ProcessStatus};
pub use process_introspection_core::status::thread::{ThreadStatus, Wait};
pub use process_introspection_core::status::{Policy, RunState, Scheduling, SignalSet};
pub use process_introspection_core::threads::ThreadStackPointer;
pub use process_introspection_core::vma::{Device, Protection};
pub use process_introspection_core::Target;
