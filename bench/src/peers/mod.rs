//! Peers: other implementations that users could choose.

pub(crate) mod crates;
pub(crate) mod each_page;
pub(crate) mod programs;
