//! Picture of the machine: the uses that all memory has, their places in physical memory, what
//! no flag explains, who pays, and how free memory is divided. Must not know where the record
//! comes from.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use process_introspection::FrameUse;
use process_introspection_export::{percent, rough, BlockRecord, MachineRecord, PayerRecord};

use crate::map::buckets::Square;
use crate::palette::{self, Class};
use crate::svg::canvas::{Canvas, Fill};
use crate::svg::chart::{BarRow, Column, Part};
use crate::svg::square::{self, SIDE};
use crate::svg::text::{self, Style};

/// Number of payers that have a row.
const PAYERS: usize = 8;
/// Number of zones that have a row.
const ZONES: usize = 8;

/// Returns the picture of a machine's memory, and of the uses of its frames if they are known.
/// The classes of the square are [`FrameUse::ALL`].
pub fn draw(record: &MachineRecord, frames: Option<&Square>) -> String {
    let mut canvas = Canvas::default();
    let total = record.mem_total.map_or("unknown".to_owned(), rough);
    let present = rough(record.present);
    let mut figures = vec![format!(
        "{present} present, MemTotal {total}. Each frame is in one use: all uses are {}.",
        rough(record.counted)
    )];
    if record.counted != record.present {
        figures.push(format!(
            "The frames and the counters of zones differ by {}.",
            rough(record.counted.abs_diff(record.present))
        ));
    }
    let top = canvas.title("Memory of the machine", b"", &figures);
    let whole = record.counted.max(record.present);
    let uses = uses(record);
    let parts: Vec<_> = uses
        .iter()
        .map(|&(class, bytes)| Part::new(class.word, class, bytes))
        .collect();
    let bar = crate::svg::canvas::Rect::new(Column::ALL.x, top + 4.0, Column::ALL.width, 26.0);
    canvas.stack(bar, &parts, whole);
    let top = top + 34.0;
    let left = canvas.uses(record, &uses, whole, top);
    let right = match frames {
        Some(square) => canvas.map(square, top),
        None => top,
    };
    let top = left.max(right);
    let left = canvas.payers(record.payers.as_deref(), record.counted, top);
    let right = canvas.free(record, top);
    let top = left.max(right);
    let left = canvas.zones(record, top);
    let right = canvas.blocks(&record.contiguity, top);
    canvas.finish(
        left.max(right) + 14.0,
        "Memory of the machine",
        &description(record, &uses),
    )
}

/// Returns the classes of the uses with their bytes, in the order of classes.
fn uses(record: &MachineRecord) -> Vec<(&'static Class, u64)> {
    let of = |class: &'static Class| {
        let uses = record.uses.iter().filter(|one| one.r#use == class.word);
        (class, uses.map(|one| one.bytes).sum::<u64>())
    };
    let all = palette::USES.iter().map(of);
    all.filter(|&(_, bytes)| bytes > 0).collect()
}

fn description(record: &MachineRecord, uses: &[(&Class, u64)]) -> String {
    let mut most: Vec<_> = uses.to_vec();
    most.sort_by_key(|&(_, bytes)| Reverse(bytes));
    let most = most.iter().take(4).map(|&(class, bytes)| {
        let share = percent(bytes, record.counted);
        format!("{} {} ({share})", class.word, rough(bytes))
    });
    let mut words = format!(
        "Of {} of memory that is present, most is {}",
        rough(record.present),
        most.collect::<Vec<_>>().join(", ")
    );
    words += &match record.unexplained.get() {
        less if less < 0.0 => format!(
            "; counters have {} more than the frames",
            rough(-less as u64)
        ),
        more => format!(
            "; {} is explained by no flag and no counter",
            rough(more as u64)
        ),
    };
    let huge = record.contiguity.iter().find(|block| block.blocks > 0);
    if let Some(huge) = huge {
        let free = percent(huge.free, huge.blocks);
        words += &format!(
            "; {free} of the blocks of {} are free as a whole",
            rough(huge.size)
        );
    }
    words + "."
}

impl Canvas {
    /// Draws a row for each use, and the parts of those without a flag.
    fn uses(
        &mut self,
        record: &MachineRecord,
        uses: &[(&'static Class, u64)],
        whole: u64,
        top: f64,
    ) -> f64 {
        let mut rows: Vec<_> = uses
            .iter()
            .map(|&(class, bytes)| BarRow::word(class.word, class, bytes))
            .collect();
        rows.sort_by_key(|row| Reverse(row.bytes));
        let y = self.heading(Column::LEFT, top, "Uses", "");
        let y = self.bars(Column::LEFT, y, &rows, whole);
        let hidden = [FrameUse::Kernel, FrameUse::Unflagged].map(palette::of_use);
        let is_hidden = |class: &Class| hidden.iter().any(|one| one.word == class.word);
        let of_hidden = uses.iter().filter(|(class, _)| is_hidden(class));
        let bytes: u64 = of_hidden.map(|&(_, bytes)| bytes).sum();
        let words = format!("{}, by counters", rough(bytes));
        let mut rows: Vec<_> = record
            .unflagged
            .iter()
            .map(|part| BarRow::word(part.part, hidden[0], part.bytes))
            .collect();
        rows.sort_by_key(|row| Reverse(row.bytes));
        let unexplained = record.unexplained.get();
        if unexplained > 0.0 {
            rows.push(BarRow::word("unexplained", hidden[1], unexplained as u64));
        }
        let y = self.heading(Column::LEFT, y + 4.0, "Kernel and unflagged", &words);
        let y = self.bars(Column::LEFT, y, &rows, bytes);
        match unexplained < 0.0 {
            true => self.prose(
                Column::LEFT,
                y,
                Style::Muted,
                &format!(
                    "Counters have {} more than the frames.",
                    rough(-unexplained as u64)
                ),
            ),
            false => y,
        }
    }

    /// Draws the uses of frames at their places.
    fn map(&mut self, square: &Square, top: f64) -> f64 {
        let cell = rough(square.space.page() << square.shift);
        let words = format!("a cell is {cell}");
        let y = self.heading(Column::RIGHT, top, "Physical memory", &words);
        let x = Column::RIGHT.x + (Column::RIGHT.width - SIDE) / 2.0;
        let classes: Vec<_> = palette::USES.iter().map(Fill::from).collect();
        square::draw(self, x, y, square, &classes);
        square::explain(self, Column::RIGHT, y + SIDE, square)
    }

    fn payers(&mut self, payers: Option<&[PayerRecord]>, all: u64, top: f64) -> f64 {
        let column = Column::LEFT;
        let Some(payers) = payers else {
            let y = self.heading(column, top, "Payers", "");
            let words = "The kernel has no memory cgroups, which pay.";
            return self.prose(column, y - 4.0, Style::Muted, words) + 8.0;
        };
        let y = self.heading(column, top, "Payers", "cgroups, kernel, nobody");
        let mut series = palette::SERIES.iter();
        let mut rows = Vec::new();
        for payer in payers.iter().take(PAYERS) {
            let of_use = |one| Fill::from(palette::of_use(one));
            let mut next = || {
                let color = series.next().copied().unwrap_or(palette::OTHER.light);
                Fill::new(color, color)
            };
            rows.push(match payer.payer {
                "cgroup" if payer.cgroup.0.is_empty() => {
                    BarRow::word("unknown cgroup", next(), payer.bytes)
                }
                "cgroup" => BarRow::name(&payer.cgroup.0, next(), payer.bytes),
                "none" => BarRow::word("no cgroup", &palette::OTHER, payer.bytes),
                "kernel" => BarRow::word("kernel", of_use(FrameUse::Kernel), payer.bytes),
                "free" => BarRow::word("free", of_use(FrameUse::Free), payer.bytes),
                other => BarRow::word(other, &palette::OTHER, payer.bytes),
            });
        }
        let rest = payers.get(PAYERS..).unwrap_or_default();
        if !rest.is_empty() {
            let bytes = rest.iter().map(|payer| payer.bytes).sum();
            let words = format!("{} others", rest.len());
            rows.push(BarRow::word(words, &palette::OTHER, bytes));
        }
        self.bars(column, y, &rows, all)
    }

    fn free(&mut self, record: &MachineRecord, top: f64) -> f64 {
        let mut sizes = BTreeMap::<u64, u64>::new();
        for free in &record.free {
            *sizes.entry(free.size).or_default() += free.blocks;
        }
        let all = sizes.iter().map(|(size, blocks)| size * blocks).sum();
        let words = format!("{} by size of block", rough(all));
        let y = self.heading(Column::RIGHT, top, "Free memory", &words);
        let sizes: Vec<_> = sizes.into_iter().collect();
        let smallest = sizes.first().map_or(1, |&(size, _)| size);
        let rows = sizes.iter().map(|&(size, blocks)| {
            let fill = super::size_fill(size, smallest);
            BarRow::word(rough(size), fill, size * blocks).with(format!("{blocks}x"))
        });
        let rows: Vec<_> = rows.collect();
        self.bars(Column::RIGHT, y, &rows, all)
    }

    fn zones(&mut self, record: &MachineRecord, top: f64) -> f64 {
        let y = self.heading(Column::LEFT, top, "Nodes and zones", "coloured: not free");
        let free = palette::of_use(FrameUse::Free);
        let used = palette::SERIES[0];
        let mut y = y;
        let largest = record.zones.iter().map(|zone| zone.present).max();
        let mut zones: Vec<_> = record.zones.iter().collect();
        if zones.len() > ZONES {
            zones.sort_by_key(|zone| Reverse(zone.present));
        }
        for zone in zones.iter().take(ZONES) {
            let unused = (zone.free + zone.per_cpu).min(zone.present);
            let parts = [
                Part::new("", Fill::new(used, used), zone.present - unused),
                Part::new("", free, unused),
            ];
            let name = format!("node {} {}", zone.node, text::tame(&zone.zone));
            let words = format!("{}, {} free", rough(zone.present), rough(unused));
            y = self.stack_row(Column::LEFT, y, &name, &words, &parts, largest.unwrap_or(0));
        }
        let rest = zones.get(ZONES..).unwrap_or_default();
        if !rest.is_empty() {
            let present: u64 = rest.iter().map(|zone| zone.present).sum();
            let words = format!("{} smaller zones have {}.", rest.len(), rough(present));
            y = self.prose(Column::LEFT, y, Style::Muted, &words) + 8.0;
        }
        y
    }

    fn blocks(&mut self, blocks: &[BlockRecord], top: f64) -> f64 {
        let column = Column::RIGHT;
        let mut y = self.heading(column, top, "Aligned blocks", "");
        let unmovable = Fill::new(palette::SERIES[1], palette::SERIES[1]);
        let unknown = palette::of_use(FrameUse::Unflagged);
        let movable = Fill::new(palette::SERIES[0], palette::SERIES[0]);
        let free = palette::of_use(FrameUse::Free);
        let mut is_drawn = false;
        for block in blocks.iter().filter(|block| block.blocks > 0) {
            let others = block.free + block.unmovable + block.unflagged;
            let parts = [
                Part::new("", free, block.free),
                Part::new("", movable, block.blocks.saturating_sub(others)),
                Part::new("", unmovable, block.unmovable),
                Part::new("", unknown, block.unflagged),
            ];
            let name = format!("{} of {}", block.blocks, rough(block.size));
            let share = |count| percent(count, block.blocks);
            let words = format!(
                "{} free, {} unmovable",
                share(block.free),
                share(block.unmovable)
            );
            y = self.stack_row(column, y, &name, &words, &parts, block.blocks);
            is_drawn = true;
        }
        let legend = [
            (Fill::from(free), "free"),
            (movable, "movable"),
            (unmovable, "unmovable"),
            (unknown.into(), "unknown"),
        ];
        match is_drawn {
            true => self.legend(
                column,
                y,
                &legend.map(|(fill, word)| (fill, word.to_owned())),
            ),
            false => y,
        }
    }
}
