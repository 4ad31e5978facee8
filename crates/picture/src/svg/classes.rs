//! Picture of all classes with their words, letters and colours, for documents. Must not know
//! records.

use crate::color::Color;
use crate::palette::{self, Class};
use crate::svg::canvas::{Align, Canvas, Fill, Rect};
use crate::svg::chart::{Column, ROW};
use crate::svg::size_fill;
use crate::svg::text::{fitting, Style};

/// Size of the smallest class of sizes in the picture.
const BASE: u64 = 4096;

/// Returns the picture of all classes.
pub fn draw() -> String {
    let mut canvas = Canvas::default();
    let words = "Each class has one colour for each background, and a letter for terminals \
                 without colours."
        .to_owned();
    let top = canvas.title(
        "Classes and their colours",
        b"",
        std::slice::from_ref(&words),
    );
    let third = Column::ALL.width / 3.0;
    let column = |index: f64| Column {
        x: Column::ALL.x + index * third,
        width: third - 16.0,
    };
    let uses = canvas.classes(column(0.0), top, "Uses of frames", &palette::USES);
    let kinds = canvas.classes(column(1.0), top, "Kinds of mappings", &palette::KINDS);
    let states = canvas.classes(column(2.0), top, "States of memory", &palette::STATES);
    let top = uses.max(kinds).max(states);
    let sizes = (0..palette::SIZES_LIGHT.len()).map(|step| {
        let size = BASE << step;
        (
            size_fill(size, BASE),
            process_introspection_export::rough(size),
        )
    });
    let y = canvas.heading(Column::ALL, top, "Sizes", "of runs, extents and blocks");
    let y = canvas.legend(Column::ALL, y, &sizes.collect::<Vec<_>>());
    let y = canvas.heading(
        Column::ALL,
        y,
        "Others",
        "payers, owners and nodes, in order",
    );
    let series = palette::SERIES.iter().zip(1..);
    let series =
        series.map(|(&color, number): (&Color, u32)| (Fill::new(color, color), number.to_string()));
    let more = [palette::OTHER, palette::SHARED, palette::NOBODY];
    let more = more
        .iter()
        .map(|class| (class.into(), class.word.to_owned()));
    let y = canvas.legend(Column::ALL, y, &series.chain(more).collect::<Vec<_>>());
    canvas.finish(y + 14.0, "Classes and their colours", &words)
}

impl Canvas {
    fn classes(&mut self, column: Column, top: f64, title: &str, classes: &[Class]) -> f64 {
        let mut y = self.heading(column, top, title, "");
        for class in classes {
            let baseline = y + 13.0;
            self.framed(Rect::new(column.x, y + 3.0, 28.0, 12.0), class);
            let letter = class.letter.to_string();
            self.text(
                column.x + 36.0,
                baseline,
                Style::Code,
                Align::Left,
                letter.trim(),
            );
            let word = fitting(class.word, column.width - 56.0, Style::Plain);
            self.text(column.x + 54.0, baseline, Style::Plain, Align::Left, &word);
            y += ROW;
        }
        y
    }
}
