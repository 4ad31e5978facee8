//! A record of a walk with its attributes. This module does not know what the record is
//! or how its attributes are read.

use std::ops::Deref;

use process_introspection_core::memtype::MemoryType;
use process_introspection_core::PageSize;

use crate::facts::page_facts::{NotedEntries, PageFacts};

/// A region or page table entry with the attributes that were requested from the
/// [walk](crate::Walk); the others are `None`. Dereferences to the region or entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributed<P> {
    /// The region or entry.
    pub pages: P,
    /// NUMA node of all of its memory; `None` also if the node is unknown or not the
    /// same everywhere.
    pub node: Option<u32>,
    /// Memory type, which is how the processor caches accesses; `None` also if it is
    /// unknown.
    pub memory_type: Option<MemoryType>,
    /// Size of the page table entries that map the record, see
    /// [`page_size_of`](crate::Process::page_size_of).
    pub page_size: Option<PageSize>,
    /// Flags of its page-map entries, as the walk read them.
    pub entries: Option<NotedEntries>,
    /// Facts of its pages.
    pub facts: Option<PageFacts>,
}

impl<P> Attributed<P> {
    /// Makes a record without attributes, which can be set. Walks do so, and readers of
    /// stored records.
    pub const fn new(pages: P) -> Self {
        Self {
            pages,
            node: None,
            memory_type: None,
            page_size: None,
            entries: None,
            facts: None,
        }
    }
}

impl<P> Deref for Attributed<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.pages
    }
}
