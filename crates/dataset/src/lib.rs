//! Records of `process-introspection` as Arrow, and lakes: tables of snapshots in Parquet
//! that any engine reads.
//!
//! Columns come from the declarations of [the records'
//! fields](process_introspection_export::Field): see [`columns`] for the types. [`stream`]
//! writes them for other programs. This crate sees records, never a process.
#![forbid(unsafe_code)]

pub mod columns;
pub mod description;
pub mod lake;
pub mod redaction;
pub mod stream;
pub mod tables;
