//! Tests of parts that need no process and no kernel: sums, settings and maps from files of
//! other machines, uses of pages by flags.

mod contiguity;
mod free_blocks;
mod huge_page_settings;
mod metrics;
mod page_uses;
mod physical_files;
