//! Rows of amounts of memory with a stacked bar: of kinds of mappings, and of processes. Must
//! not know what the parts of bars mean.

use process_introspection_export::{rough, KindRecord, SummaryRecord};

use crate::svg::canvas::{Align, Canvas, Rect};
use crate::svg::chart::{share, Column, Part, ROW};
use crate::svg::text::{self, Style};

/// Place of the line of text in a row.
const BASELINE: f64 = 13.0;
/// Ends of the columns of numbers of a kind.
const KIND: [f64; 5] = [170.0, 244.0, 296.0, 348.0, 400.0];
/// Ends of the columns of numbers of a process, and the beginning of its command.
const PROCESS: [f64; 4] = [84.0, 140.0, 196.0, 252.0];
const COMMAND: f64 = 262.0;
/// Beginnings of the bars.
const KIND_BAR: f64 = 410.0;
const PROCESS_BAR: f64 = 530.0;

impl Canvas {
    fn numbers<const N: usize>(
        &mut self,
        y: f64,
        style: Style,
        ends: [f64; N],
        cells: [String; N],
    ) {
        for (x, cell) in ends.into_iter().zip(cells) {
            self.text(x, y + BASELINE, style, Align::Right, &cell);
        }
    }

    fn bar(&mut self, x: f64, y: f64, parts: &[Part], largest: u64) {
        let bytes = parts.iter().map(|part| part.bytes).sum();
        let room = Column::ALL.x + Column::ALL.width - x;
        let long = share(bytes, largest, room);
        if bytes > 0 {
            // More than nothing is visible.
            self.stack(Rect::new(x, y + 3.0, long.max(2.0), 12.0), parts, bytes);
        }
    }

    pub(crate) fn kind_head(&mut self, y: f64) -> f64 {
        self.text(
            Column::ALL.x,
            y + BASELINE,
            Style::Muted,
            Align::Left,
            "KIND",
        );
        let heads = ["VIRTUAL", "RESIDENT", "PSS", "USS", "SWAP"].map(str::to_owned);
        self.numbers(y, Style::Muted, KIND, heads);
        y + ROW
    }

    /// Draws the amounts of memory of a kind. Returns the place below.
    pub(crate) fn kind(&mut self, y: f64, kind: &KindRecord, parts: &[Part], largest: u64) -> f64 {
        let x = Column::ALL.x;
        self.text(x, y + BASELINE, Style::Plain, Align::Left, kind.kind);
        let usage = &kind.usage;
        let dash = |bytes: Option<u64>| bytes.map_or("-".to_owned(), rough);
        let cells = [
            rough(usage.virt),
            rough(usage.resident),
            dash(usage.pss),
            dash(usage.uss),
            rough(usage.swap),
        ];
        self.numbers(y, Style::Plain, KIND, cells);
        self.bar(KIND_BAR, y, parts, largest);
        y + ROW
    }

    pub(crate) fn process_head(&mut self, y: f64) -> f64 {
        let heads = ["PID", "PSS", "USS", "SWAP"].map(str::to_owned);
        self.numbers(y, Style::Muted, PROCESS, heads);
        self.text(COMMAND, y + BASELINE, Style::Muted, Align::Left, "COMMAND");
        let head = "RESIDENT, HUGETLB";
        self.text(PROCESS_BAR, y + BASELINE, Style::Muted, Align::Left, head);
        y + ROW
    }

    /// Draws the amounts of memory of a process. Returns the place below.
    pub(crate) fn process(
        &mut self,
        y: f64,
        record: &SummaryRecord,
        parts: &[Part],
        largest: u64,
    ) -> f64 {
        let usage = &record.total;
        let dash = |bytes: Option<u64>| bytes.map_or("-".to_owned(), rough);
        let cells = [
            record.pid.to_string(),
            dash(usage.pss),
            dash(usage.uss),
            rough(usage.swap),
        ];
        self.numbers(y, Style::Plain, PROCESS, cells);
        let columns = text::columns(PROCESS_BAR - COMMAND - 10.0, Style::Code);
        let command = text::command_bytes(&record.command, record.command_hex.as_deref());
        let name = text::command(&command, columns);
        self.text(COMMAND, y + BASELINE, Style::Code, Align::Left, &name);
        self.bar(PROCESS_BAR, y, parts, largest);
        y + ROW
    }
}
