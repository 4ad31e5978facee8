//! Facts of pages and mappings that a walk does not read by itself: flags and mapcounts of
//! frames, the kernel's flags of mappings, stacks of threads. Knows no walk.

pub(crate) mod page_facts;
pub(crate) mod thread_stacks;
pub(crate) mod vm_flags;
