//! The walk from a process's addresses to the physical memory behind them.
//!
//! `no_std`, no allocation, no lock, no thread-local: everything here can run
//! in a signal handler. Data flows one way through the modules:
//!
//! ```text
//! process  ->  vma  ->  classify  ->  virtual_regions
//!                 \->  pagemap   ->  physical  ->  page_table
//! ```
//!
//! * [`process`] opens a target so that all its files belong to one process and one
//!   memory; [`proc_text`] parses small text files below `/proc`.
//! * [`vma`] enumerates its VMAs. `classify` finds their kinds
//!   ([`mapping`]) from their [`names`] and objects; [`image`] reads executables and
//!   shared libraries, [`server`] avoids file systems that are processes.
//! * [`pagemap`] reads its page map; [`entry`] decodes the entries.
//! * [`physical`] merges entries into maximal physical runs, whose [`backing`] has types
//!   of its own; [`page_table`] lists leaf entries.
//! * [`device`] finds a device's memory, [`memtype`] how it is cached.
//! * [`virtual_regions`] lists mappings, [`memory`] copies their bytes, [`threads`] reads
//!   the threads' stack pointers, [`flags`] computes QNX's flags.
//! * [`descriptor`] has owned and borrowed file descriptors. [`pure`] is for tests.
//!
//! Most programs want the crate `process-introspection`, which adds
//! iterators, owned names and error messages to this one.
#![no_std]
#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod addr;
pub mod backing;
pub mod descriptor;
pub mod device;
pub mod entry;
pub mod error;
pub mod flags;
pub mod mapping;
pub mod memory;
pub mod memtype;
pub mod page_table;
pub mod pagemap;
pub mod physical;
pub mod proc_text;
pub mod process;
pub mod processes;
pub mod program_name;
pub mod pure;
pub mod registers;
pub mod threads;
pub mod virtual_regions;
pub mod vma;

mod apart;
mod classify;
mod elf;
pub mod elf_file;
mod features;
pub mod image;
pub mod lock_time;
mod mounts;
pub mod names;
mod object;
mod resident;
pub mod server;
pub mod status;
mod sys;
mod uapi;

pub use addr::{AddrRange, PageSize, Pfn, PhysAddr, VirtAddr};
pub use error::{CoreError, Errno, Operation};
pub use process::{ProcessHandle, Target};
