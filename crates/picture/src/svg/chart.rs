//! Parts of pictures: headings, rows with bars, stacked bars, legends. Must not know records.

use process_introspection_export::{percent, rough};

use crate::svg::canvas::{Align, Canvas, Fill, Rect, MARGIN, WIDTH};
use crate::svg::text::{self, fitting, width, Style};

/// Column of a picture.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Column {
    pub(crate) x: f64,
    pub(crate) width: f64,
}

/// Empty space between columns.
const GAP: f64 = 24.0;
/// Width of one of two columns.
const HALF: f64 = (WIDTH - 2.0 * MARGIN - GAP) / 2.0;

impl Column {
    /// All of the width.
    pub(crate) const ALL: Self = Self {
        x: MARGIN,
        width: WIDTH - 2.0 * MARGIN,
    };
    /// Left half.
    pub(crate) const LEFT: Self = Self {
        x: MARGIN,
        width: HALF,
    };
    /// Right half.
    pub(crate) const RIGHT: Self = Self {
        x: MARGIN + HALF + GAP,
        width: HALF,
    };

    fn right(self) -> f64 {
        self.x + self.width
    }
}

/// Height of a row.
pub(crate) const ROW: f64 = 18.0;
/// Place of the line of text in a row.
const BASELINE: f64 = 13.0;

/// Row of a list with bars.
#[derive(Clone, Debug)]
pub(crate) struct BarRow {
    /// Word, or a name as [`text::name`] returns it.
    pub(crate) label: String,
    pub(crate) is_name: bool,
    pub(crate) fill: Fill,
    pub(crate) bytes: u64,
    /// Number beside the size, such as a count.
    pub(crate) more: String,
}

impl BarRow {
    /// Returns the row of a word.
    pub(crate) fn word(label: impl Into<String>, fill: impl Into<Fill>, bytes: u64) -> Self {
        Self {
            label: label.into(),
            is_name: false,
            fill: fill.into(),
            bytes,
            more: String::new(),
        }
    }

    /// Returns the row of a name.
    pub(crate) fn name(label: &[u8], fill: impl Into<Fill>, bytes: u64) -> Self {
        Self {
            is_name: true,
            ..Self::word(text::name(label), fill, bytes)
        }
    }

    /// Adds a number beside the size.
    pub(crate) fn with(self, more: impl Into<String>) -> Self {
        Self {
            more: more.into(),
            ..self
        }
    }
}

/// Part of a stacked bar.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) word: String,
    pub(crate) fill: Fill,
    pub(crate) bytes: u64,
}

impl Part {
    pub(crate) fn new(word: impl Into<String>, fill: impl Into<Fill>, bytes: u64) -> Self {
        Self {
            word: word.into(),
            fill: fill.into(),
            bytes,
        }
    }
}

/// Returns the width that a part of a whole has.
pub(crate) fn share(part: u64, whole: u64, room: f64) -> f64 {
    match whole {
        0 => 0.0,
        _ => (part as f64 / whole as f64).clamp(0.0, 1.0) * room,
    }
}

impl Canvas {
    /// Draws the title of a picture, a line of names below it if there are any, and lines of
    /// figures. Returns the place below.
    pub(crate) fn title(&mut self, title: &str, name: &[u8], figures: &[String]) -> f64 {
        let Column { x, width: room } = Column::ALL;
        let title = fitting(title, room, Style::Title);
        self.text(x, 36.0, Style::Title, Align::Left, &title);
        let mut y = 36.0;
        if !name.is_empty() {
            y += 20.0;
            let columns = text::columns(room, Style::Code);
            let name = text::cut(&text::name(name), columns);
            self.text(x, y, Style::Code, Align::Left, &name);
        }
        for line in figures {
            y = self.prose(Column::ALL, y + 2.0, Style::Muted, line);
        }
        y + 10.0
    }

    /// Draws the title of a part, and words of less weight behind it. Returns the place below.
    pub(crate) fn heading(&mut self, column: Column, y: f64, title: &str, more: &str) -> f64 {
        let baseline = y + 20.0;
        self.text(column.x, baseline, Style::Heading, Align::Left, title);
        let x = column.x + width(title, Style::Heading) + 8.0;
        let room = column.right() - x;
        if !more.is_empty() && room > 40.0 {
            let more = fitting(more, room, Style::Muted);
            self.text(x, baseline, Style::Muted, Align::Left, &more);
        }
        baseline + 8.0
    }

    /// Draws text in as many lines as it needs. Returns the place below.
    pub(crate) fn prose(&mut self, column: Column, y: f64, style: Style, words: &str) -> f64 {
        let (mut line, mut y) = (String::new(), y);
        for word in words.split(' ') {
            let longer = match line.is_empty() {
                true => word.to_owned(),
                false => format!("{line} {word}"),
            };
            if width(&longer, style) <= column.width || line.is_empty() {
                line = longer;
                continue;
            }
            y += 16.0;
            let fits = fitting(&line, column.width, style);
            self.text(column.x, y, style, Align::Left, &fits);
            line = word.to_owned();
        }
        y += 16.0;
        let fits = fitting(&line, column.width, style);
        self.text(column.x, y, style, Align::Left, &fits);
        y
    }

    /// Draws rows with their part of a whole. Returns the place below.
    pub(crate) fn bars(&mut self, column: Column, y: f64, rows: &[BarRow], whole: u64) -> f64 {
        const SWATCH: f64 = 10.0;
        const SIZE: f64 = 46.0;
        const SHARE: f64 = 40.0;
        let more = rows.iter().map(|row| width(&row.more, Style::Muted));
        let more = more.fold(0.0, f64::max);
        let more = if more > 0.0 { more + 8.0 } else { 0.0 };
        let has_names = rows.iter().any(|row| row.is_name);
        let label = column.width * if has_names { 0.55 } else { 0.43 } - more / 2.0;
        let (text_x, mut top) = (column.x + SWATCH + 6.0, y);
        for row in rows {
            let baseline = top + BASELINE;
            let swatch = Rect::new(column.x, top + 4.0, SWATCH, SWATCH);
            self.framed(swatch, row.fill);
            let room = label - SWATCH - 6.0;
            match row.is_name {
                true => {
                    let name = text::cut(&row.label, text::columns(room, Style::Code));
                    self.text(text_x, baseline, Style::Code, Align::Left, &name);
                }
                false => {
                    let word = fitting(&row.label, room, Style::Plain);
                    self.text(text_x, baseline, Style::Plain, Align::Left, &word);
                }
            }
            let mut x = column.x + label + SIZE;
            let size = rough(row.bytes);
            self.text(x, baseline, Style::Plain, Align::Right, &size);
            x += more;
            self.text(x, baseline, Style::Muted, Align::Right, &row.more);
            x += SHARE;
            let part = percent(row.bytes, whole);
            self.text(x, baseline, Style::Muted, Align::Right, &part);
            x += 8.0;
            let room = column.right() - x;
            self.fill(Rect::new(x, top + 3.0, room, 12.0), &crate::palette::TRACK);
            let long = share(row.bytes, whole, room);
            if row.bytes > 0 {
                // More than nothing is visible.
                self.framed(Rect::new(x, top + 3.0, long.max(2.0), 12.0), row.fill);
            }
            top += ROW;
        }
        top
    }

    /// Draws the parts of a whole in one bar.
    pub(crate) fn stack(&mut self, bar: Rect, parts: &[Part], whole: u64) {
        self.fill(bar, &crate::palette::TRACK);
        let mut before = 0u64;
        for part in parts {
            let x = bar.x + share(before, whole, bar.width);
            before = before.saturating_add(part.bytes);
            let end = bar.x + share(before, whole, bar.width);
            if end - x >= 0.05 {
                self.fill(Rect::new(x, bar.y, end - x, bar.height), part.fill);
            }
        }
        self.frame(bar);
    }

    /// Draws a name, words, and a stacked bar. Returns the place below.
    pub(crate) fn stack_row(
        &mut self,
        column: Column,
        y: f64,
        name: &str,
        words: &str,
        parts: &[Part],
        whole: u64,
    ) -> f64 {
        let baseline = y + BASELINE;
        let name = fitting(name, column.width * 0.26 - 4.0, Style::Plain);
        self.text(column.x, baseline, Style::Plain, Align::Left, &name);
        let end = column.x + column.width * 0.72;
        let words = fitting(words, column.width * 0.46 - 4.0, Style::Muted);
        self.text(end, baseline, Style::Muted, Align::Right, &words);
        let (x, sum) = (end + 8.0, parts.iter().map(|part| part.bytes).sum::<u64>());
        // The bar is as long as its parts, so that rows compare.
        let long = share(sum, whole, column.right() - x).max(2.0);
        self.stack(Rect::new(x, y + 3.0, long, 12.0), parts, sum);
        y + ROW
    }

    /// Draws colours with their words in as many lines as they need. Returns the place below.
    pub(crate) fn legend(&mut self, column: Column, y: f64, items: &[(Fill, String)]) -> f64 {
        let (mut x, mut top) = (column.x, y);
        for (fill, words) in items {
            let words = fitting(words, column.width - 16.0, Style::Plain);
            let long = 16.0 + width(&words, Style::Plain);
            if x > column.x && x + long > column.right() {
                (x, top) = (column.x, top + ROW);
            }
            self.framed(Rect::new(x, top + 4.0, 10.0, 10.0), *fill);
            self.text(x + 16.0, top + BASELINE, Style::Plain, Align::Left, &words);
            x += long + 16.0;
        }
        if items.is_empty() {
            return y;
        }
        top + ROW
    }

    /// Draws a stacked bar with a legend of sizes and shares. Returns the place below.
    pub(crate) fn stack_with_legend(
        &mut self,
        column: Column,
        y: f64,
        parts: &[Part],
        whole: u64,
    ) -> f64 {
        self.stack(Rect::new(column.x, y, column.width, 22.0), parts, whole);
        let shown = parts.iter().filter(|part| part.bytes > 0);
        let items: Vec<_> = shown
            .map(|part| {
                let (size, share) = (rough(part.bytes), percent(part.bytes, whole));
                (part.fill, format!("{} {size} {share}", part.word))
            })
            .collect();
        self.legend(column, y + 26.0, &items)
    }
}
