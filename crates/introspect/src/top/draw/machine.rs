//! Drawing of the machine: uses of frames, their payers, free blocks, and the map of all
//! frames. A large screen has all of them, a small one has one after the other.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use process_introspection_export::{rough, MachineRecord};
use process_introspection_picture::palette::{self, Class};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::line::{fitted, fitted_name, Line};
use super::take_line;
use crate::text::printable_bytes;
use crate::top::frame_map::FrameMap;
use crate::top::look::Look;
use crate::top::model::MachineContent;
use crate::top::state::{Panel, State};

/// Width of the uses beside the map.
const USES: u16 = 36;

/// Draws the machine.
pub(super) fn draw(state: &State, look: Look, area: Rect, screen: &mut Buffer) {
    let Some(machine) = &state.machine else {
        let mut line = Line::new(area.width, look);
        line.styled("reading the facts of all frames ...", look.faint());
        return line.draw(area, screen);
    };
    let before = state.mark.as_ref().filter(|_| state.shows_changes);
    let before = before.map(|mark| mark.uses.clone().unwrap_or_default());
    let mut drawing = Drawing {
        look,
        before: before.as_ref(),
        screen,
    };
    match &machine.content {
        MachineContent::Counters {
            counters,
            free,
            why,
        } => {
            drawing.counters(counters, free, why, area);
        }
        MachineContent::Frames(record, map) if area.width >= 70 && area.height >= 14 => {
            drawing.all(record, map, area);
        }
        MachineContent::Frames(record, map) => {
            let mut rest = area;
            match state.panel {
                Panel::Uses => drawing.uses(record, &mut rest),
                Panel::Map => drawing.map(map, rest),
                Panel::Payers => drawing.payers(record, &mut rest),
                Panel::Free => {
                    drawing.free(&free_blocks(record), &mut rest);
                    drawing.blocks(record, &mut rest);
                }
            }
        }
    }
}

/// Returns bytes of free memory by the size of its blocks.
fn free_blocks(record: &MachineRecord) -> Vec<(u64, u64)> {
    let mut sizes = BTreeMap::<u64, u64>::new();
    for free in &record.free {
        *sizes.entry(free.size).or_default() += free.size * free.blocks;
    }
    sizes.into_iter().collect()
}

fn percent(part: u64, whole: u64) -> String {
    let share = (u128::from(part) * 100).checked_div(u128::from(whole));
    match share.unwrap_or(0) {
        0 if part > 0 => "<1%".to_owned(),
        share => format!("{share}%"),
    }
}

struct Drawing<'a> {
    look: Look,
    /// Bytes of each use at the mark, if changes are shown.
    before: Option<&'a BTreeMap<&'static str, u64>>,
    screen: &'a mut Buffer,
}

impl Drawing<'_> {
    fn all(&mut self, record: &MachineRecord, map: &FrameMap, area: Rect) {
        let width = USES.max(area.width / 4);
        let mut left = Rect { width, ..area };
        self.uses(record, &mut left);
        take_line(&mut left);
        self.payers(record, &mut left);
        let mut right = Rect {
            x: area.x + width + 1,
            width: area.width - width - 1,
            ..area
        };
        // The free blocks are below the map.
        let free = free_blocks(record);
        let blocks = record.contiguity.iter().filter(|block| block.blocks > 0);
        let lines = 2 + lines_of(&free, right.width) + blocks.count() as u16;
        let lines = lines.min(area.height / 2);
        let map_area = Rect {
            height: right.height - lines - 1,
            ..right
        };
        self.map(map, map_area);
        right.y = right.bottom() - lines;
        right.height = lines;
        self.free(&free, &mut right);
        self.blocks(record, &mut right);
    }

    fn text(&mut self, text: &str, style: Style, area: Rect) {
        let mut line = Line::new(area.width, self.look);
        line.styled(text, style);
        line.draw(area, self.screen);
    }

    fn heading(&mut self, text: &str, rest: &mut Rect) {
        self.text(text, self.look.title(), take_line(rest));
    }

    fn uses(&mut self, record: &MachineRecord, rest: &mut Rect) {
        let present = rough(record.present);
        self.heading(&format!("USES OF {present}"), rest);
        let mut uses: Vec<_> = record
            .uses
            .iter()
            .map(|one| (one.r#use, one.bytes))
            .collect();
        // Uses whose frames are all gone since the mark.
        let gone = self.before.into_iter().flatten();
        let gone = gone.filter(|(name, _)| !uses.iter().any(|(one, _)| one == *name));
        let gone: Vec<_> = gone.map(|(&name, _)| (name, 0)).collect();
        uses.extend(gone);
        uses.sort_by_key(|&(name, bytes)| (Reverse(bytes), name));
        for (name, bytes) in uses {
            let class = palette::USES.iter().find(|class| class.word == name);
            self.amount(name, class, bytes, record.counted, take_line(rest));
        }
    }

    /// Draws an amount: its class and name, bytes, part of the whole, and a bar or the change.
    fn amount(&mut self, name: &str, class: Option<&Class>, bytes: u64, all: u64, area: Rect) {
        if area.height == 0 {
            return;
        }
        if let Some(class) = class {
            let (look, letter) = (self.look, class.letter.to_string());
            self.screen.set_stringn(
                area.x,
                area.y,
                letter,
                usize::from(area.width),
                look.cell(class),
            );
        }
        let shown = fitted(name, 19, self.look);
        let start = format!("{shown:<19}{:>6}{:>5} ", rough(bytes), percent(bytes, all));
        let rest = Rect {
            x: area.x + 2.min(area.width),
            width: area.width.saturating_sub(2),
            ..area
        };
        let used = start.len() as u16;
        let room = rest.width.saturating_sub(used);
        self.text(&start, Style::new(), rest);
        let end = Rect {
            x: rest.x + used.min(rest.width),
            width: room,
            ..rest
        };
        match self.before {
            Some(before) => {
                let before = before.get(name).copied().unwrap_or(0);
                let change = match bytes.cmp(&before) {
                    std::cmp::Ordering::Equal => "=".to_owned(),
                    std::cmp::Ordering::Greater => format!("+{}", rough(bytes - before)),
                    std::cmp::Ordering::Less => format!("-{}", rough(before - bytes)),
                };
                self.text(&format!("{change:>7}"), self.look.title(), end);
            }
            None => {
                let length = u128::from(bytes) * u128::from(room) / u128::from(all.max(1));
                let bar = if self.look.ascii { "#" } else { "█" };
                let style = class.map_or(Style::new(), |class| self.look.word(class));
                self.text(
                    &bar.repeat((length as usize).min(usize::from(room))),
                    style,
                    end,
                );
            }
        }
    }

    fn payers(&mut self, record: &MachineRecord, rest: &mut Rect) {
        let Some(payers) = &record.payers else {
            return self.heading("PAYERS: this kernel has no memory cgroups", rest);
        };
        self.heading("PAYERS", rest);
        for payer in payers {
            let name = match payer.payer {
                "cgroup" if payer.cgroup.0.is_empty() => "unknown cgroup".to_owned(),
                "cgroup" => printable_bytes(&payer.cgroup.0),
                "none" => "no cgroup".to_owned(),
                other => other.to_owned(),
            };
            let share = percent(payer.bytes, record.counted);
            let start = format!("{:>6}{share:>5} ", rough(payer.bytes));
            let area = take_line(rest);
            let room = area.width.saturating_sub(start.len() as u16);
            let name = fitted_name(&name, room, self.look);
            self.text(&format!("{start}{name}"), Style::new(), area);
        }
    }

    /// Draws free memory by the size of its blocks.
    fn free(&mut self, free: &[(u64, u64)], rest: &mut Rect) {
        let all: u64 = free.iter().map(|(_, bytes)| bytes).sum();
        self.heading(&format!("FREE {} by size of block", rough(all)), rest);
        let each = usize::from(rest.width / FREE_WIDTH).max(1);
        for row in free.chunks(each) {
            let cells = row.iter().map(|&(size, bytes)| {
                let amount = format!("{} {}", rough(bytes), percent(bytes, all));
                format!("{:>5}: {amount:<10}", rough(size))
            });
            let text: String = cells.collect();
            self.text(&text, Style::new(), take_line(rest));
        }
    }

    /// Draws how many aligned blocks are free, or could become so.
    fn blocks(&mut self, record: &MachineRecord, rest: &mut Rect) {
        self.heading("ALIGNED BLOCKS", rest);
        for block in record.contiguity.iter().filter(|block| block.blocks > 0) {
            let (free, unmovable) = (
                percent(block.free, block.blocks),
                percent(block.unmovable, block.blocks),
            );
            let size = rough(block.size);
            let text = format!("{size:>5}: {free} free, {unmovable} unmovable");
            self.text(&text, Style::new(), take_line(rest));
        }
    }

    /// Draws the most frequent use of the frames of each part of RAM, in rows behind the address
    /// of the first.
    fn map(&mut self, map: &FrameMap, area: Rect) {
        let mut rest = area;
        let title = take_line(&mut rest);
        let digits = format!("{:x}", map.last_address()).len() as u16;
        let room = rest.width.saturating_sub(digits + 1);
        // Rows begin with round addresses, unless that would leave much of a narrow screen empty.
        let width = match room {
            0..4 => return,
            4..64 => room / 4 * 4,
            _ => 1 << room.ilog2(),
        };
        if rest.height == 0 {
            return;
        }
        let (cells, size) = map.cells(usize::from(width) * usize::from(rest.height));
        let text = format!("MAP: most frequent use of each {}", rough(size));
        self.text(&text, self.look.title(), title);
        for row in cells.chunks(usize::from(width)) {
            let area = take_line(&mut rest);
            let address = row.first().map_or(0, |cell| cell.address);
            let label = format!("{address:>0$x}", usize::from(digits));
            self.text(&label, self.look.faint(), area);
            for (column, cell) in (0u16..).zip(row) {
                let Some(one) = cell.most else { continue };
                let class = palette::of_use(one);
                let mut style = self.look.cell(class);
                if !cell.is_pure {
                    style = style.add_modifier(Modifier::ITALIC);
                }
                let x = area.x + digits + 1 + column;
                self.screen
                    .set_string(x, area.y, class.letter.to_string(), style);
            }
        }
    }

    fn counters(
        &mut self,
        counters: &[(&'static str, u64)],
        free: &[(u64, u64)],
        why: &str,
        area: Rect,
    ) {
        let mut rest = area;
        self.text(why, self.look.faint(), take_line(&mut rest));
        self.heading("COUNTERS OF THE KERNEL", &mut rest);
        let all = counters.iter().find(|(name, _)| *name == "MemTotal");
        let all = all.map_or(0, |(_, bytes)| *bytes);
        let mut sorted: Vec<_> = counters.iter().collect();
        sorted.sort_by_key(|(_, bytes)| Reverse(*bytes));
        let lines = 1 + lines_of(free, rest.width);
        let most = usize::from(rest.height.saturating_sub(lines));
        for (name, bytes) in sorted.into_iter().take(most) {
            self.amount(name, None, *bytes, all, take_line(&mut rest));
        }
        self.free(free, &mut rest);
    }
}

/// Width of a size of free blocks with its amount.
const FREE_WIDTH: u16 = 17;

/// Returns the number of lines of free blocks.
fn lines_of(free: &[(u64, u64)], width: u16) -> u16 {
    let each = usize::from(width / FREE_WIDTH).max(1);
    free.len().div_ceil(each) as u16
}
