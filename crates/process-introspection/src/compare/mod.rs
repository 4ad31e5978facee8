//! Comparison of a process's memory at two times: page by page, from two streams of regions
//! in the order of addresses. A live walk, a recorded one and a stored one are sources of the
//! same stream. Must not know where regions come from.

pub(crate) mod changes;
pub(crate) mod comparison;
pub(crate) mod recording;
pub(crate) mod source;
