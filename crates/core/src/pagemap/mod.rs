//! Reads the entries of a page map (`reader`, `scan`). Knows only the beginning and the
//! end of mappings.

mod huge;
mod lengths;
mod pace;
mod reader;
mod scan;

pub use huge::HugeRuns;
pub(crate) use lengths::count_consecutive;
pub use lengths::count_equal;
pub use reader::read_entries;
pub(crate) use reader::{entry_at, NextPages, PageReader, Part};
