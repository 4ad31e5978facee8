//! Census of the machine's RAM: each frame counted once, by its use, and by its zone and the
//! cgroup that pays for it. Reads the kernel's facts of frames; knows no process and no counter
//! of the kernel.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::num::NonZero;
use std::ops::{AddAssign, Index, Range};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use process_introspection_core::{Operation, PageSize, Pfn};

use crate::error::Error;
use crate::machine::frame_use::FrameUse;
use crate::machine::frames::{FrameFlags, Frames};
use crate::machine::physical_map::PhysicalMap;
use crate::machine::range::PhysRange;
use crate::machine::zones::Zone;
use crate::process::mounts::Mounts;

/// Frames of each use.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Default)]
pub struct UseTotals([u64; FrameUse::ALL.len()]);

impl UseTotals {
    /// Returns the number of frames of all uses.
    pub fn frames(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the uses, each with its number of frames.
    pub fn iter(&self) -> impl Iterator<Item = (FrameUse, u64)> + '_ {
        FrameUse::ALL.into_iter().zip(self.0)
    }

    fn add(&mut self, frame_use: FrameUse) {
        self.0[frame_use as usize] += 1;
    }
}

impl Index<FrameUse> for UseTotals {
    type Output = u64;

    fn index(&self, frame_use: FrameUse) -> &u64 {
        &self.0[frame_use as usize]
    }
}

impl AddAssign<&UseTotals> for UseTotals {
    fn add_assign(&mut self, other: &UseTotals) {
        for (total, &frames) in self.0.iter_mut().zip(&other.0) {
            *total += frames;
        }
    }
}

/// Frames of a zone by their uses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZoneCensus {
    /// NUMA node; `None` for frames that are in no zone, or in several.
    pub node: Option<u32>,
    /// Name of the zone; `None` as for the node.
    pub zone: Option<String>,
    /// Frames of each use.
    pub uses: UseTotals,
}

/// Frames for which a memory cgroup pays, by their uses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PayerCensus {
    /// Inode number of the cgroup's folder, see
    /// [`MemoryCgroups`](crate::MemoryCgroups::get).
    pub inode: u64,
    /// Frames of each use.
    pub uses: UseTotals,
}

/// Frames of the machine's RAM by their uses, as they were when each was read. Memory that
/// is offline is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameCensus {
    page: PageSize,
    zones: Vec<ZoneCensus>,
    payers: Option<Vec<PayerCensus>>,
}

impl FrameCensus {
    /// Counts all frames, by as many threads as there are CPUs for this process.
    ///
    /// | facts | source | required |
    /// |---|---|---|
    /// | RAM | System RAM of `/proc/iomem`, without the blocks of `/sys/devices/system/memory` that are offline | CAP_SYS_ADMIN in the initial user namespace |
    /// | flags, mapcounts, payers | `/proc/kpageflags`, `/proc/kpagecount`, `/proc/kpagecgroup` | root |
    /// | zones | `/proc/zoneinfo` | nothing |
    ///
    /// ```
    /// use process_introspection::{FrameCensus, FrameUse};
    ///
    /// match FrameCensus::take() {
    ///     Ok(census) => {
    ///         let free = census.total()[FrameUse::Free];
    ///         println!("{} KiB free", free * census.page_size().bytes() / 1024);
    ///     }
    ///     Err(error) => assert!(error.is_permission_denied() || error.is_unsupported(), "{error}"),
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_permission_denied`] for callers who may not see the resources or open
    /// root's files; [`Error::is_unsupported`] where the files are missing.
    pub fn take() -> Result<Self, Error> {
        Self::take_in(&Mounts::new())
    }

    /// Counts all frames by files below other mounts of proc and sysfs.
    ///
    /// # Errors
    /// As [`FrameCensus::take`].
    pub fn take_in(mounts: &Mounts) -> Result<Self, Error> {
        let page = PageSize::base();
        let frames = Frames::open_in(mounts)?;
        let hidden = || Error::of_io(&io::ErrorKind::PermissionDenied.into(), READ_MAP);
        let ram = PhysicalMap::read_in(mounts)?.ram().ok_or_else(hidden)?;
        let offline = offline_blocks(&mounts.sys().join("devices/system/memory"))
            .map_err(|error| Error::of_io(&error, READ_MAP))?;
        let zones = Zone::read_all_in(mounts)?;
        let ram: Vec<_> = ram.iter().map(|range| whole_frames(*range, page)).collect();
        let offline: Vec<_> = offline
            .iter()
            .map(|range| whole_frames(*range, page))
            .collect();
        let pieces = pieces(&without(&ram, &offline), &zones, page);
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let counted = count(&frames, &pieces, zones.len() + 1, threads)?;
        let named = zones
            .into_iter()
            .map(|zone| (Some(zone.node), Some(zone.name)));
        let zones = named.chain([(None, None)]).zip(counted.zones);
        let zones = zones.map(|((node, zone), uses)| ZoneCensus { node, zone, uses });
        let has_frames = |zone: &ZoneCensus| zone.node.is_some() || zone.uses.frames() > 0;
        Ok(Self {
            page,
            zones: zones.filter(has_frames).collect(),
            payers: counted.payers.map(|payers| {
                let payers = payers.into_iter();
                let mut payers: Vec<_> = payers
                    .map(|(inode, uses)| PayerCensus { inode, uses })
                    .collect();
                payers.sort_by_key(|payer| (Reverse(payer.uses.frames()), payer.inode));
                payers
            }),
        })
    }

    /// Returns the size of a frame.
    pub fn page_size(&self) -> PageSize {
        self.page
    }

    /// Returns the zones by node and address; at the end, if there are such, the frames
    /// whose zone is not known.
    pub fn zones(&self) -> &[ZoneCensus] {
        &self.zones
    }

    /// Returns the cgroups that pay for frames, those with the most first; `None` if the
    /// kernel has no memory cgroups. Frames for which none pays are in no row.
    pub fn payers(&self) -> Option<&[PayerCensus]> {
        self.payers.as_deref()
    }

    /// Returns the frames of the machine by their uses.
    pub fn total(&self) -> UseTotals {
        let mut total = UseTotals::default();
        self.zones.iter().for_each(|zone| total += &zone.uses);
        total
    }
}

const READ_MAP: Operation = Operation::ReadPhysicalMap;

/// Returns the memory blocks that are offline. A kernel without memory hotplug has no blocks
/// (drivers/base/memory.c, 5.10 to 6.18).
fn offline_blocks(folder: &Path) -> io::Result<Vec<PhysRange>> {
    let Ok(size) = fs::read_to_string(folder.join("block_size_bytes")) else {
        return Ok(Vec::new());
    };
    let size = u64::from_str_radix(size.trim(), 16).unwrap_or(0);
    let mut offline = Vec::new();
    for block in fs::read_dir(folder)? {
        let block = block?;
        let name = block.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("memory"));
        let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) else {
            continue;
        };
        if matches!(fs::read_to_string(block.path().join("online")), Ok(text) if text.trim() == "0")
        {
            let start = number.saturating_mul(size);
            let end = start.saturating_add(size);
            offline.extend(PhysRange::new(start.into(), end.into()));
        }
    }
    offline.sort_unstable();
    Ok(offline)
}

/// Returns the frames that are wholly in a range.
fn whole_frames(range: PhysRange, page: PageSize) -> Range<u64> {
    let start = range.start().as_u64().div_ceil(page.bytes());
    start..(range.end().as_u64() >> page.shift()).max(start)
}

/// Returns what is in the first ranges and not in the second; both ascend.
fn without(ranges: &[Range<u64>], holes: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    for range in ranges {
        let mut at = range.start;
        for hole in holes {
            if hole.end > at && hole.start < range.end {
                rest.push(at..hole.start.max(at));
                at = hole.end.min(range.end);
            }
        }
        rest.push(at..range.end);
    }
    rest.retain(|range| !range.is_empty());
    rest
}

/// Frames that one thread counts at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    frames: Range<u64>,
    /// Index of the zone, or the number of zones if it is not known.
    zone: usize,
}

/// Largest number of frames of a piece. Pieces begin at multiples of it, where no large folio
/// has begun before: the largest is 16 GiB with base pages of 64 KiB, 1 GiB with 4 KiB.
const PIECE: u64 = 1 << 18;

/// Returns the frames of ranges in pieces of one zone.
fn pieces(ranges: &[Range<u64>], zones: &[Zone], page: PageSize) -> Vec<Piece> {
    let spans: Vec<_> = zones
        .iter()
        .map(|zone| whole_frames(zone.range(page), page))
        .collect();
    let mut borders: Vec<u64> = spans
        .iter()
        .flat_map(|span| [span.start, span.end])
        .collect();
    borders.sort_unstable();
    let mut pieces = Vec::new();
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            let border = borders[borders.partition_point(|&border| border <= at)..].first();
            let end = border.map_or(range.end, |&border| border.min(range.end));
            let end = end.min((at / PIECE + 1) * PIECE);
            let mut around = (0..spans.len()).filter(|&zone| spans[zone].contains(&at));
            let zone = match (around.next(), around.next()) {
                (Some(zone), None) => zone,
                // Zones of several nodes can interleave.
                _ => zones.len(),
            };
            pieces.push(Piece {
                frames: at..end,
                zone,
            });
            at = end;
        }
    }
    pieces
}

/// Frames that were counted.
struct Counted {
    zones: Vec<UseTotals>,
    /// By the inode number of the cgroup.
    payers: Option<HashMap<u64, UseTotals>>,
}

impl Counted {
    fn new(zones: usize) -> Self {
        Self {
            zones: vec![UseTotals::default(); zones],
            payers: None,
        }
    }

    fn add(&mut self, other: &Self) {
        for (total, more) in self.zones.iter_mut().zip(&other.zones) {
            *total += more;
        }
        for (&inode, more) in other.payers.iter().flatten() {
            *self
                .payers
                .get_or_insert_default()
                .entry(inode)
                .or_default() += more;
        }
    }
}

/// Counts the frames of pieces by some threads.
fn count(
    frames: &Frames,
    pieces: &[Piece],
    zones: usize,
    threads: usize,
) -> Result<Counted, Error> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut counted = Counted::new(zones);
        let mut reader = Reader::new(frames);
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            reader.count(piece, &mut counted)?;
        }
        Ok(counted)
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads.clamp(1, pieces.len().max(1)))
            .map(|_| scope.spawn(work))
            .collect();
        let mut counted = work()?;
        for other in others {
            let other: Result<Counted, Error> = match other.join() {
                Ok(other) => other,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            counted.add(&other?);
        }
        Ok(counted)
    })
}

/// Frames that one call reads.
const BATCH: usize = 8 << 10;

/// Flags that kernels before 6.10 set on the first frame of a large folio only, and that
/// determine its use (fs/proc/page.c `stable_page_flags`, 5.10: bits copied from the frame's
/// own flags).
const OF_FOLIO: FrameFlags = FrameFlags::from_bits(
    FrameFlags::LRU.bits()
        | FrameFlags::UPTODATE.bits()
        | FrameFlags::SWAPBACKED.bits()
        | FrameFlags::SWAPCACHE.bits()
        | FrameFlags::UNEVICTABLE.bits(),
);

/// Reader of one thread.
struct Reader<'a> {
    frames: &'a Frames,
    flags: Vec<u64>,
    counts: Vec<u64>,
    payers: Vec<u64>,
}

impl<'a> Reader<'a> {
    fn new(frames: &'a Frames) -> Self {
        Self {
            frames,
            flags: vec![0; BATCH],
            counts: vec![0; BATCH],
            payers: vec![0; BATCH],
        }
    }

    fn count(&mut self, piece: &Piece, counted: &mut Counted) -> Result<(), Error> {
        let Piece { frames, zone } = piece;
        let (mut at, mut of_head) = (frames.start, 0);
        let totals = &mut counted.zones[*zone];
        // Frames of one payer follow each other.
        let (mut payer, mut paid) = (0, UseTotals::default());
        while at < frames.end {
            let size = (frames.end - at).min(BATCH as u64) as usize;
            let (flags, counts) = (&mut self.flags[..size], &mut self.counts[..size]);
            let known = self.frames.read_flag_words(Pfn::new(at), flags)?;
            // What lies behind the last frame that the kernel has is unknown to it.
            flags[known..].fill(0);
            let known = self.frames.read_mapcounts(Pfn::new(at), counts)?;
            counts[known..].fill(0);
            let payers = &mut self.payers[..size];
            // Without cgroups nobody pays, as the buffer says from the beginning.
            if let Some(known) = self.frames.read_cgroups(Pfn::new(at), payers)? {
                payers[known..].fill(0);
                counted.payers.get_or_insert_default();
            }
            for ((&flags, &count), &inode) in flags.iter().zip(counts.iter()).zip(payers.iter()) {
                let mut flags = FrameFlags::from_bits(flags);
                if flags.contains(FrameFlags::COMPOUND_HEAD) {
                    of_head = flags.bits() & OF_FOLIO.bits();
                } else if flags.contains(FrameFlags::COMPOUND_TAIL) {
                    flags = flags | FrameFlags::from_bits(of_head);
                }
                let frame_use = FrameUse::of(flags, count);
                totals.add(frame_use);
                if inode > 0 {
                    if inode != payer {
                        pay(&mut counted.payers, payer, &mut paid);
                        payer = inode;
                    }
                    paid.add(frame_use);
                }
            }
            at += size as u64;
        }
        pay(&mut counted.payers, payer, &mut paid);
        Ok(())
    }
}

/// Adds frames to those of a payer, 0 if there is none.
fn pay(payers: &mut Option<HashMap<u64, UseTotals>>, inode: u64, paid: &mut UseTotals) {
    if inode > 0 {
        *payers.get_or_insert_default().entry(inode).or_default() += paid;
        *paid = UseTotals::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_without_holes_have_what_is_in_no_hole() {
        let rest = without(&[0..10, 20..30], &[0..2, 4..6, 9..22, 29..40]);
        assert_eq!(rest, [2..4, 6..9, 22..29]);
        assert_eq!(without(&[1..3, 5..6], &[]), [1..3, 5..6]);
        assert!(without(&[1..3, 5..6], &[0..2, 1..9]).is_empty());
    }

    #[test]
    fn a_piece_is_of_one_zone_or_of_none_and_ends_at_its_border() {
        let zone = |node, start, spanned| Zone {
            node,
            name: "Normal".to_owned(),
            start: Pfn::new(start),
            spanned,
            present: 0,
            managed: 0,
            free: 0,
            per_cpu: 0,
        };
        let zones = [zone(0, 10, 20), zone(1, 25, PIECE * 2)];
        let all = 0..PIECE + 5;
        let pieces = pieces(std::slice::from_ref(&all), &zones, PageSize::SIZE_4K);
        let found: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.frames.clone(), piece.zone))
            .collect();
        let expected = [
            (0..10, 2),
            (10..25, 0),
            (25..30, 2),
            (30..PIECE, 1),
            (PIECE..PIECE + 5, 1),
        ];
        assert_eq!(found, expected);
    }
}
