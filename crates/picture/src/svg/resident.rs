//! Picture of the memory of a process that is resident, without physical addresses. Must not
//! know where records come from.

use process_introspection_export::{percent, rough, ProcessIdentity, ResidentRecord, State};

use crate::palette;
use crate::svg::canvas::{Canvas, Fill};
use crate::svg::chart::{Column, Part};
use crate::svg::rows::{self, Rows};
use crate::svg::stretches::{Piece, Stretches};
use crate::svg::text::Style;
use crate::svg::{index_of, Owner};

/// Class of resident memory that huge entries map, behind the states.
const HUGE: usize = State::ALL.len();

/// Picture of the records of one process, which ascend. Takes constant memory.
#[derive(Debug)]
pub struct Picture {
    page: u64,
    owner: Option<Owner>,
    stretches: Stretches,
    /// Whether the kernel exports what huge entries map.
    knows_huge: bool,
}

impl Picture {
    /// Returns the picture of a process without memory, with base pages of `page` bytes.
    pub fn new(page: u64, process: Option<ProcessIdentity<'_>>) -> Self {
        Self {
            page,
            owner: process.map(Owner::of),
            stretches: Stretches::new(page, HUGE + 1),
            knows_huge: false,
        }
    }

    /// Adds a record.
    pub fn add(&mut self, record: &ResidentRecord<'_>) {
        self.knows_huge |= record.huge.is_some();
        let is_memory = record.state == State::Resident;
        let class = match record.huge {
            Some(true) if is_memory => HUGE,
            _ => index_of(record.state),
        };
        let vaddr = record.vaddr.0;
        self.stretches.add(&Piece {
            virt: (vaddr, vaddr.saturating_add(record.size)),
            frames: None,
            class: class as u8,
            is_memory,
            kind: record.kind,
            prot: (record.prot, record.shared),
            name: record.path.0,
        });
    }

    /// Returns the picture of all records that were added.
    pub fn finish(self) -> String {
        let mut canvas = Canvas::default();
        let (title, command) = Owner::heading(self.owner.as_ref(), "Resident memory");
        let totals = &self.stretches.totals;
        let (whole, huge) = (totals.iter().sum(), totals[HUGE]);
        let resident = totals[index_of(State::Resident)] + huge;
        let mut figures = format!(
            "{} mapped, {} resident {}",
            rough(whole),
            rough(resident),
            percent(resident, whole)
        );
        match self.knows_huge {
            true => figures += &format!(", {} of it by huge entries", percent(huge, resident)),
            false => figures += "; huge entries are unknown (before Linux 6.7)",
        }
        let swapped = totals[index_of(State::Swapped)];
        if swapped > 0 {
            figures += &format!(", {} swapped", rough(swapped));
        }
        figures.push('.');
        let top = canvas.title(&title, command, std::slice::from_ref(&figures));
        // Huge entries are beside other resident memory.
        let mut order: Vec<_> = (0..HUGE).collect();
        order.insert(index_of(State::Resident) + 1, HUGE);
        let fill = |class: usize| match class {
            HUGE => Fill::from(palette::of_use(
                process_introspection::FrameUse::HugetlbMapped,
            )),
            state => Fill::from(&palette::STATES[state]),
        };
        let parts: Vec<_> = order
            .iter()
            .map(|&class| {
                let word = match class {
                    HUGE => "resident, huge",
                    state => palette::STATES[state].word,
                };
                Part::new(word, fill(class), totals[class])
            })
            .collect();
        let y = canvas.stack_with_legend(Column::ALL, top + 4.0, &parts, whole);
        let fills: Vec<_> = (0..=HUGE).map(fill).collect();
        let stretches = self.stretches.finish(rows::KEPT);
        let y = canvas.heading(Column::ALL, y, "Address space", "");
        let words = "Rows of several mappings have one state behind the other.";
        let y = canvas.prose(Column::ALL, y - 6.0, Style::Muted, words) + 8.0;
        let rows = Rows {
            page: self.page,
            memory: "MEMORY",
            fills: &fills,
            is_low: &|_| false,
            space: None,
        };
        let y = rows.draw(&mut canvas, y, &stretches);
        canvas.finish(y + 14.0, &title, &figures)
    }
}
