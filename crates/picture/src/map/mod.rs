//! Map of physical memory: frames on a Hilbert curve, reduced to a fixed number of cells. Must
//! not know what classes mean or how cells are drawn.

pub mod buckets;
pub mod hilbert;
pub mod pyramid;
pub mod space;
