//! Records of `process-introspection` as pictures whose size does not depend on the amount of
//! memory. This crate sees records and numbers of frames, never a process.
#![forbid(unsafe_code)]

pub mod color;
pub mod map;
pub mod palette;
pub mod report;
pub mod svg;
