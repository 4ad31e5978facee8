//! Runs of frames of the machine's RAM with equal facts, in the order of their addresses.
//! Reads the kernel's facts of frames; knows no process, no counter and no total.

use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use process_introspection_core::{PageSize, Pfn};

use crate::error::Error;
use crate::machine::frame_use::FrameUse;
use crate::machine::frames::{FrameFlags, Frames};
use crate::machine::ram_pieces::{self, Piece};
use crate::machine::zones::Zone;
use crate::process::mounts::Mounts;

/// Consecutive frames of RAM with equal facts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FrameRun {
    /// First frame.
    pub pfn: Pfn,
    /// Number of frames, at least 1.
    pub pages: u64,
    /// Use of each frame.
    pub frame_use: FrameUse,
    /// Flags of each frame. A frame of a large folio has the folio's flags that determine its
    /// use and its state in reclaim, which kernels before 6.10 set on the first frame only.
    pub flags: FrameFlags,
    /// Mapcount of each frame, see [`Frames::read_mapcounts`].
    pub mapcount: u64,
    /// Inode number of the memory cgroup that pays, see [`Frames::read_cgroups`]; `None` if
    /// none does, or the kernel has no memory cgroups.
    pub cgroup: Option<u64>,
    /// Index of the zone in [`FrameRuns::zones`]; `None` if it is not known, because zones of
    /// several nodes interleave there.
    pub zone: Option<usize>,
}

/// Open source of the runs of all frames of RAM that is online.
#[derive(Debug)]
pub struct FrameRuns {
    frames: Frames,
    page: PageSize,
    zones: Vec<Zone>,
    pieces: Vec<Piece>,
}

impl FrameRuns {
    /// Reads where RAM is, and opens the files that report facts of frames.
    ///
    /// | facts | source | required |
    /// |---|---|---|
    /// | RAM | System RAM of `/proc/iomem`, without the blocks of `/sys/devices/system/memory` that are offline | CAP_SYS_ADMIN in the initial user namespace |
    /// | flags, mapcounts, payers | `/proc/kpageflags`, `/proc/kpagecount`, `/proc/kpagecgroup` | root |
    /// | zones | `/proc/zoneinfo` | nothing |
    ///
    /// # Errors
    /// [`Error::is_permission_denied`] for callers who may not see the resources or open
    /// root's files; [`Error::is_unsupported`] where the files are missing.
    pub fn open() -> Result<Self, Error> {
        Self::open_in(&Mounts::new())
    }

    /// Opens the files below other mounts of proc and sysfs.
    ///
    /// # Errors
    /// As [`FrameRuns::open`].
    pub fn open_in(mounts: &Mounts) -> Result<Self, Error> {
        let page = PageSize::base();
        let frames = Frames::open_in(mounts)?;
        let zones = Zone::read_all_in(mounts)?;
        Ok(Self {
            frames,
            page,
            pieces: ram_pieces::read_in(mounts, &zones, page)?,
            zones,
        })
    }

    /// Returns the size of a frame.
    pub fn page_size(&self) -> PageSize {
        self.page
    }

    /// Returns the zones by node and address.
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// Returns whether the kernel has memory cgroups.
    pub fn has_payers(&self) -> bool {
        self.frames.has_cgroups()
    }

    /// Returns the ranges of frames that the runs cover, ascending. Ranges of several zones can
    /// touch.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.pieces.iter().map(|piece| piece.frames.clone())
    }

    /// Returns the number of all frames.
    pub fn frames(&self) -> u64 {
        self.ranges().map(|range| range.end - range.start).sum()
    }

    /// Passes the runs to `each`, ascending, which can break off. Each frame is in one run. A
    /// run ends at the latest at a multiple of 2^18 frames and where a zone ends.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn visit(&self, mut each: impl FnMut(&FrameRun) -> ControlFlow<()>) -> Result<(), Error> {
        let mut reader = Reader::new(&self.frames);
        for piece in &self.pieces {
            let zone = Some(piece.zone).filter(|&zone| zone < self.zones.len());
            if reader.visit(piece, zone, &mut each)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Reads the runs by as many threads as there are CPUs for this process, and returns the
    /// state of each thread. A thread's runs ascend; those between two multiples of 2^18
    /// frames within a zone are one thread's. `passed` is called with the number of frames that
    /// were read, and that of all.
    pub(crate) fn fold<T: Send>(
        &self,
        new: impl Fn() -> T + Sync,
        add: impl Fn(&mut T, &FrameRun) + Sync,
        passed: impl Fn(u64, u64) + Sync,
    ) -> Result<Vec<T>, Error> {
        let all = self.frames();
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let work = || {
            let (mut state, mut reader) = (new(), Reader::new(&self.frames));
            while let Some(piece) = self.pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                let zone = Some(piece.zone).filter(|&zone| zone < self.zones.len());
                // It never breaks off.
                let _ = reader.visit(piece, zone, &mut |run| {
                    add(&mut state, run);
                    ControlFlow::Continue(())
                })?;
                let read = piece.frames.end - piece.frames.start;
                passed(done.fetch_add(read, Ordering::Relaxed) + read, all);
            }
            Ok(state)
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads.clamp(1, self.pieces.len().max(1)))
                .map(|_| scope.spawn(work))
                .collect();
            let mut states = vec![work()?];
            for other in others {
                let other: Result<T, Error> = match other.join() {
                    Ok(other) => other,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                states.push(other?);
            }
            Ok(states)
        })
    }
}

/// Frames that one call reads.
const BATCH: usize = 8 << 10;

/// Flags that kernels before 6.10 set on the first frame of a large folio only, and that
/// determine its use and its state (fs/proc/page.c `stable_page_flags`, 5.10: bits copied from
/// the frame's own flags).
const OF_FOLIO: u64 = FrameFlags::LRU.bits()
    | FrameFlags::UPTODATE.bits()
    | FrameFlags::SWAPBACKED.bits()
    | FrameFlags::SWAPCACHE.bits()
    | FrameFlags::UNEVICTABLE.bits()
    | FrameFlags::ACTIVE.bits()
    | FrameFlags::DIRTY.bits()
    | FrameFlags::WRITEBACK.bits();

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

    /// Passes the runs of a piece to `each`.
    fn visit(
        &mut self,
        piece: &Piece,
        zone: Option<usize>,
        each: &mut impl FnMut(&FrameRun) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let (mut at, end) = (piece.frames.start, piece.frames.end);
        let (mut of_head, mut begun, mut words) = (0, at, None::<[u64; 3]>);
        let mut emit = |begun: u64, end: u64, [flags, mapcount, inode]: [u64; 3]| {
            let flags = FrameFlags::from_bits(flags);
            each(&FrameRun {
                pfn: Pfn::new(begun),
                pages: end - begun,
                frame_use: FrameUse::of(flags, mapcount),
                flags,
                mapcount,
                cgroup: Some(inode).filter(|&inode| inode > 0),
                zone,
            })
        };
        while at < end {
            let size = (end - at).min(BATCH as u64) as usize;
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
            }
            let facts = flags.iter().zip(counts.iter()).zip(payers.iter());
            for (frame, ((&flags, &count), &inode)) in (at..).zip(facts) {
                let mut flags = flags;
                if flags & FrameFlags::COMPOUND_HEAD.bits() != 0 {
                    of_head = flags & OF_FOLIO;
                } else if flags & FrameFlags::COMPOUND_TAIL.bits() != 0 {
                    flags |= of_head;
                }
                let now = [flags, count, inode];
                if words == Some(now) {
                    continue;
                }
                if let Some(before) = words.replace(now) {
                    if emit(begun, frame, before).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                begun = frame;
            }
            at += size as u64;
        }
        Ok(match words {
            Some(last) => emit(begun, end, last),
            None => ControlFlow::Continue(()),
        })
    }
}
