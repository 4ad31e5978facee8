//! Pictures for documents: SVG of bounded size, legible 800 pixels wide, in a light and a dark
//! theme, without scripts and without references. Equal records give equal bytes.

mod canvas;
mod chart;
pub mod machine;
mod square;
mod text;

use crate::palette;
use canvas::Fill;

/// Returns the colour of a size on the scale that begins at the smallest one and has a step for
/// each power of two.
fn size_fill(size: u64, smallest: u64) -> Fill {
    let steps = (size / smallest.max(1)).max(1).ilog2() as usize;
    let step = steps.min(palette::SIZES_LIGHT.len() - 1);
    Fill::new(palette::SIZES_LIGHT[step], palette::SIZES_DARK[step])
}
