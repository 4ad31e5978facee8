//! What users would otherwise pick.

pub(crate) mod crates;
pub(crate) mod each_page;
pub(crate) mod programs;
