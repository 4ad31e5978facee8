//! Walk of a process for its metrics: regions by size of entry, and the flags of their
//! frames.

use std::ops::ControlFlow;

use process_introspection_core::backing::Backing;
use process_introspection_core::AddrRange;

use super::{ContiguityMetrics, ContiguityMetricsAccumulator};
use crate::error::Error;
use crate::machine::frames::{FrameFlags, Frames};
use crate::process::Process;
use crate::walk::attributed::Attributed;
use crate::walk::regions::PhysicalRegion;

/// Number of frames whose flags one call reads.
const PIECE: u64 = 4096;

impl Process {
    /// Computes the published metrics of contiguity of several ranges, which ascend.
    /// `passed` receives the addresses that were passed; if it breaks, the metrics cover what
    /// was passed until then.
    ///
    /// The flags of frames are read region by region: about 1 µs for each region, and
    /// 0.1 µs for each page. Requires no privilege for one's own process, but is then
    /// without addresses and what follows from them.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use process_introspection::{AddrRange, Process};
    ///
    /// let process = Process::current()?;
    /// let passed = |_| ControlFlow::Continue(());
    /// let metrics = process.contiguity_metrics(&[AddrRange::ALL], passed)?;
    /// assert!(metrics.virtual_runs <= metrics.present_pages);
    /// if let Some(ranges) = &metrics.ranges {
    ///     println!("{} range translations", ranges.extents());
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Process::resident_regions`] and its iterator.
    pub fn contiguity_metrics(
        &self,
        ranges: &[AddrRange],
        mut passed: impl FnMut(AddrRange) -> ControlFlow<()>,
    ) -> Result<ContiguityMetrics, Error> {
        let mut metrics = ContiguityMetricsAccumulator::new(self.page_size());
        if !self.sees_frames() {
            self.add_resident(ranges, &mut metrics, passed)?;
            return Ok(metrics.finish());
        }
        let frames = match Frames::open_in(self.mounts()) {
            Ok(frames) => Some(frames),
            Err(error) if error.is_permission_denied() || error.is_unsupported() => None,
            Err(error) => return Err(error),
        };
        let mut flags = Vec::new();
        let mut failed = None;
        let walk = self.walk_ranges(ranges.iter().copied()).threads(0);
        walk.split_page_sizes().for_each(|region| {
            let added = self.add(region, frames.as_ref(), &mut flags, &mut metrics);
            if let Err(error) = added {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            passed(region.virt)
        })?;
        failed.map_or_else(|| Ok(metrics.finish()), Err)
    }

    fn add(
        &self,
        region: &Attributed<PhysicalRegion>,
        frames: Option<&Frames>,
        flags: &mut Vec<FrameFlags>,
        metrics: &mut ContiguityMetricsAccumulator,
    ) -> Result<(), Error> {
        let (Some(frames), Backing::Ram(_)) = (frames, region.backing) else {
            metrics.push(region, None);
            return Ok(());
        };
        let page = self.page_size();
        let end = region.virt.end().as_u64();
        let mut at = region.virt.start().as_u64();
        while at < end {
            self.beat();
            let to = end.min(at.saturating_add(PIECE << page.shift()));
            let piece = AddrRange::new(at, to).and_then(|piece| region.pages.within(piece));
            let address = piece.as_ref().and_then(|piece| piece.backing.address());
            let Some((piece, address)) = piece.zip(address) else {
                break;
            };
            // With the frame after the last one.
            let count = ((to - at) >> page.shift()) + 1;
            flags.clear();
            flags.resize(count as usize, FrameFlags::default());
            let known = frames.read_flags(address.pfn(page), flags)?;
            let mut piece = Attributed::new(piece);
            piece.page_size = region.page_size;
            metrics.push(&piece, Some(&flags[..known]));
            at = to;
        }
        Ok(())
    }

    fn add_resident(
        &self,
        ranges: &[AddrRange],
        metrics: &mut ContiguityMetricsAccumulator,
        mut passed: impl FnMut(AddrRange) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        for &range in ranges {
            for region in self.resident_regions(range)? {
                let region = region?;
                self.beat();
                let (virt, backing) = (region.virt, region.backing);
                let pages = PhysicalRegion::new(virt, backing, region.anonymous, region.mapping);
                let mut pages = Attributed::new(pages);
                let base = self.page_size();
                let size = |is_huge| if is_huge { base.pmd() } else { base };
                pages.page_size = region.huge.map(size);
                metrics.push(&pages, None);
                if passed(virt).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
