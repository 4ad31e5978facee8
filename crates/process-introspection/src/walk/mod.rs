//! Walks of a process's memory: regions, extents, leaf entries of the page table. This
//! module does not know summaries and owners, which consume its results.

pub(crate) mod attributed;
mod attributes;
pub(crate) mod backed;
pub(crate) mod builder;
mod current_mapping;
pub(crate) mod extents;
pub(crate) mod joined;
mod memory_types;
pub(crate) mod page_table;
mod parallel;
pub(crate) mod regions;
pub(crate) mod resident;
pub(crate) mod virtual_regions;
mod zeroed_memory;
