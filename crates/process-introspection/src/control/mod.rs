//! Stops processes, and starts programs in order to observe them. Reads no memory.

pub(crate) mod freeze;
pub(crate) mod launch;
