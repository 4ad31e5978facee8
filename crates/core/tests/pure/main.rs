//! The pure parts, through the public items of the crate: generated input against naive
//! parts, and rule by rule.

mod entries;
mod generated;
mod memory_types;
mod merging;
mod page_states;
mod ranges;
mod targets;
mod texts;

use process_introspection_core::mapping::PageSource;
use process_introspection_core::pure::PageContext;
use process_introspection_core::{PageSize, Pfn};

/// Bits of a page map entry (Documentation/admin-guide/mm/pagemap.rst).
const PRESENT: u64 = 1 << 63;
const SWAP: u64 = 1 << 62;
const FILE: u64 = 1 << 61;
const GUARD: u64 = 1 << 58;
const UFFD_WP: u64 = 1 << 57;
const EXCLUSIVE: u64 = 1 << 56;

/// Bits of a frame's flags (include/uapi/linux/kernel-page-flags.h).
const LOCKED: u64 = 1 << 0;
const ANON: u64 = 1 << 12;
const HWPOISON: u64 = 1 << 19;
const NOPAGE: u64 = 1 << 20;
const ZERO_PAGE: u64 = 1 << 24;
const RESERVED: u64 = 1 << 32;

const ANONYMOUS: PageContext = PageContext {
    page: PageSize::SIZE_4K,
    private: true,
    has_object: false,
    unlisted: None,
    source: PageSource::Anonymous,
    hugetlb: false,
    huge_file_bit: true,
    frames: true,
    zero: Some(Pfn::new(100)),
};
const OF_DEV_ZERO: PageContext = PageContext {
    has_object: true,
    ..ANONYMOUS
};
const PRIVATE_FILE: PageContext = PageContext {
    source: PageSource::Cache,
    ..OF_DEV_ZERO
};
const SHARED_FILE: PageContext = PageContext {
    private: false,
    ..PRIVATE_FILE
};
