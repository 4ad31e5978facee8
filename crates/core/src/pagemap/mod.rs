//! Reading the entries of a page map (`reader`, `scan`). Knows nothing of
//! mappings but where one begins and ends.

mod huge;
mod lengths;
mod pace;
mod reader;
mod scan;

pub use huge::HugeRuns;
pub use lengths::alike;
pub(crate) use lengths::consecutive;
pub use reader::read_entries;
pub(crate) use reader::{entry_at, Known, PageReader, Part};

pub use crate::entry::{Entry, NonPresent};
