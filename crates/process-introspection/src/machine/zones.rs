//! Zones of physical memory with the kernel's own counts, from `/proc/zoneinfo`. Knows no
//! frame.

use std::fs;

use process_introspection_core::{Operation, PageSize, Pfn};

use crate::error::Error;
use crate::machine::range::PhysRange;
use crate::process::mounts::Mounts;

/// Zone of a NUMA node that has memory.
///
/// All counts are in base pages, and of the moment at which the kernel wrote them
/// (mm/vmstat.c `zoneinfo_show_print`, 5.10 to 6.18).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Zone {
    /// NUMA node.
    pub node: u32,
    /// Name, such as `DMA32`, `Normal` or `Movable`.
    pub name: String,
    /// First frame.
    pub start: Pfn,
    /// Frames from the first to the last, those of other zones and holes included.
    pub spanned: u64,
    /// Frames that exist.
    pub present: u64,
    /// Frames that the page allocator has, without those reserved at boot, and without those
    /// that it has not initialized yet.
    pub managed: u64,
    /// Free frames of the page allocator, without those in the lists of CPUs.
    pub free: u64,
    /// Free frames in the lists of CPUs.
    pub per_cpu: u64,
}

impl Zone {
    /// Reads the zones that have memory, in the order of the kernel: by node, and by
    /// address within one.
    ///
    /// ```
    /// let zones = process_introspection::Zone::read_all()?;
    /// let present: u64 = zones.iter().map(|zone| zone.present).sum();
    /// assert!(present > 0);
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// Errors of the system.
    pub fn read_all() -> Result<Vec<Self>, Error> {
        Self::read_all_in(&Mounts::new())
    }

    /// Reads the zones below another mount of proc.
    ///
    /// # Errors
    /// As [`Zone::read_all`].
    pub fn read_all_in(mounts: &Mounts) -> Result<Vec<Self>, Error> {
        let text = fs::read(mounts.proc().join("zoneinfo"))
            .map_err(|error| Error::of_io(&error, Operation::ReadPhysicalMap))?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    /// Returns the zones of the text of `/proc/zoneinfo`. Zones without memory have no first
    /// frame there, and are left out.
    pub(crate) fn parse(text: &str) -> Vec<Self> {
        let (mut zones, mut current) = (Vec::new(), None::<Self>);
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(key), value) = (words.next(), words.next()) else {
                continue;
            };
            if key == "Node" {
                current = None;
                let node = value.and_then(|number| number.trim_end_matches(',').parse().ok());
                if let (Some(node), Some("zone"), Some(name)) = (node, words.next(), words.next()) {
                    current = Some(Self {
                        node,
                        name: name.to_owned(),
                        start: Pfn::new(0),
                        spanned: 0,
                        present: 0,
                        managed: 0,
                        free: 0,
                        per_cpu: 0,
                    });
                }
                continue;
            }
            let Some(zone) = &mut current else { continue };
            // `pages free 3840`; the others have one word.
            let (key, value) = match key {
                "pages" => ("free", words.next()),
                other => (other, value),
            };
            let Some(number) = value.and_then(|number| number.parse::<u64>().ok()) else {
                continue;
            };
            match key {
                "free" => zone.free = number,
                "spanned" => zone.spanned = number,
                "present" => zone.present = number,
                "managed" => zone.managed = number,
                "count:" => zone.per_cpu += number,
                // The last line of a zone.
                "start_pfn:" => {
                    zone.start = Pfn::new(number);
                    zones.extend(current.take().filter(|zone| zone.spanned > 0));
                }
                _ => {}
            }
        }
        zones
    }

    /// Returns its numbers, each with its name, for storage.
    pub fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("start", self.start.as_u64()),
            ("spanned", self.spanned),
            ("present", self.present),
            ("managed", self.managed),
            ("free", self.free),
            ("per_cpu", self.per_cpu),
        ]
    }

    /// Returns the zone with these numbers, by the names of [`Zone::counts`].
    pub fn from_counts(node: u32, name: String, count: impl Fn(&str) -> u64) -> Self {
        Self {
            node,
            name,
            start: Pfn::new(count("start")),
            spanned: count("spanned"),
            present: count("present"),
            managed: count("managed"),
            free: count("free"),
            per_cpu: count("per_cpu"),
        }
    }

    /// Returns the addresses from the first frame to the last.
    pub fn range(&self, page: PageSize) -> PhysRange {
        let start = self.start.as_u64();
        PhysRange::of_frames(&(start..start.saturating_add(self.spanned)), page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 5
      nr_free_cma  0
  pages free     2816
        boost    0
        min      34
        spanned  4095
        present  3998
        managed  3840
        protection: (0, 2960)
      nr_free_pages 2816
  pagesets
    cpu: 0
              count:    7
              high:     14
    cpu: 1
              count:    2
  vm stats threshold: 4
  node_unreclaimable:  0
  start_pfn:           1
Node 0, zone  Movable
  pages free     0
        spanned  0
        present  0
        managed  0
        protection: (0, 0)
Node 1, zone   Normal
  pages free     10
        spanned  64
        present  60
        managed  50
  start_pfn:           1048576
";

    #[test]
    fn zones_with_memory_have_the_counts_of_the_text() {
        let zones = Zone::parse(TEXT);
        let [dma, normal] = &zones[..] else {
            panic!("{zones:?}")
        };
        let dma_counts = [dma.spanned, dma.present, dma.managed, dma.free, dma.per_cpu];
        assert_eq!(dma_counts, [4095, 3998, 3840, 2816, 9]);
        assert_eq!((dma.node, &*dma.name, dma.start.as_u64()), (0, "DMA", 1));
        assert_eq!((normal.node, &*normal.name), (1, "Normal"));
        let range = normal.range(PageSize::SIZE_4K);
        assert_eq!(range.start().as_u64(), 1 << 32);
        assert_eq!(range.size(), 64 << 12);
    }
}
