//! Drawing of frames as the cells of a square. Must not know what classes mean.

use std::collections::BTreeMap;

use process_introspection_export::rough;

use crate::map::buckets::Square;
use crate::map::hilbert;
use crate::svg::canvas::{Canvas, Fill, Rect};
use crate::svg::chart::Column;
use crate::svg::text::Style;

/// Length of a side of the square.
pub(crate) const SIDE: f64 = 352.0;

/// Draws the cells in the colours of their classes. The filled part of a cell is about the part
/// of its frames that is of its class.
pub(crate) fn draw(canvas: &mut Canvas, x: f64, y: f64, square: &Square, classes: &[Fill]) {
    let cells = 1u32 << square.level;
    let side = SIDE / f64::from(cells);
    let mut of_classes = BTreeMap::<u8, Vec<Rect>>::new();
    for (place, cell) in (0..).zip(&square.cells) {
        let Some(class) = cell.class else {
            continue;
        };
        let (column, row) = hilbert::cell(square.level, place);
        // Steps of an eighth of a side, so that positions are short numbers.
        let filled = (f64::from(cell.purity) / 255.0).sqrt();
        let filled = ((filled * 8.0).ceil() / 8.0).max(0.25) * side;
        let edge = (side - filled) / 2.0;
        of_classes.entry(class).or_default().push(Rect::new(
            x + f64::from(column) * side + edge,
            y + f64::from(row) * side + edge,
            filled,
            filled,
        ));
    }
    for (class, cells) in &of_classes {
        canvas.cells(classes[usize::from(*class)], &joined(cells));
    }
    canvas.frame(Rect::new(x, y, SIDE, SIDE));
}

/// Returns the rectangles with neighbours of a row that touch as one.
fn joined(cells: &[Rect]) -> Vec<Rect> {
    let mut sorted = cells.to_vec();
    sorted.sort_by(|one, other| {
        let places = (one.y, one.x).partial_cmp(&(other.y, other.x));
        places.unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut rows = Vec::<Rect>::new();
    for cell in sorted {
        match rows.last_mut() {
            Some(last)
                if last.y == cell.y
                    && last.height == cell.height
                    && (last.x + last.width - cell.x).abs() < 0.01 =>
            {
                last.width += cell.width;
            }
            _ => rows.push(cell),
        }
    }
    rows
}

/// Draws how to read the square, and the addresses at its ends. Returns the place below.
pub(crate) fn explain(canvas: &mut Canvas, column: Column, y: f64, square: &Square) -> f64 {
    let pieces = square.space.pieces();
    let page = square.space.page();
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
        return y;
    };
    let gaps = match pieces.len() {
        1 => String::new(),
        2 => " A gap is left out.".to_owned(),
        several => format!(" {} gaps are left out.", several - 1),
    };
    let words = format!(
        "Addresses {:x} (top left) to {:x} (top right) on a Hilbert curve, {} in all.{gaps} A cell \
         has the colour of its most frequent use; the coloured part is the part of that use.",
        first.pfn * page,
        (last.pfn + last.frames) * page,
        rough(square.space.places() * page),
    );
    canvas.prose(column, y, Style::Muted, &words) + 8.0
}
