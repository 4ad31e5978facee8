//! The parts of the walk that do no I/O. Programs need none of them: they are public
//! for tests and benchmarks that feed them other input than a kernel's. Those are
//! `tests/pure`, the fuzz targets `maps_text` and `page_runs`, and the benchmarks
//! `text`, `runs` and `floors`.

pub use crate::physical::merging::Merger;
pub use crate::physical::state::{FrameFlagSource, PageContext};
pub use crate::vma::text::{parse, Line, Lines};
