//! Which physical memory is behind this range of that process's addresses?
//!
//! ```
//! use process_introspection::Process;
//!
//! let process = Process::current()?;
//! let buffer = vec![1u8; 1 << 20];
//! let start = buffer.as_ptr() as u64;
//! let range = start..start + buffer.len() as u64;
//!
//! // What is in memory can be asked without any privilege ...
//! for region in process.resident_regions(range.clone())? {
//!     let region = region?;
//!     println!("{} {:?}", region.virt, region.backing);
//! }
//!
//! // ... physical addresses need CAP_SYS_ADMIN.
//! match process.physical_regions(range) {
//!     Ok(regions) => {
//!         for region in regions {
//!             let region = region?;
//!             println!("{:#x} {:#x} {:?}", region.virt.start(), region.size(), region.backing);
//!         }
//!     }
//!     Err(error) => assert!(error.is_permission_denied(), "{error}"),
//! }
//! # Ok::<(), process_introspection::Error>(())
//! ```
//!
//! # What an address is worth
//!
//! Each address is true when it is read. It stays true only while the page
//! stays where it is: the kernel moves, swaps, merges and splits pages at any
//! time. `mlock` keeps a page in memory, not in its place; only pinning (as
//! RDMA, VFIO or `io_uring` registered buffers do) keeps the place. A physical
//! address is what the CPU's page tables hold; a device behind an IOMMU must
//! be given another one.
//!
//! # Privileges
//!
//! | asked for | needed |
//! |---|---|
//! | layout ([`Process::virtual_regions`]), residence ([`Process::resident_regions`]) of one's own process | nothing |
//! | … of another process | the right to read it with ptrace: same user, or CAP_SYS_PTRACE |
//! | physical addresses | CAP_SYS_ADMIN in the initial user namespace as well |
//!
//! Without the last the kernel gives frame 0 for every page, silently. This
//! crate finds that out and fails; it never gives a made-up address.
//!
//! # Processes that change
//!
//! A [`Process`] is one process and one memory. Walks go on while the target
//! runs; regions are in order and never overlap all the same. When the target
//! exits or executes another program, walks fail with an error that
//! [`Error::is_gone`], they never end early as if complete.
#![deny(unsafe_code)]

mod error;
mod extents;
mod freeze;
mod launch;
mod mapping;
mod object;
mod page_table;
mod parallel;
mod physical;
mod process;
mod processes;
mod resident;
mod snapshot;
mod sys;
mod virtual_regions;

pub use error::Error;
pub use extents::{Extent, ExtentBacking, Extents};
pub use freeze::Frozen;
pub use launch::{LaunchError, Moment, Program, StandingAtExit};
pub use mapping::{Mapping, MappingName};
pub use object::Object;
pub use page_table::{PageTable, PageTableEntry};
pub use physical::{PhysicalRegion, PhysicalRegions};
pub use process::{Process, UniquePid};
pub use processes::{processes_named, NamedProcess};
pub use resident::{ResidentRegion, ResidentRegions};
pub use snapshot::Snapshot;
pub use virtual_regions::VirtualRegions;

pub use process_introspection_core::addr::{AddrRange, PageSize, Pfn, PhysAddr, VirtAddr};
pub use process_introspection_core::object::MappingKind;
pub use process_introspection_core::physical::{Backing, SwapPlace};
pub use process_introspection_core::vma::{Device, Protection};
pub use process_introspection_core::Target;
