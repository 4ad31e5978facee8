//! Picture of physical memory behind the addresses of a process: states, runs by size, and for
//! each stretch of mappings what is at its addresses and where its frames are. Must not know
//! where records come from.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use process_introspection_export::{percent, rough, PhysicalRecord, ProcessIdentity, State};

use crate::palette;
use crate::svg::canvas::{Align, Canvas, Fill};
use crate::svg::chart::{BarRow, Column, Part, ROW};
use crate::svg::rows::{self, Rows};
use crate::svg::stretches::{Piece, Stretches};
use crate::svg::text::Style;
use crate::svg::{index_of, size_fill, Owner};

/// Number of classes of sizes: a step for each power of two of the base page size.
const SIZES: usize = palette::SIZES_LIGHT.len();
/// Number of largest runs that are listed.
const LARGEST: usize = 8;

/// Runs of RAM from one power of two to the next.
#[derive(Copy, Clone, Debug, Default)]
struct Runs {
    count: u64,
    bytes: u64,
}

/// Run of RAM.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    size: u64,
    vaddr: Reverse<u64>,
    paddr: u64,
}

/// Picture of the records of one process, which ascend. Takes constant memory.
#[derive(Debug)]
pub struct Picture {
    page: u64,
    owner: Option<Owner>,
    stretches: Stretches,
    states: [u64; State::ALL.len()],
    runs: [Runs; SIZES],
    largest: Vec<Run>,
    /// Bytes of RAM by the size of page-table entries.
    entries: BTreeMap<Option<u64>, u64>,
    /// Bytes of RAM by node.
    nodes: BTreeMap<Option<u32>, u64>,
}

impl Picture {
    /// Returns the picture of a process without memory, with base pages of `page` bytes.
    pub fn new(page: u64, process: Option<ProcessIdentity<'_>>) -> Self {
        Self {
            page,
            owner: process.map(Owner::of),
            stretches: Stretches::new(page, SIZES + State::ALL.len()),
            states: [0; State::ALL.len()],
            runs: [Runs::default(); SIZES],
            largest: Vec::new(),
            entries: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// Adds a record.
    pub fn add(&mut self, record: &PhysicalRecord<'_>) {
        let (vaddr, size) = (record.vaddr.0, record.size);
        let state = index_of(record.state);
        let is_ram = record.state == State::Ram;
        let step = (size / self.page).max(1).ilog2() as usize;
        let step = step.min(SIZES - 1);
        self.states[state] += size;
        if is_ram {
            self.runs[step].count += 1;
            self.runs[step].bytes += size;
            *self.entries.entry(record.page_size).or_default() += size;
            *self.nodes.entry(record.node).or_default() += size;
            let run = Run {
                size,
                vaddr: Reverse(vaddr),
                paddr: record.paddr.map_or(0, |paddr| paddr.0),
            };
            let at = self.largest.partition_point(|known| *known > run);
            if at < LARGEST {
                self.largest.insert(at, run);
                self.largest.truncate(LARGEST);
            }
        }
        let is_memory = is_ram || record.state == State::Device;
        let pages = size.div_ceil(self.page);
        self.stretches.add(&Piece {
            virt: (vaddr, vaddr.saturating_add(size)),
            frames: record
                .pfn
                .filter(|_| is_memory)
                .map(|first| (first, first.saturating_add(pages))),
            class: if is_ram { step } else { SIZES + state } as u8,
            is_memory,
            kind: record.kind,
            prot: (record.prot, record.shared),
            name: record.path.0,
        });
    }

    /// Returns the picture of all records that were added.
    pub fn finish(self) -> String {
        let mut canvas = Canvas::default();
        let (title, command) = Owner::heading(self.owner.as_ref(), "Physical memory");
        let description = self.description();
        let top = canvas.title(&title, command, &[self.figures()]);
        let whole = self.states.iter().sum();
        let states = palette::STATES.iter().zip(self.states);
        let parts: Vec<_> = states
            .map(|(class, bytes)| Part::new(class.word, class, bytes))
            .collect();
        let y = canvas.stack_with_legend(Column::ALL, top + 4.0, &parts, whole);
        let left = self.draw_runs(&mut canvas, y);
        let right = self.draw_largest(&mut canvas, y);
        let mut fills: Vec<_> = (0..SIZES)
            .map(|step| size_fill(self.page << step, self.page))
            .collect();
        fills.extend(palette::STATES.iter().map(Fill::from));
        let stretches = self.stretches.finish(rows::KEPT);
        let space = rows::space_of(&stretches, self.page);
        let y = canvas.heading(Column::ALL, left.max(right), "Address space", "");
        let words =
            "Left: RAM in the colour of the size of its runs, other states at half height. \
                     Right: how much of the row is in each part of physical memory. Rows of \
                     several mappings have one state behind the other.";
        let y = canvas.prose(Column::ALL, y - 6.0, Style::Muted, words) + 8.0;
        let rows = Rows {
            page: self.page,
            memory: "MEMORY",
            fills: &fills,
            is_low: &|class| class >= SIZES && class != SIZES + index_of(State::Device),
            space: Some(&space),
        };
        let y = rows.draw(&mut canvas, y, &stretches);
        canvas.finish(y + 14.0, &title, &description)
    }

    fn ram(&self) -> u64 {
        self.states[index_of(State::Ram)]
    }

    /// Returns the bytes of runs of at least a size, which is a power of two.
    fn at_least(&self, size: u64) -> u64 {
        let from = (size / self.page).max(1).ilog2() as usize;
        self.runs[from.min(SIZES - 1)..]
            .iter()
            .map(|runs| runs.bytes)
            .sum()
    }

    fn figures(&self) -> String {
        let count: u64 = self.runs.iter().map(|runs| runs.count).sum();
        let (ram, all) = (self.ram(), self.states.iter().sum());
        let mut words = format!(
            "{} mapped, {} in RAM in {count} runs",
            rough(all),
            rough(ram)
        );
        if self.entries.keys().any(Option::is_some) {
            let entries = self.entries.iter().rev().take(4).map(|(size, &bytes)| {
                let size = size.map_or("several sizes".to_owned(), rough);
                format!("{size} {}", percent(bytes, ram))
            });
            let entries = entries.collect::<Vec<_>>().join(", ");
            words += &format!(". Page-table entries: {entries}");
        }
        if self.nodes.keys().flatten().count() > 1 {
            let nodes = self.nodes.iter().take(8).map(|(node, &bytes)| {
                let node = node.map_or("unknown".to_owned(), |node| node.to_string());
                format!("{node}: {} {}", rough(bytes), percent(bytes, ram))
            });
            words += &format!(". Nodes {}", nodes.collect::<Vec<_>>().join(", "));
        }
        words + "."
    }

    fn description(&self) -> String {
        const LARGE: u64 = 2 << 20;
        let of = |state| self.states[index_of(state)];
        let mut words = self.figures();
        words.pop();
        let large = percent(self.at_least(LARGE.max(self.page)), self.ram());
        words += &format!(
            "; {large} of the RAM is in runs of at least {}",
            rough(LARGE)
        );
        if let Some(run) = self.largest.first() {
            words += &format!(", the largest has {}", rough(run.size));
        }
        for state in [State::Swapped, State::Device, State::NotPresent] {
            if of(state) > 0 {
                words += &format!("; {} is {}", rough(of(state)), state.name());
            }
        }
        words + "."
    }

    fn draw_runs(&self, canvas: &mut Canvas, y: f64) -> f64 {
        let words = "RAM that is consecutive in both spaces";
        let y = canvas.heading(Column::LEFT, y, "Runs by size", words);
        let ram = self.ram();
        let used = self.runs.iter().rposition(|runs| runs.count > 0);
        let shown = self.runs.iter().take(used.map_or(0, |last| last + 1));
        let rows: Vec<_> = shown
            .enumerate()
            .map(|(step, runs)| {
                let size = self.page << step;
                let label = match step + 1 {
                    SIZES => format!("{} and more", rough(size)),
                    _ => format!("{}-{}", rough(size), rough(2 * size)),
                };
                BarRow::word(label, size_fill(size, self.page), runs.bytes)
                    .with(format!("{}x", runs.count))
            })
            .collect();
        canvas.bars(Column::LEFT, y, &rows, ram)
    }

    fn draw_largest(&self, canvas: &mut Canvas, y: f64) -> f64 {
        let column = Column::RIGHT;
        let y = canvas.heading(column, y, "Largest runs", "");
        if self.largest.is_empty() {
            return canvas.prose(column, y - 4.0, Style::Muted, "No RAM.") + 8.0;
        }
        let ends = [column.x + 50.0, column.x + 200.0, column.x + 350.0];
        let row = |canvas: &mut Canvas, top: f64, style, cells: [String; 3]| {
            for (x, cell) in ends.into_iter().zip(cells) {
                canvas.text(x, top + 13.0, style, Align::Right, &cell);
            }
            top + ROW
        };
        let heads = ["SIZE", "VADDR", "PADDR"].map(str::to_owned);
        let mut top = row(canvas, y, Style::MutedCode, heads);
        for run in &self.largest {
            let (vaddr, paddr) = (format!("{:x}", run.vaddr.0), format!("{:x}", run.paddr));
            top = row(canvas, top, Style::Code, [rough(run.size), vaddr, paddr]);
        }
        top
    }
}
