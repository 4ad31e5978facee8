//! Memory of groups of processes, or of the files that a group maps: each frame once.
//! Compares the number of mappings that a group has of a frame with the kernel's mapcount.
//! Must not know by what processes are grouped.

use std::collections::btree_map::Entry;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use process_introspection_core::{PageSize, PhysAddr};
use rustix::system::uname;

use super::frame_counts::{pieces, FrameCounts};
use super::mapcounts::{Mapcounts, MAX_FRAMES};
use super::{MappedFrames, MappingSummary, Summary, Usage};
use crate::error::Error;
use crate::machine::frames::{FrameFlags, Frames};
use crate::machine::physical_map::PhysicalMap;
use crate::process::mounts::Mounts;

/// Part of a process's memory that counts in one row: all of it, or that of some mappings.
#[derive(Clone, Debug)]
pub struct GroupPart {
    mappings: u64,
    usage: Usage,
    huge: Option<u64>,
    extents: Option<u64>,
    frames: Option<MappedFrames>,
}

impl GroupPart {
    /// Returns the memory of a process with this summary and all of its mappings, which
    /// must come from a walk with [`SummaryOptions::frames`].
    ///
    /// [`SummaryOptions::frames`]: super::SummaryOptions::frames
    pub fn of_process(
        summary: &Summary,
        mappings: impl IntoIterator<Item = MappingSummary>,
    ) -> Self {
        let mut frames = Some(MappedFrames::default());
        for mapping in mappings {
            frames = add_frames(frames, mapping.frames);
        }
        Self {
            mappings: summary.mappings,
            usage: summary.total,
            huge: summary.coverage.map(|coverage| coverage.huge),
            extents: summary.contiguity.as_ref().map(|extents| extents.extents()),
            frames: frames.filter(|_| summary.knows_frames),
        }
    }

    /// Returns the memory of one mapping of the process with this summary. Its extents end
    /// at its borders.
    pub fn of_mapping(summary: &Summary, mapping: MappingSummary) -> Self {
        Self {
            mappings: 1,
            usage: mapping.usage,
            huge: summary.coverage.map(|_| mapping.huge),
            extents: summary.knows_addresses.then_some(mapping.extents),
            frames: mapping.frames.filter(|_| summary.knows_frames),
        }
    }

    /// Adds another mapping of the same process.
    pub fn add(&mut self, further: Self) {
        self.mappings += further.mappings;
        self.usage.add(&further.usage);
        self.huge = sum(self.huge, further.huge);
        self.extents = sum(self.extents, further.extents);
        self.frames = add_frames(self.frames.take(), further.frames);
    }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.zip(other).map(|(one, other)| one + other)
}

fn add_frames(all: Option<MappedFrames>, more: Option<MappedFrames>) -> Option<MappedFrames> {
    all.zip(more).map(|(mut all, more)| {
        all.append(more);
        all
    })
}

/// Scope of the rows of [`MemoryGroups`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupScope {
    /// Each row is a group of processes: memory that another row maps is shared.
    Rows,
    /// All rows are parts of one group: memory that only rows map is the group's own.
    Whole,
}

/// Memory of a group of processes, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GroupMemory {
    /// Number of processes.
    pub processes: u64,
    /// Number of their mappings.
    pub mappings: u64,
    /// Sum of their usage: memory that several map counts in each, except in PSS.
    pub usage: Usage,
    /// Sum of the memory that huge entries map, in bytes; `None` where the kernel does not
    /// report it.
    pub huge: Option<u64>,
    /// Number of all their extents; `None` without addresses.
    pub extents: Option<u64>,
    /// Memory, each frame once; `None` unless mapcounts of frames and addresses could be
    /// read for each of the processes.
    pub frames: Option<GroupFrames>,
}

/// Memory of a group in bytes, each frame once, however often it is mapped. The zero page,
/// swap, and frames that nobody maps any more when their mapcount is read are no part of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GroupFrames {
    /// Memory that the group maps and nobody else, hugetlb included. `None` if it cannot be
    /// known for a frame: in large folios if the kernel may export the average of their
    /// mapcounts ([`Frames::counts_each_page`]), and in hugetlb whose page tables processes can
    /// share, unless all processes were read.
    pub own: Option<u64>,
    /// Memory that others map too, hugetlb included; `None` as `own`.
    pub shared: Option<u64>,
    /// All resident memory without hugetlb.
    pub resident: u64,
    /// hugetlb.
    pub hugetlb: u64,
    /// All memory by NUMA node; the key `None` contains memory whose node is not known.
    pub nodes: BTreeMap<Option<u32>, u64>,
}

/// Frames of one row.
#[derive(Clone, Debug, Default)]
struct RowFrames {
    once: BTreeMap<Option<u32>, u64>,
    has_large: bool,
    several: FrameCounts,
    hugetlb: FrameCounts,
    in_shared_tables: FrameCounts,
}

impl RowFrames {
    fn add(&mut self, frames: MappedFrames) {
        add_nodes(&mut self.once, &frames.once);
        self.has_large |= frames.has_large;
        let all = [
            (&mut self.several, frames.several),
            (&mut self.hugetlb, frames.hugetlb),
            (&mut self.in_shared_tables, frames.in_shared_tables),
        ];
        for (counts, runs) in all {
            runs.iter().for_each(|run| counts.add(run));
        }
    }

    fn add_all(&mut self, others: &Self) {
        add_nodes(&mut self.once, &others.once);
        self.has_large |= others.has_large;
        self.several.add_all(&others.several);
        self.hugetlb.add_all(&others.hugetlb);
        self.in_shared_tables.add_all(&others.in_shared_tables);
    }

    fn sort(&mut self) {
        self.several.sort();
        self.hugetlb.sort();
        self.in_shared_tables.sort();
    }
}

fn add_nodes(sum: &mut BTreeMap<Option<u32>, u64>, others: &BTreeMap<Option<u32>, u64>) {
    for (node, bytes) in others {
        *sum.entry(*node).or_default() += bytes;
    }
}

/// Accumulator of the memory of groups: processes are added one by one, each with the rows
/// in which its memory counts.
///
/// Memory use is at most 32 bytes for each frame of which a row has several mappings, and
/// nothing for other frames.
///
/// ```
/// use std::ops::ControlFlow;
/// use process_introspection::{
///     AddrRange, GroupPart, GroupScope, MemoryGroups, PhysicalMap, Process, SummaryOptions,
///     SummaryStep,
/// };
///
/// let process = Process::current()?;
/// let map = PhysicalMap::read()?;
/// let options = SummaryOptions::new(&map).frames();
/// let mut mappings = Vec::new();
/// let summary = process.summary_with(&[AddrRange::ALL], &options, |step| {
///     if let SummaryStep::Mapping(mapping) = step {
///         mappings.push(mapping);
///     }
///     ControlFlow::Continue(())
/// })?;
/// let mut groups = MemoryGroups::new();
/// groups.add_process([("this process", GroupPart::of_process(&summary, mappings))]);
/// let found = groups.finish(GroupScope::Rows, false, process.mounts(), &map)?;
/// let (_, memory) = &found.rows[0];
/// if let Some(frames) = &memory.frames {
///     assert!(frames.resident <= memory.usage.resident);
/// }
/// # Ok::<(), process_introspection::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryGroups<K> {
    rows: BTreeMap<K, (GroupMemory, RowFrames)>,
    processes: u64,
}

impl<K> Default for MemoryGroups<K> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            processes: 0,
        }
    }
}

/// Memory of all groups, see [`MemoryGroups::finish`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupedMemory<K> {
    /// Rows in the order of their keys.
    pub rows: Vec<(K, GroupMemory)>,
    /// Memory of all processes as one group.
    pub total: GroupMemory,
}

impl<K: Ord> MemoryGroups<K> {
    /// Returns an empty accumulator.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a process. Each row that its memory counts in must occur once.
    pub fn add_process(&mut self, parts: impl IntoIterator<Item = (K, GroupPart)>) {
        self.processes += 1;
        for (key, part) in parts {
            let (memory, frames) = match self.rows.entry(key) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert((empty(), RowFrames::default())),
            };
            memory.processes += 1;
            memory.mappings += part.mappings;
            memory.usage.add(&part.usage);
            memory.huge = sum(memory.huge, part.huge);
            memory.extents = sum(memory.extents, part.extents);
            match part.frames {
                Some(part) => frames.add(part),
                None => memory.frames = None,
            }
        }
    }

    /// Reads the mapcounts of frames with several mappings, and returns the memory of all
    /// rows. `are_all` states that every process of this proc was added; it matters for
    /// hugetlb only, see [`GroupFrames::own`], and is ignored if the proc does not have all
    /// processes of the machine.
    ///
    /// # Errors
    /// As [`Frames::open`], if frames were added.
    pub fn finish(
        self,
        scope: GroupScope,
        are_all: bool,
        mounts: &Mounts,
        map: &PhysicalMap,
    ) -> Result<GroupedMemory<K>, Error> {
        let (mut total, mut whole) = (empty(), RowFrames::default());
        let mut rows = Vec::with_capacity(self.rows.len());
        for (key, (memory, mut frames)) in self.rows {
            frames.sort();
            whole.add_all(&frames);
            total.mappings += memory.mappings;
            total.usage.add(&memory.usage);
            total.huge = sum(total.huge, memory.huge);
            total.extents = sum(total.extents, memory.extents);
            total.frames = total.frames.filter(|_| memory.frames.is_some());
            rows.push((key, memory, frames));
        }
        whole.sort();
        total.processes = self.processes;
        if rows.iter().all(|(_, memory, _)| memory.frames.is_none()) {
            let rows = rows.into_iter().map(|(key, memory, _)| (key, memory));
            let rows = rows.collect();
            return Ok(GroupedMemory { rows, total });
        }
        let frames = Frames::open_in(mounts)?;
        let page = PageSize::base();
        let mut counter = Counter {
            mapcounts: Mapcounts::new(&frames),
            counts_each_page: counts_each_page(&frames),
            are_all: are_all && mounts.sees_all(),
            whole: &whole,
            map,
            page,
        };
        if total.frames.is_some() {
            total.frames = Some(counter.count(&whole, &whole)?);
        }
        let is_one = rows.len() == 1;
        let rows = rows.into_iter().map(|(key, mut memory, frames)| {
            if is_one {
                memory.frames = total.frames.clone();
            } else if memory.frames.is_some() {
                let group = match scope {
                    GroupScope::Rows => &frames,
                    GroupScope::Whole => &whole,
                };
                memory.frames = Some(counter.count(&frames, group)?);
            }
            Ok((key, memory))
        });
        let rows = rows.collect::<Result<_, Error>>()?;
        Ok(GroupedMemory { rows, total })
    }
}

/// Returns memory of which everything is known so far.
fn empty() -> GroupMemory {
    GroupMemory {
        huge: Some(0),
        extents: Some(0),
        frames: Some(GroupFrames::default()),
        ..GroupMemory::default()
    }
}

/// Returns whether the kernel is known to count the mappings of each page of a large folio.
pub(super) fn counts_each_page(frames: &Frames) -> bool {
    /// It does not change while the kernel runs, and trying takes a huge page.
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| try_counts_each_page(frames))
}

fn try_counts_each_page(frames: &Frames) -> bool {
    let release = uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    // Older kernels always do, and before 6.1 it cannot be found out by trying.
    let is_older = number()
        .zip(number())
        .is_some_and(|numbers| numbers < (6, 15));
    is_older || frames.counts_each_page() == Some(true)
}

/// Owner of a frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Share {
    Own,
    Shared,
    Unknown,
    /// The frame is not mapped any more.
    Gone,
}

impl Share {
    /// Returns the owner of a frame with this mapcount, of which a group has `times`
    /// mappings. Flags are 0 if the mapcount is exact also in a large folio.
    fn of_page(times: u32, count: u64, flags: u64) -> Self {
        const LARGE: u64 = FrameFlags::COMPOUND_HEAD.bits() | FrameFlags::COMPOUND_TAIL.bits();
        match count {
            0 => Self::Gone,
            _ if flags & LARGE != 0 => Self::Unknown,
            _ => Self::of(times, count),
        }
    }

    /// Returns the owner of a frame of hugetlb with this mapcount and these flags.
    fn of_hugetlb(times: u32, count: u64, flags: u64) -> Self {
        match count {
            0 if flags & FrameFlags::MMAP.bits() == 0 => Self::Gone,
            // The kernel exports no mapcount.
            0 => Self::Unknown,
            _ => Self::of(times, count),
        }
    }

    /// Returns the owner of a frame of which a group has `times` of all `count` mappings.
    fn of(times: u32, count: u64) -> Self {
        // A group has more than all if mappings have ended since they were counted.
        match u64::from(times) >= count {
            true => Self::Own,
            false => Self::Shared,
        }
    }
}

struct Counter<'a> {
    mapcounts: Mapcounts<'a>,
    counts_each_page: bool,
    are_all: bool,
    whole: &'a RowFrames,
    map: &'a PhysicalMap,
    page: PageSize,
}

impl Counter<'_> {
    /// Counts the frames of a row, which is a part of a group.
    fn count(&mut self, row: &RowFrames, group: &RowFrames) -> Result<GroupFrames, Error> {
        let once = row.once.values().sum();
        let mut sum = Sum {
            own: once,
            resident: once,
            nodes: row.once.clone(),
            is_unknown: row.has_large && !self.counts_each_page,
            ..Sum::default()
        };
        let needs_flags = !self.counts_each_page;
        for (frames, [times, of_group]) in pieces([&row.several, &group.several]) {
            if times > 0 {
                let share = |count, flags| Share::of_page(of_group, count, flags);
                sum.resident += self.count_frames(frames, needs_flags, &mut sum, share)?;
            }
        }
        let whole = self.whole;
        let of_all = [
            &row.hugetlb,
            &group.hugetlb,
            &whole.hugetlb,
            &whole.in_shared_tables,
        ];
        for (frames, [times, of_group, of_whole, in_shared_tables]) in pieces(of_all) {
            if times == 0 {
                continue;
            }
            let by_walks = match self.are_all {
                true => Share::of(of_group, of_whole.into()),
                false => Share::Unknown,
            };
            let share = |count, flags| match Share::of_hugetlb(of_group, count, flags) {
                // The mapcount is that of page tables.
                Share::Own | Share::Shared if in_shared_tables > 0 => by_walks,
                Share::Unknown => by_walks,
                known => known,
            };
            sum.hugetlb += self.count_frames(frames, true, &mut sum, share)?;
        }
        Ok(GroupFrames {
            own: (!sum.is_unknown).then_some(sum.own),
            shared: (!sum.is_unknown).then_some(sum.shared),
            resident: sum.resident,
            hugetlb: sum.hugetlb,
            nodes: sum.nodes,
        })
    }

    /// Adds frames to the sum, each as `share` says for its mapcount and flags, which are 0
    /// if they are not needed. Returns the size of those that are still mapped.
    fn count_frames(
        &mut self,
        frames: Range<u64>,
        needs_flags: bool,
        sum: &mut Sum,
        share: impl Fn(u64, u64) -> Share,
    ) -> Result<u64, Error> {
        let (mut at, mut mapped) = (frames.start, 0);
        while at < frames.end {
            let to = frames.end.min(at + MAX_FRAMES);
            let (counts, flags) = self.mapcounts.read(at..to, needs_flags)?;
            let share = |index: usize| share(counts[index], flags.map_or(0, |flags| flags[index]));
            let mut first = 0;
            while first < counts.len() {
                let same = share(first);
                let run = (first..counts.len()).take_while(|&next| share(next) == same);
                let count = run.count();
                let bytes = sum.add(same, (count as u64) << self.page.shift());
                sum.add_nodes(self.map, (at + first as u64) << self.page.shift(), bytes);
                mapped += bytes;
                first += count;
            }
            at = to;
        }
        Ok(mapped)
    }
}

#[derive(Debug, Default)]
struct Sum {
    own: u64,
    shared: u64,
    is_unknown: bool,
    resident: u64,
    hugetlb: u64,
    nodes: BTreeMap<Option<u32>, u64>,
}

impl Sum {
    /// Adds memory, and returns its size if it is still mapped.
    fn add(&mut self, share: Share, bytes: u64) -> u64 {
        match share {
            Share::Own => self.own += bytes,
            Share::Shared => self.shared += bytes,
            Share::Unknown => self.is_unknown = true,
            Share::Gone => return 0,
        }
        bytes
    }

    fn add_nodes(&mut self, map: &PhysicalMap, start: u64, bytes: u64) {
        if bytes > 0 {
            for (node, bytes) in map.nodes_of(PhysAddr::new(start), bytes) {
                *self.nodes.entry(node).or_default() += bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_the_groups_own_if_it_has_all_mappings_and_unknown_if_they_are_not_counted() {
        const HEAD: u64 = FrameFlags::COMPOUND_HEAD.bits();
        const TAIL: u64 = FrameFlags::COMPOUND_TAIL.bits();
        for (times, count, flags, expected) in [
            (2, 2, 0, Share::Own),
            (3, 2, 0, Share::Own),
            (1, 2, 0, Share::Shared),
            (1, 0, 0, Share::Gone),
            (2, 2, HEAD, Share::Unknown),
            (1, 2, TAIL, Share::Unknown),
            (1, 0, TAIL, Share::Gone),
        ] {
            let share = Share::of_page(times, count, flags);
            assert_eq!(share, expected, "{times} of {count}, {flags:x}");
        }
        const MAPPED: u64 = FrameFlags::MMAP.bits() | HEAD;
        for (times, count, flags, expected) in [
            (2, 2, MAPPED, Share::Own),
            (1, 2, MAPPED, Share::Shared),
            (1, 0, HEAD, Share::Gone),
            (1, 0, MAPPED, Share::Unknown),
        ] {
            let share = Share::of_hugetlb(times, count, flags);
            assert_eq!(share, expected, "{times} of {count}, {flags:x}");
        }
    }
}
