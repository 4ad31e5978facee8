//! Facts of pages and mappings that a walk does not read by itself: frames' flags
//! and mapcounts, the kernel's flags of mappings, threads' stacks. Knows no walk.

pub(crate) mod page_facts;
pub(crate) mod thread_stacks;
pub(crate) mod vm_flags;
