//! Reduction of the records of an address space to stretches: consecutive mappings of one
//! object, of which the largest are kept and the others are joined. Takes constant memory,
//! however many records there are. Must not know how stretches are drawn.

use std::cmp::Reverse;
use std::ops::Range;

use crate::map::buckets::Buckets;

/// Part of a mapping in one class, as a record has it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Piece<'a> {
    /// Virtual addresses.
    pub(crate) virt: (u64, u64),
    /// Frames, if it has a physical address.
    pub(crate) frames: Option<(u64, u64)>,
    /// Class.
    pub(crate) class: u8,
    /// Whether it counts as memory.
    pub(crate) is_memory: bool,
    pub(crate) kind: &'static str,
    /// Protection, and whether the mapping is shared.
    pub(crate) prot: (&'static str, bool),
    pub(crate) name: &'a [u8],
}

/// Consecutive mappings of one object, or several such that were joined.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Bytes mapped.
    pub(crate) bytes: u64,
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Number of stretches that it stands for.
    pub(crate) stretches: u64,
    /// Kinds of its mappings, without repetitions.
    pub(crate) kinds: Vec<&'static str>,
    /// Protection and sharing, if there is one only.
    pub(crate) prot: Option<(&'static str, bool)>,
    pub(crate) name: Vec<u8>,
    /// Bytes of each class.
    pub(crate) classes: Vec<u64>,
    /// Classes at its addresses, in base pages from the first; `None` if it was joined.
    pub(crate) strip: Option<Buckets>,
    /// Classes of its frames.
    pub(crate) frames: Buckets,
}

/// Stretches of an address space.
#[derive(Clone, Debug)]
pub(crate) struct Stretches {
    page: u64,
    classes: usize,
    all: Vec<Stretch>,
    /// Bytes of each class.
    pub(crate) totals: Vec<u64>,
}

/// Number of stretches at which small ones are joined, and the number that is kept then.
const MOST: usize = 128;
const KEPT: usize = 48;
/// Largest gap within a stretch whose mappings have a name.
const GAP: u64 = 16 << 20;
/// Cells of a strip, and of the frames of a stretch.
const CELLS: usize = 128;
const FRAMES: usize = 512;
/// Bytes of a name that are kept.
const NAME: usize = 4096;

impl Stretches {
    /// Returns an empty address space with pages of `page` bytes and so many classes.
    pub(crate) fn new(page: u64, classes: usize) -> Self {
        Self {
            page,
            classes,
            all: Vec::new(),
            totals: vec![0; classes],
        }
    }

    /// Adds a piece, which is behind the ones before.
    pub(crate) fn add(&mut self, piece: &Piece<'_>) {
        let continues = self
            .all
            .last()
            .is_some_and(|last| last.is_continued_by(piece));
        if !continues {
            if self.all.len() >= MOST {
                self.join(KEPT);
            }
            self.all.push(Stretch {
                start: piece.virt.0,
                end: piece.virt.0,
                bytes: 0,
                memory: 0,
                stretches: 1,
                kinds: vec![piece.kind],
                prot: Some(piece.prot),
                name: piece.name[..piece.name.len().min(NAME)].to_vec(),
                classes: vec![0; self.classes],
                strip: Some(Buckets::new(self.classes, CELLS)),
                frames: Buckets::new(self.classes, FRAMES),
            });
        }
        let Some(stretch) = self.all.last_mut() else {
            return;
        };
        let (start, end) = piece.virt;
        let bytes = end.saturating_sub(start);
        stretch.end = end;
        stretch.bytes += bytes;
        stretch.memory += if piece.is_memory { bytes } else { 0 };
        stretch.prot = stretch.prot.filter(|&prot| prot == piece.prot);
        stretch.classes[usize::from(piece.class)] += bytes;
        self.totals[usize::from(piece.class)] += bytes;
        let first = stretch.start / self.page;
        if let Some(strip) = &mut stretch.strip {
            let pages = start / self.page - first..end.div_ceil(self.page) - first;
            strip.add(pages, piece.class);
        }
        if let Some((first, end)) = piece.frames {
            stretch.frames.add(first..end, piece.class);
        }
    }

    /// Returns at most `kept` stretches that have most memory, and between them joined ones.
    pub(crate) fn finish(mut self, kept: usize) -> Vec<Stretch> {
        self.join(kept);
        self.all
    }

    /// Joins all but `kept` stretches with most memory to their neighbours of the others.
    fn join(&mut self, kept: usize) {
        let mut order: Vec<_> = (0..self.all.len()).collect();
        order.sort_by_key(|&index| {
            let stretch = &self.all[index];
            // One that was joined stays so.
            (
                stretch.strip.is_none(),
                Reverse((stretch.memory, stretch.bytes)),
                index,
            )
        });
        let mut is_kept = vec![false; self.all.len()];
        order
            .iter()
            .take(kept)
            .for_each(|&index| is_kept[index] = self.all[index].strip.is_some());
        let mut joined = Vec::<Stretch>::new();
        let mut is_after_joined = false;
        for (stretch, is_kept) in std::mem::take(&mut self.all).into_iter().zip(is_kept) {
            match joined.last_mut() {
                Some(last) if is_after_joined && !is_kept => last.join(stretch),
                _ => joined.push(stretch),
            }
            is_after_joined = !is_kept;
        }
        self.all = joined;
    }
}

impl Stretch {
    fn is_continued_by(&self, piece: &Piece<'_>) -> bool {
        let gap = match self.name.is_empty() {
            true => 0,
            false => GAP,
        };
        self.strip.is_some()
            && self.kinds == [piece.kind]
            && self.name == piece.name[..piece.name.len().min(NAME)]
            && piece.virt.0 >= self.end
            && piece.virt.0 - self.end <= gap
    }

    /// Adds the stretch behind.
    fn join(&mut self, other: Self) {
        self.end = other.end;
        self.bytes += other.bytes;
        self.memory += other.memory;
        self.stretches += other.stretches;
        for kind in other.kinds {
            if !self.kinds.contains(&kind) {
                self.kinds.push(kind);
            }
        }
        self.prot = self.prot.filter(|_| self.prot == other.prot);
        let sums = self.classes.iter_mut().zip(&other.classes);
        sums.for_each(|(sum, bytes)| *sum += bytes);
        self.strip = None;
        self.frames.merge(&other.frames);
    }

    /// Returns the most frequent class in each cell of its strip, and the pages of the cell from
    /// the start of the stretch; without cells in which nothing is.
    pub(crate) fn cells(&self, page: u64) -> Vec<(Range<u64>, u8)> {
        let pages = (self.end - self.start).div_ceil(page);
        let strip = self.strip.iter().flat_map(|strip| {
            strip.blocks().map(move |(block, counts)| {
                let start = block << strip.shift();
                let end = (start + (1 << strip.shift())).min(pages);
                let most = (0..counts.len()).max_by_key(|&class| (counts[class], Reverse(class)));
                (start..end, most.unwrap_or(0) as u8)
            })
        });
        strip.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start: u64, pages: u64, class: u8, name: &[u8]) -> Piece<'_> {
        Piece {
            virt: (start * 4096, (start + pages) * 4096),
            frames: (class > 0).then_some((start, start + pages)),
            class,
            is_memory: class > 0,
            kind: "file",
            prot: ("rw-", false),
            name,
        }
    }

    #[test]
    fn mappings_of_one_object_are_a_stretch_and_a_far_one_is_another() {
        let mut stretches = Stretches::new(4096, 2);
        for (start, name) in [
            (0, &b"a"[..]),
            (2, b"a"),
            (10, b"a"),
            (20, b"b"),
            (9000, b"b"),
        ] {
            stretches.add(&piece(start, 2, 1, name));
        }
        let all = stretches.finish(9);
        let ends: Vec<_> = all
            .iter()
            .map(|one| (one.start / 4096, one.end / 4096))
            .collect();
        assert_eq!(ends, [(0, 12), (20, 22), (9000, 9002)]);
        assert_eq!(all[0].bytes, 6 * 4096);
        assert_eq!(all[0].cells(4096).len(), 6);
    }

    #[test]
    fn the_largest_are_kept_in_order_and_nothing_is_lost() {
        let mut stretches = Stretches::new(4096, 2);
        let names: Vec<_> = (0..5000u64).map(|index| index.to_string()).collect();
        let mut at = 0;
        let mut memory = 0;
        for (index, name) in (0u64..).zip(&names) {
            let pages = if index % 1000 == 7 {
                5000 + index
            } else {
                1 + index % 7
            };
            let class = u8::from(index % 3 == 1);
            stretches.add(&piece(at, pages, class, name.as_bytes()));
            memory += if class == 1 { pages * 4096 } else { 0 };
            at += pages + 10;
        }
        let sums = stretches.totals.clone();
        assert!(stretches.all.len() <= MOST, "{}", stretches.all.len());
        let all = stretches.finish(2);
        assert!(all.len() <= 5, "{}", all.len());
        let kept: Vec<_> = all.iter().filter(|one| one.stretches == 1).collect();
        let names: Vec<_> = kept
            .iter()
            .map(|one| String::from_utf8_lossy(&one.name))
            .collect();
        assert_eq!(names, ["7", "3007"]);
        assert_eq!(all.iter().map(|one| one.memory).sum::<u64>(), memory);
        assert_eq!(all.iter().map(|one| one.stretches).sum::<u64>(), 5000);
        let bytes: u64 = all.iter().map(|one| one.bytes).sum();
        assert_eq!(bytes, sums.iter().sum::<u64>());
        assert!(all.windows(2).all(|two| two[0].end <= two[1].start));
        let frames: u64 = all
            .iter()
            .flat_map(|one| one.frames.blocks().map(|(_, counts)| counts[1]))
            .sum();
        assert_eq!(frames * 4096, memory);
    }
}
