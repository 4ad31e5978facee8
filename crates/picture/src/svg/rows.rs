//! Rows of an address space: one for each stretch, with what is at its addresses and, if they
//! are known, where its frames are. Must not know what classes mean.

use std::cmp::Reverse;

use process_introspection_export::{percent, rough};

use crate::map::space::Space;
use crate::palette;
use crate::svg::canvas::{Align, Canvas, Fill, Rect};
use crate::svg::chart::{share, Column};
use crate::svg::stretches::Stretch;
use crate::svg::text::{self, fitting, Style};

/// Number of stretches that have rows of their own.
pub(crate) const KEPT: usize = 12;

/// Height of a row, and of its strips.
const ROW: f64 = 32.0;
const STRIP: f64 = 22.0;
/// Ends of the columns of numbers.
const SIZE: f64 = 282.0;
const MEMORY: f64 = 342.0;
const SHARE: f64 = 396.0;
/// Beginning of the strips.
const STRIPS: f64 = 408.0;
/// Gap between the strips of addresses and of frames.
const GAP: f64 = 14.0;
/// Width of a cell of frames.
const CELL: f64 = 2.0;

/// Rows of an address space.
pub(crate) struct Rows<'a> {
    pub(crate) page: u64,
    /// Title of the column of memory.
    pub(crate) memory: &'a str,
    /// Colours of classes.
    pub(crate) fills: &'a [Fill],
    /// Classes that are drawn at half height, so that they need not differ from others in
    /// colour alone.
    pub(crate) is_low: &'a dyn Fn(usize) -> bool,
    /// Frames in a line, if addresses are known.
    pub(crate) space: Option<&'a Space>,
}

/// Returns the frames of all stretches in a line.
pub(crate) fn space_of(stretches: &[Stretch], page: u64) -> Space {
    let mut largest = 0;
    let mut ranges = Vec::new();
    for stretch in stretches {
        let shift = stretch.frames.shift();
        largest = largest.max(shift);
        let blocks = stretch.frames.blocks();
        ranges.extend(blocks.map(|(block, _)| block << shift..(block + 1) << shift));
    }
    ranges.sort_by_key(|range| (range.start, Reverse(range.end)));
    let mut end = 0;
    ranges.retain(|range| {
        let is_new = range.end > end;
        end = end.max(range.end);
        is_new
    });
    Space::aligned(page, 1 << largest, ranges)
}

impl Rows<'_> {
    /// Returns the width of a strip.
    fn strip(&self) -> f64 {
        let room = Column::ALL.x + Column::ALL.width - STRIPS;
        match self.space {
            Some(_) => (room - GAP) / 2.0,
            None => room,
        }
    }

    fn places(&self) -> f64 {
        STRIPS + self.strip() + GAP
    }

    /// Draws the rows. Returns the place below.
    pub(crate) fn draw(&self, canvas: &mut Canvas, y: f64, stretches: &[Stretch]) -> f64 {
        let baseline = y + 12.0;
        let heads = [(SIZE, "SIZE"), (MEMORY, self.memory), (SHARE, "SHARE")];
        canvas.text(
            Column::ALL.x,
            baseline,
            Style::Muted,
            Align::Left,
            "MAPPINGS",
        );
        for (x, head) in heads {
            canvas.text(x, baseline, Style::Muted, Align::Right, head);
        }
        let what = "virtual, start to end";
        canvas.text(STRIPS, baseline, Style::Muted, Align::Left, what);
        if let Some(space) = self.space {
            let (x, end) = (self.places(), Column::ALL.x + Column::ALL.width);
            if let (Some(first), Some(last)) = (space.pieces().first(), space.pieces().last()) {
                let page = space.page();
                let first = format!("{:x}", first.pfn * page);
                let last = format!("{:x}", (last.pfn + last.frames) * page);
                canvas.text(x, baseline, Style::MutedCode, Align::Left, &first);
                canvas.text(end, baseline, Style::MutedCode, Align::Right, &last);
                let middle = x + (end - x) / 2.0 + text::width("physical", Style::Muted) / 2.0;
                let taken = text::width(&first, Style::MutedCode)
                    + text::width(&last, Style::MutedCode)
                    + text::width("physical", Style::Muted);
                if taken + 60.0 < end - x {
                    canvas.text(middle, baseline, Style::Muted, Align::Right, "physical");
                }
            }
        }
        let mut top = y + 18.0;
        for stretch in stretches {
            canvas.line(Column::ALL.x, top + 0.5, Column::ALL.width);
            self.row(canvas, top + 2.0, stretch);
            top += ROW;
        }
        top
    }

    fn row(&self, canvas: &mut Canvas, top: f64, stretch: &Stretch) {
        let x = Column::ALL.x;
        let room = SIZE - 46.0 - x;
        let (first, second) = (top + 12.0, top + 25.0);
        let kinds = stretch.kinds.join(" ");
        let columns = text::columns(room, Style::Code);
        if stretch.stretches > 1 {
            let words = format!("{} smaller", stretch.stretches);
            canvas.text(x, first, Style::Muted, Align::Left, &words);
        } else if stretch.name.is_empty() {
            canvas.text(x, first, Style::Code, Align::Left, &kinds);
        } else {
            let name = text::cut(&text::name(&stretch.name), columns);
            canvas.text(x, first, Style::Code, Align::Left, &name);
        }
        let mut words = format!("{:x}", stretch.start);
        if let Some((prot, is_shared)) = stretch.prot.filter(|_| stretch.stretches == 1) {
            words += &format!(" {prot}{}", if is_shared { 's' } else { 'p' });
        }
        if stretch.stretches > 1 || !stretch.name.is_empty() {
            words += &format!(" {kinds}");
        }
        let words = fitting(&words, room, Style::MutedCode);
        canvas.text(x, second, Style::MutedCode, Align::Left, &words);
        let middle = top + 18.0;
        canvas.text(
            SIZE,
            middle,
            Style::Plain,
            Align::Right,
            &rough(stretch.bytes),
        );
        canvas.text(
            MEMORY,
            middle,
            Style::Plain,
            Align::Right,
            &rough(stretch.memory),
        );
        let part = percent(stretch.memory, stretch.bytes);
        canvas.text(SHARE, middle, Style::Muted, Align::Right, &part);
        self.addresses(canvas, top + 4.0, stretch);
        if let Some(space) = self.space {
            self.frames(canvas, top + 4.0, stretch, space);
        }
    }

    /// Draws the classes at the addresses of a stretch; of several, one class behind the other.
    fn addresses(&self, canvas: &mut Canvas, top: f64, stretch: &Stretch) {
        let strip = Rect::new(STRIPS, top, self.strip(), STRIP);
        canvas.fill(strip, &palette::TRACK);
        let mut cells = vec![Vec::new(); self.fills.len()];
        let mut push = |class: usize, from: f64, to: f64| {
            let height = STRIP / if (self.is_low)(class) { 2.0 } else { 1.0 };
            let rect = Rect::new(STRIPS + from, top + STRIP - height, to - from, height);
            let cells: &mut Vec<Rect> = &mut cells[class];
            match cells.last_mut() {
                Some(last) if (last.x + last.width - rect.x).abs() < 0.01 => {
                    last.width += rect.width;
                }
                _ => cells.push(rect),
            }
        };
        if stretch.strip.is_some() {
            let pages = (stretch.end - stretch.start).div_ceil(self.page);
            for (range, class) in stretch.cells(self.page) {
                let at = |page| share(page, pages, strip.width);
                push(usize::from(class), at(range.start), at(range.end));
            }
        } else {
            let mut before = 0;
            for (class, &bytes) in stretch.classes.iter().enumerate() {
                let start = share(before, stretch.bytes, strip.width);
                before += bytes;
                if bytes > 0 {
                    push(class, start, share(before, stretch.bytes, strip.width));
                }
            }
        }
        for (&fill, cells) in self.fills.iter().zip(&cells) {
            let visible: Vec<_> = cells
                .iter()
                .filter(|cell| cell.width >= 0.05)
                .copied()
                .collect();
            canvas.cells(fill, &visible);
        }
        canvas.frame(strip);
    }

    /// Draws how much of a stretch is in each part of physical memory.
    fn frames(&self, canvas: &mut Canvas, top: f64, stretch: &Stretch, space: &Space) {
        let strip = Rect::new(self.places(), top, self.strip(), STRIP);
        canvas.fill(strip, &palette::TRACK);
        let count = (strip.width / CELL) as usize;
        let cells = cells_of(stretch, space, count);
        let sums: Vec<f64> = cells.iter().map(|cell| cell.iter().sum()).collect();
        let most = sums.iter().copied().fold(0.0, f64::max);
        let mut bars = vec![Vec::new(); self.fills.len()];
        for ((index, cell), sum) in cells.iter().enumerate().zip(sums) {
            if sum <= 0.0 {
                continue;
            }
            let height = (sum / most * (STRIP - 2.0)).ceil().max(3.0);
            let x = strip.x + index as f64 * CELL;
            let class = (0..cell.len()).max_by(|&one, &other| cell[one].total_cmp(&cell[other]));
            let bar = Rect::new(x, top + STRIP - height, CELL, height);
            bars[class.unwrap_or(0)].push(bar);
        }
        for (&fill, bars) in self.fills.iter().zip(&bars) {
            canvas.cells(fill, bars);
        }
        canvas.frame(strip);
    }
}

/// Returns the frames of a stretch of each class in `count` equal parts of a space.
fn cells_of(stretch: &Stretch, space: &Space, count: usize) -> Vec<Vec<f64>> {
    let mut cells = vec![vec![0.0; stretch.classes.len()]; count];
    let places = space.places().max(1) as f64;
    let shift = stretch.frames.shift();
    for (block, counts) in stretch.frames.blocks() {
        let frames = block << shift..(block + 1) << shift;
        for range in space.places_of(frames) {
            // Where in the block the frames are is not known: they are spread over it.
            let at = |place: u64| place as f64 / places * count as f64;
            let (start, end) = (at(range.start), at(range.end));
            let touched = start as usize..(end.ceil() as usize).min(count);
            let first = touched.start;
            let touched = cells.get_mut(touched).into_iter().flatten();
            for (index, cell) in (first..).zip(touched) {
                let part = (end.min(index as f64 + 1.0) - start.max(index as f64)) / (end - start);
                for (sum, &frames) in cell.iter_mut().zip(counts) {
                    *sum += frames as f64 * part;
                }
            }
        }
    }
    cells
}
