//! Picture of the machine's memory: one screen of text with bars. Knows no source of the
//! numbers.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::delimited::Lines;
use crate::field::{Field, Fields, Visit};
use crate::machine::{BlockRecord, FrameUseRecord, MachineRecord, PayerRecord};
use crate::name::Name;
use crate::number::rough;
use crate::record::{Layout, Record};
use crate::screen::{percent, Screen};

/// Memory of the machine as a picture in tables; in other formats the record itself.
#[derive(Clone, Debug)]
pub struct MachinePicture<'a> {
    /// Memory that is shown.
    pub record: &'a MachineRecord,
    /// Whether bars are of `#` alone, for terminals that have no other blocks.
    pub ascii: bool,
}

impl Fields for MachinePicture<'_> {
    const FIELDS: &'static [Field] = MachineRecord::FIELDS;
    const MEANING: &'static str = MachineRecord::MEANING;

    fn visit(&self, visit: &mut impl Visit) {
        self.record.visit(visit);
    }
}

impl Record for MachinePicture<'_> {
    const LAYOUT: Layout = MachineRecord::LAYOUT;

    fn lines(&self, lines: &mut Lines<'_>) {
        self.record.lines(lines);
    }

    fn picture(&self, width: Option<usize>) -> String {
        let mut screen = Screen::new(width, self.ascii);
        screen.machine(self.record);
        screen.into_text()
    }
}

/// Number of payers that have a line.
const PAYERS: usize = 6;

/// Returns how far a counter is from the frames that it counts, `=` if it agrees.
fn difference(one: &FrameUseRecord) -> String {
    let (Some(counted), Some(before), Some(after)) =
        (one.counted, one.counter_bytes, one.counter_after)
    else {
        return String::new();
    };
    let (least, most) = (before.min(after), before.max(after));
    match counted {
        _ if counted < least => format!("+{}", rough(least - counted)),
        _ if counted > most => format!("-{}", rough(counted - most)),
        _ => "=".to_owned(),
    }
}

impl Screen {
    fn machine(&mut self, record: &MachineRecord) {
        let total = record.mem_total.map(rough).unwrap_or("?".to_owned());
        self.line(&format!(
            "MEMORY {} present, MemTotal {total}",
            rough(record.present)
        ));
        self.line("");
        self.line(&format!(
            "  {:<20}{:>6} {:>5} {:>7}",
            "USE", "MEMORY", "", "COUNTER"
        ));
        let mut uses: Vec<_> = record.uses.iter().collect();
        uses.sort_by_key(|one| Reverse(one.bytes));
        let mut compared = Vec::new();
        for one in uses {
            // One counter of several uses stands beside the largest.
            let difference = match one.counter {
                Some(counter) if !compared.contains(&counter) => {
                    compared.push(counter);
                    difference(one)
                }
                _ => String::new(),
            };
            let more = format!(" {difference:>7}");
            self.bar_line(one.r#use, one.bytes, record.counted, &more);
        }
        self.unflagged(record);
        if let Some(payers) = &record.payers {
            self.payers(payers, record.counted);
        }
        self.places(record);
        self.free(record);
        self.blocks(&record.contiguity);
    }

    fn unflagged(&mut self, record: &MachineRecord) {
        let uses = record.uses.iter();
        let unflagged = uses.filter(|one| ["kernel", "unflagged"].contains(&one.r#use));
        let bytes: u64 = unflagged.map(|one| one.bytes).sum();
        self.line("");
        self.line(&format!(
            "KERNEL AND UNFLAGGED {}, by counters",
            rough(bytes)
        ));
        let mut parts: Vec<_> = record.unflagged.iter().collect();
        parts.sort_by_key(|one| Reverse(one.bytes));
        for one in parts {
            self.bar_line(one.part, one.bytes, bytes, "");
        }
        let unexplained = record.unexplained.get();
        match unexplained < 0.0 {
            true => self.prose(
                "  ",
                &format!(
                    "counters have {} more than the frames",
                    rough((-unexplained) as u64)
                ),
            ),
            false => self.bar_line("unexplained", unexplained as u64, bytes, ""),
        }
    }

    fn payers(&mut self, payers: &[PayerRecord], all: u64) {
        self.line("");
        self.line("PAYERS");
        let mut line = |bytes: u64, name: &[u8]| {
            let start = format!("  {:>6} {:>5} ", rough(bytes), percent(bytes, all));
            let mut text = start.clone().into_bytes();
            Name(name).push_printable(Some(self.width - start.len()), &mut text);
            self.line(&String::from_utf8_lossy(&text));
        };
        for payer in payers.iter().take(PAYERS) {
            match payer.payer {
                "cgroup" if payer.cgroup.0.is_empty() => line(payer.bytes, b"unknown cgroup"),
                "cgroup" => line(payer.bytes, &payer.cgroup.0),
                "none" => line(payer.bytes, b"no cgroup"),
                other => line(payer.bytes, other.as_bytes()),
            }
        }
        let rest = payers.get(PAYERS..).unwrap_or_default();
        let bytes: u64 = rest.iter().map(|payer| payer.bytes).sum();
        if bytes > 0 {
            line(bytes, format!("{} others", rest.len()).as_bytes());
        }
    }

    fn places(&mut self, record: &MachineRecord) {
        self.line("");
        for node in &record.nodes {
            let zones = record.zones.iter().filter(|zone| zone.node == node.node);
            let zones = zones.map(|zone| format!("{} {}", zone.zone, rough(zone.present)));
            let zones = zones.collect::<Vec<_>>().join(", ");
            let (present, free) = (rough(node.present), rough(node.free));
            self.prose(
                "",
                &format!(
                    "node {}: {present} present, {free} free; zones {zones}",
                    node.node
                ),
            );
        }
    }

    fn free(&mut self, record: &MachineRecord) {
        let mut sizes = BTreeMap::<u64, u64>::new();
        for free in &record.free {
            *sizes.entry(free.size).or_default() += free.blocks;
        }
        let all: u64 = sizes.iter().map(|(size, blocks)| size * blocks).sum();
        self.line("");
        self.line(&format!("FREE {} by size of block", rough(all)));
        let sizes = sizes.into_iter().map(|(size, blocks)| {
            let bytes = size * blocks;
            format!("{}: {} {}", rough(size), rough(bytes), percent(bytes, all))
        });
        self.phrases("  ", "   ", sizes);
    }

    fn blocks(&mut self, blocks: &[BlockRecord]) {
        self.line("");
        self.line("ALIGNED BLOCKS, and what keeps the unmovable ones");
        for block in blocks.iter().filter(|block| block.blocks > 0) {
            let mut text = format!(
                "{} of {}: {} free",
                block.blocks,
                rough(block.size),
                percent(block.free, block.blocks)
            );
            text += &format!(", {} unmovable", percent(block.unmovable, block.blocks));
            let mut uses: Vec<_> = block.uses.iter().filter(|one| one.prevented > 0).collect();
            uses.sort_by_key(|one| Reverse(one.prevented));
            if !uses.is_empty() {
                let uses = uses
                    .iter()
                    .map(|one| format!("{} {}", one.r#use, one.prevented));
                text += &format!(" (alone: {})", uses.collect::<Vec<_>>().join(", "));
            }
            if block.unflagged > 0 {
                let share = percent(block.unflagged, block.blocks);
                text += &format!(", {share} unknown");
            }
            self.prose("  ", &text);
        }
    }
}
