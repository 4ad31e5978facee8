//! The walk from a process's addresses to the physical memory behind them.
//!
//! `no_std`, no allocation, no lock, no thread-local: everything here can run
//! in a signal handler. Data flows one way through the modules:
//!
//! ```text
//! process  ->  vma  ->  object  ->  virtual_regions
//!                 \->  pagemap ->  physical  ->  page_table
//! ```
//!
//! * [`process`] opens a target so that every file of it belongs to one
//!   process and one memory.
//! * [`vma`] enumerates its virtual memory VMAs.
//! * [`pagemap`] reads and decodes its page map.
//! * [`physical`] merges page entries into maximal physical runs.
//! * [`page_table`] lists leaf entries.
//! * [`descriptor`] has owned and borrowed file descriptors.
//! * [`proc_text`] parses small text files below `/proc`.
//! * [`threads`] reads the threads' stack pointers.
//! * [`object`] tells what backs a mapping, [`device`] where a device's memory
//!   lies and [`memtype`] how it is cached, [`virtual_regions`] lists mappings,
//!   [`memory`] copies their bytes.
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
pub mod pure;
pub mod threads;
pub mod virtual_regions;
pub mod vma;

mod apart;
mod classify;
mod elf;
pub mod elf_file;
mod features;
pub mod image;
mod mounts;
pub mod names;
mod object;
mod resident;
pub mod server;
mod sys;
mod uapi;

pub use addr::{AddrRange, PageSize, Pfn, PhysAddr, VirtAddr};
pub use error::{CoreError, Errno, Operation};
pub use process::{ProcessHandle, Target};
