//! Control of processes: stops them, and starts programs in order to examine them. Reads no
//! memory.

pub(crate) mod freeze;
pub(crate) mod launch;
