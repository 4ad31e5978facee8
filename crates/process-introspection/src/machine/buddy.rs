//! Free memory of the page allocator by size of block, from `/proc/buddyinfo`, and indices of
//! its fragmentation as mm/vmstat.c computes them. Knows no frame.

use std::fs;

use process_introspection_core::Operation;

use crate::error::Error;
use crate::process::mounts::Mounts;

/// Free blocks of one zone. A block of order k is 2^k consecutive base pages at an address
/// that is a multiple of its size. Free pages in the lists of CPUs are not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FreeBlocks {
    /// NUMA node.
    pub node: u32,
    /// Name of the zone, such as `DMA32`, `Normal` or `Movable`.
    pub zone: String,
    /// Number of free blocks by order, from 0 to the largest of the kernel: 10 by default.
    pub counts: Vec<u64>,
}

impl FreeBlocks {
    /// Reads the free blocks of every zone that has memory, in the order of the kernel.
    ///
    /// ```
    /// for zone in process_introspection::FreeBlocks::read_all()? {
    ///     let index = zone.unusable_free_space_thousandths(9);
    ///     println!("{} {}: {index} of 1000 are useless for 2 MiB", zone.node, zone.zone);
    /// }
    /// # Ok::<(), process_introspection::Error>(())
    /// ```
    ///
    /// # Errors
    /// Errors of the system.
    pub fn read_all() -> Result<Vec<Self>, Error> {
        Self::read_all_in(&Mounts::new())
    }

    /// Reads the free blocks below another mount of proc.
    ///
    /// # Errors
    /// As [`FreeBlocks::read_all`].
    pub fn read_all_in(mounts: &Mounts) -> Result<Vec<Self>, Error> {
        let text = fs::read(mounts.proc().join("buddyinfo"))
            .map_err(|error| Error::of_io(&error, Operation::ReadPhysicalMap))?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    /// Returns the zones of the text of `/proc/buddyinfo`: lines of `Node 0, zone Normal`
    /// and the counts (mm/vmstat.c `frag_show_print`, 5.10 to 6.18).
    pub fn parse(text: &str) -> Vec<Self> {
        let line = |line: &str| {
            let (node, rest) = line.strip_prefix("Node ")?.split_once(',')?;
            let mut words = rest.split_whitespace();
            let (Some("zone"), Some(zone)) = (words.next(), words.next()) else {
                return None;
            };
            let counts = words.map(|word| word.parse().ok());
            Some(Self {
                node: node.trim().parse().ok()?,
                zone: zone.to_owned(),
                counts: counts.collect::<Option<_>>()?,
            })
        };
        text.lines().filter_map(line).collect()
    }

    /// Returns the number of free base pages.
    pub fn free_pages(&self) -> u64 {
        self.pages_in_blocks_of(0)
    }

    /// Returns the number of free base pages in blocks of at least this order.
    pub fn pages_in_blocks_of(&self, order: u32) -> u64 {
        let blocks = (0..).zip(&self.counts);
        let of_order = blocks.filter(|&(other, _)| other >= order);
        of_order.map(|(other, count)| count << other).sum()
    }

    /// Returns the unusable free space index of an order, in thousandths, rounded down as the
    /// kernel does: the part of free memory that is in smaller blocks, 1000 if no memory is
    /// free (`unusable_free_index` in mm/vmstat.c; `extfrag/unusable_index` in debugfs;
    /// FMFI).
    pub fn unusable_free_space_thousandths(&self, order: u32) -> u32 {
        let free = self.free_pages();
        let unusable = free - self.pages_in_blocks_of(order);
        let index = (u128::from(unusable) * 1000).checked_div(u128::from(free));
        index.map_or(1000, |index| index as u32)
    }

    /// Returns the fragmentation index of an order, in thousandths, rounded as the kernel
    /// does: -1000 if a block of the order is free, 0 if no memory is free; otherwise towards
    /// 0 an allocation fails for lack of memory, towards 1000 because of fragmentation
    /// (`__fragmentation_index` in mm/vmstat.c; `extfrag/extfrag_index` in debugfs). It is
    /// negative, too, if one block is all that is free.
    pub fn fragmentation_index_thousandths(&self, order: u32) -> i32 {
        let blocks: u64 = self.counts.iter().sum();
        if blocks == 0 {
            return 0;
        }
        if self.pages_in_blocks_of(order) > 0 {
            return -1000;
        }
        let requested = 1u128 << order;
        let free = u128::from(self.free_pages());
        let missing = (1000 + free * 1000 / requested) / u128::from(blocks);
        1000 - missing as i32
    }

    /// Returns the base pages in aligned free blocks of a size, and all free base pages;
    /// `None` if the allocator has no blocks of this order: larger ones consist of several of
    /// its blocks, which it does not count.
    pub fn pages_in_aligned_blocks(&self, order: u32) -> Option<(u64, u64)> {
        let is_counted = (order as usize) < self.counts.len();
        is_counted.then(|| (self.pages_in_blocks_of(order), self.free_pages()))
    }
}
