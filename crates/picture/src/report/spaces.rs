//! Address space of a process beside its physical memory: a strip of cells for each mapping.
//! Must not know how a process is walked.

use std::cmp::Reverse;
use std::ops::Range;

use process_introspection::MappingKind;
use process_introspection_export::{policy_advice, record, Hex, Name, State, SummaryRecord};

use crate::map::space::Space;
use crate::palette::STATES;
use crate::report::encode::base64;
use crate::report::json::{write_record, write_records, List};

/// Cells of all mappings of an address space, unless it has more mappings.
const MOST_CELLS: u64 = 4096;

/// Cells of one mapping, and one that its borders add.
const MOST_OF_MAPPING: u64 = 128;

/// Mapping of an address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceMapping {
    /// Addresses.
    pub range: Range<u64>,
    /// Class of its kind, see [`crate::palette::KINDS`].
    pub kind: u8,
    /// Name.
    pub name: Vec<u8>,
}

impl SpaceMapping {
    /// Returns a mapping of this kind.
    pub fn new(range: Range<u64>, kind: MappingKind, name: &[u8]) -> Self {
        let class = MappingKind::ALL.iter().position(|one| *one == kind);
        Self {
            range,
            kind: class.unwrap_or_default() as u8,
            name: name.to_vec(),
        }
    }
}

/// Counts of a cell.
#[derive(Copy, Clone, Debug, Default)]
struct Counts {
    /// Bytes in each state.
    states: [u64; STATES.len()],
    /// First frame of RAM.
    pfn: Option<u64>,
}

/// Accumulator of the cells of an address space.
#[derive(Clone, Debug)]
pub struct AddressSpace {
    /// Ascending.
    mappings: Vec<SpaceMapping>,
    page: u64,
    /// For each mapping the size of its cells in bytes, a power of two to which they are
    /// aligned, and the number of the first.
    strips: Vec<(u64, usize)>,
    cells: Vec<Counts>,
}

impl AddressSpace {
    /// Returns an address space of these mappings, which ascend, in a process with pages of
    /// `page` bytes.
    pub fn new(page: u64, mappings: Vec<SpaceMapping>) -> Self {
        // All cells have the same size, which shows how large mappings are, unless one has too many.
        let cell_of = |range: &Range<u64>, least: u64| {
            let mut cell = least;
            while cells_of(range, cell) > MOST_OF_MAPPING && cell < 1 << 62 {
                cell *= 2;
            }
            cell
        };
        let count = |least: u64| -> u64 {
            let cells = mappings.iter().map(|one| &one.range);
            let cells = cells.map(|range| cells_of(range, cell_of(range, least)));
            cells.sum()
        };
        let most = MOST_CELLS.max(2 * mappings.len() as u64);
        let mut least = page;
        while count(least) > most && least < 1 << 62 {
            least *= 2;
        }
        let mut end = 0;
        let strips = mappings.iter().map(|one| {
            let (cell, first) = (cell_of(&one.range, least), end);
            end += cells_of(&one.range, cell) as usize;
            (cell, first)
        });
        let strips = strips.collect();
        Self {
            page,
            strips,
            cells: vec![Counts::default(); end],
            mappings,
        }
    }

    /// Adds addresses in this state; in RAM, `pfn` is the frame of the first one.
    pub fn add(&mut self, range: Range<u64>, state: State, pfn: Option<u64>) {
        let class = State::ALL.iter().position(|one| *one == state);
        let class = class.unwrap_or_default();
        let from = self
            .mappings
            .partition_point(|one| one.range.end <= range.start);
        for (index, mapping) in self.mappings.iter().enumerate().skip(from) {
            if mapping.range.start >= range.end {
                break;
            }
            let end = range.end.min(mapping.range.end);
            let mut at = range.start.max(mapping.range.start);
            let (size, first) = self.strips[index];
            while at < end {
                let cell = at / size;
                let next = end.min((cell + 1).saturating_mul(size));
                let place = cell - mapping.range.start / size;
                let counts = &mut self.cells[first + place as usize];
                counts.states[class] += next - at;
                if let (Some(pfn), None) = (pfn, counts.pfn) {
                    counts.pfn = Some(pfn + (at - range.start) / self.page);
                }
                at = next;
            }
        }
    }

    /// Returns the object of the space in at most so many bytes: mappings with the most memory
    /// in them, in the order of their addresses. `map` is the line of frames of the map, if
    /// there is one.
    pub(super) fn write(&self, map: Option<&Space>, most: usize) -> Vec<u8> {
        let mut rows: Vec<(u64, usize)> = (0..self.mappings.len())
            .map(|index| (self.present(index), index))
            .collect();
        rows.sort_by_key(|&(present, index)| (Reverse(present), index));
        let mut room = most.saturating_sub(128);
        let texts = rows.iter().map_while(|&(_, index)| {
            // With room for the gap before it.
            let text = self.row(index, map);
            room = room.checked_sub(text.len() + 40)?;
            Some((index, text))
        });
        let mut texts: Vec<_> = texts.take(MOST_ROWS).collect();
        texts.sort_by_key(|(index, _)| *index);
        let shown = texts.len();
        let mut object = b"{\"rows\":[".to_vec();
        let mut end = None;
        for (index, text) in texts {
            let range = &self.mappings[index].range;
            let gap = end.map_or(0, |end| range.start - end);
            let separator = if end.is_some() { "," } else { "" };
            object.extend_from_slice(format!("{separator}{{\"gap_before\":{gap},").as_bytes());
            object.extend_from_slice(&text);
            end = Some(range.end);
        }
        let others = self.mappings.len() - shown;
        object.extend_from_slice(format!("],\"others\":{others}}}").as_bytes());
        object
    }

    /// Returns the bytes of a mapping that are in memory or in swap.
    fn present(&self, index: usize) -> u64 {
        let absent = [
            State::NotPresent,
            State::Guard,
            State::Marker,
            State::Unmapped,
            State::Unknown,
        ];
        let present = self.cells_at(index).iter().flat_map(|cell| {
            let states = State::ALL.iter().zip(cell.states);
            states.filter(|(state, _)| !absent.contains(state))
        });
        present.map(|(_, bytes)| bytes).sum()
    }

    fn cells_at(&self, index: usize) -> &[Counts] {
        let end = self.strips.get(index + 1);
        let end = end.map_or(self.cells.len(), |&(_, first)| first);
        &self.cells[self.strips[index].1..end]
    }

    /// Returns the members of a row but the gap before it.
    fn row(&self, index: usize, map: Option<&Space>) -> Vec<u8> {
        let mapping = &self.mappings[index];
        let cells = self.cells_at(index);
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.most_frequent()).collect();
        let places = cells.iter().map(|cell| {
            let frame = cell.pfn.zip(map);
            let place = frame.and_then(|(pfn, map)| map.places_of(pfn..pfn + 1).next());
            place.map_or(-1, |place| place.start as i64).to_string()
        });
        let places: Vec<_> = places.collect();
        let named = MappingName {
            start: Hex(mapping.range.start),
            end: Hex(mapping.range.end),
            kind: mapping.kind.into(),
            cell: self.strips[index].0,
            name: Name(&mapping.name),
        };
        let mut row = Vec::new();
        write_record(&named, &mut row);
        // The members of one object, of which the first are a record.
        row.remove(0);
        row.pop();
        let cells = base64(&bytes);
        let more = format!(",\"cells\":\"{cells}\",\"places\":[{}]}}", places.join(","));
        row.extend_from_slice(more.as_bytes());
        row
    }
}

/// Rows of an address space.
const MOST_ROWS: usize = 2000;

impl Counts {
    /// Returns the class of the most frequent state, and its share in 255ths.
    fn most_frequent(&self) -> [u8; 2] {
        let all: u64 = self.states.iter().sum();
        let mut most = 0;
        for (class, &bytes) in self.states.iter().enumerate() {
            if bytes > self.states[most] {
                most = class;
            }
        }
        let share = (u128::from(self.states[most]) * 255).checked_div(u128::from(all));
        match share {
            Some(share) => [most as u8, share as u8],
            None => [u8::MAX, 0],
        }
    }
}

record! {
    /// Mapping of an address space.
    struct MappingName<'a> {
        /// First address.
        start: Hex,
        /// Address behind the last one.
        end: Hex,
        /// Class of its kind.
        kind: u64,
        /// Size of its cells.
        cell: u64 = bytes(),
        /// Name.
        name: Name<'a> = null("if it has none"),
    }
}

record! {
    /// Effect of another policy for huge pages.
    struct AdviceRecord {
        /// A sentence, as `introspect summary` prints it.
        text: String,
    }
}

fn cells_of(range: &Range<u64>, cell: u64) -> u64 {
    match range.is_empty() {
        true => 0,
        false => (range.end - 1) / cell - range.start / cell + 1,
    }
}

/// Part of the document about a process that was named.
#[derive(Clone, Debug)]
pub struct SpacePicture {
    /// Summary as JSON.
    summary: Vec<u8>,
    advice: Vec<AdviceRecord>,
    /// Its mappings with their numbers.
    pub mappings: List,
    /// Its address space.
    pub space: AddressSpace,
}

impl SpacePicture {
    /// Returns the part with this summary, without mappings in the list, of which there can be
    /// so many bytes.
    pub fn new(summary: &SummaryRecord, space: AddressSpace, most_bytes: usize) -> Self {
        let mut summary_text = Vec::new();
        write_record(summary, &mut summary_text);
        let advice = summary.huge_pages.as_ref().map(policy_advice);
        let advice = advice.into_iter().flatten();
        Self {
            summary: summary_text,
            advice: advice.map(|text| AdviceRecord { text }).collect(),
            mappings: List::new(MOST_ROWS, most_bytes),
            space,
        }
    }

    /// Appends the object.
    pub(super) fn write(&self, map: Option<&Space>, most: usize, text: &mut Vec<u8>) {
        text.extend_from_slice(b"{\"summary\":");
        text.extend_from_slice(&self.summary);
        text.extend_from_slice(b",\"advice\":");
        write_records(&self.advice, text);
        text.extend_from_slice(b",\"mappings\":{\"rows\":");
        self.mappings.write(text);
        text.extend_from_slice(format!(",\"others\":{}}}", self.mappings.left_out()).as_bytes());
        text.extend_from_slice(b",\"space\":");
        text.extend_from_slice(&self.space.write(map, most));
        text.push(b'}');
    }
}
