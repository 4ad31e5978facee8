//! Floors: the bare system calls that any program needs for the same result.

mod bulk;
pub(crate) mod calls;
mod frames;
mod kept;
mod maps;
mod plain;
mod scan;

pub(crate) use bulk::{read_both, Bulk};
pub(crate) use frames::SortedFrames;
pub(crate) use kept::Kept;
pub(crate) use maps::{read_maps, Areas};
pub(crate) use plain::PlainWalk;
pub(crate) use scan::Scan;
