//! Contiguity of memory: the sizes of extents. Pure; this module does not know
//! processes.
//!
//! It keeps the number of extents of each size. Different sizes add up to no more than
//! the memory, so N pages have at most √(2N) of them: 2,290 for 10 GiB of 4 KiB pages,
//! for any layout.

use std::collections::BTreeMap;

use process_introspection_core::backing::Backing;

use crate::walk::backed::Backed;

/// Sizes of extents: memory that is consecutive in both address spaces, as a
/// scatter-gather list needs it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Contiguity {
    /// Number of extents by their size in bytes.
    sizes: BTreeMap<u64, u64>,
}

/// Counter of extents of memory, from regions as they come.
/// [`Process::summary`](crate::Process::summary) does so with a live walk.
///
/// ```
/// use process_introspection::{AddrRange, Backing, ContiguityCounter, PhysAddr};
///
/// let mut counter = ContiguityCounter::default();
/// for (page, frame) in [(1, 7), (2, 8), (4, 9)] {
///     let virt = AddrRange::new(page << 12, (page + 1) << 12).unwrap();
///     counter.push(&(virt, Backing::Ram(PhysAddr::new(frame << 12))));
/// }
/// assert_eq!(counter.finish().largest(3), [8192, 4096]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ContiguityCounter {
    counted: Contiguity,
    /// Number of extents of each small size, in units of [`UNIT`], which are not in `counted`:
    /// most, where memory is fragmented.
    small: [u64; 32],
    /// The last extent, which the next region can lengthen.
    open: Option<Open>,
}

/// Unit of small sizes: the smallest page of any architecture.
const UNIT: u64 = 4096;

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Open {
    virt_end: u64,
    phys_end: u64,
    size: u64,
}

/// The extents of at least one size, and less than its double.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ExtentClass {
    /// Minimum size in bytes, a power of two.
    pub least: u64,
    /// Number of extents.
    pub count: u64,
    /// Sum of their sizes in bytes.
    pub bytes: u64,
}

impl ContiguityCounter {
    /// Adds the next region in the order of addresses, if it is RAM.
    pub fn push(&mut self, pages: &impl Backed) {
        if let Backing::Ram(address) = pages.backing() {
            let virt = pages.virt();
            self.add(virt.start().as_u64(), address.as_u64(), virt.size());
        }
    }

    /// Adds memory; virtual addresses never decrease.
    pub(crate) fn add(&mut self, virt: u64, phys: u64, size: u64) {
        if let Some(open) = &mut self.open {
            if (open.virt_end, open.phys_end) == (virt, phys) {
                open.virt_end += size;
                open.phys_end += size;
                open.size += size;
                return;
            }
        }
        self.close();
        self.open = Some(Open {
            virt_end: virt + size,
            phys_end: phys + size,
            size,
        });
    }

    /// Returns the counted extents.
    pub fn finish(mut self) -> Contiguity {
        self.close();
        let small = (0..).zip(self.small).filter(|&(_, count)| count > 0);
        self.counted
            .sizes
            .extend(small.map(|(units, count)| (units * UNIT, count)));
        self.counted
    }

    /// Ends the last extent: what follows does not lengthen it.
    pub(crate) fn close(&mut self) {
        let Some(Open { size, .. }) = self.open.take() else {
            return;
        };
        let units = usize::try_from(size / UNIT).ok();
        let small = units.and_then(|units| self.small.get_mut(units));
        match small.filter(|_| size % UNIT == 0) {
            Some(count) => *count += 1,
            None => *self.counted.sizes.entry(size).or_default() += 1,
        }
    }
}

impl Contiguity {
    /// Returns the number of extents, which is the number of descriptors of a
    /// scatter-gather list of all the memory.
    pub fn extents(&self) -> u64 {
        self.sizes.values().sum()
    }

    /// Returns the sum of all sizes in bytes.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().map(|(size, count)| size * count).sum()
    }

    /// Returns the number of bytes in extents of at least `least` bytes.
    pub fn bytes_in_extents_of(&self, least: u64) -> u64 {
        let of_size = self.sizes.range(least..);
        of_size.map(|(size, count)| size * count).sum()
    }

    /// Returns the sizes of the largest extents, in descending order.
    pub fn largest(&self, count: usize) -> Vec<u64> {
        let each = self.sizes.iter().rev();
        let each = each.flat_map(|(&size, &times)| {
            std::iter::repeat_n(
                size,
                usize::try_from(times).unwrap_or(usize::MAX).min(count),
            )
        });
        each.take(count).collect()
    }

    /// Returns the sum of the sizes of the `count` largest extents, of all if there are
    /// fewer.
    pub fn bytes_in_largest(&self, count: u64) -> u64 {
        let mut left = count;
        let each = self.sizes.iter().rev();
        each.map(|(size, &times)| {
            let taken = times.min(left);
            left -= taken;
            size * taken
        })
        .sum()
    }

    /// Returns the minimum number of extents that have `bytes` in sum, which are the
    /// largest; `None` if all have less.
    pub fn fewest_with(&self, bytes: u64) -> Option<u64> {
        let (mut left, mut count) = (bytes, 0);
        for (&size, &times) in self.sizes.iter().rev() {
            let needed = left.div_ceil(size).min(times);
            count += needed;
            left = left.saturating_sub(size * needed);
        }
        (left == 0).then_some(count)
    }

    /// Returns the median size, for an even number the lower one of the middle two;
    /// `None` without extents.
    pub fn median(&self) -> Option<u64> {
        let middle = self.extents().div_ceil(2);
        let mut so_far = 0;
        let mut each = self.sizes.iter();
        each.find_map(|(&size, &count)| {
            so_far += count;
            (so_far >= middle).then_some(size)
        })
    }

    /// Returns the greatest size such that at least half of the memory lies in extents
    /// of at least that size; `None` without extents.
    pub fn half_in(&self) -> Option<u64> {
        let half = self.bytes().div_ceil(2);
        let mut so_far = 0;
        let mut each = self.sizes.iter().rev();
        each.find_map(|(&size, &count)| {
            so_far += size * count;
            (so_far >= half).then_some(size)
        })
    }

    /// Returns the extents by size, in classes from one power of two to the next, in
    /// ascending order, without empty classes.
    pub fn classes(&self) -> Vec<ExtentClass> {
        let mut classes: Vec<ExtentClass> = Vec::new();
        for (&size, &count) in &self.sizes {
            let least = 1 << size.ilog2();
            let bytes = size * count;
            match classes.last_mut() {
                Some(last) if last.least == least => {
                    last.count += count;
                    last.bytes += bytes;
                }
                _ => classes.push(ExtentClass {
                    least,
                    count,
                    bytes,
                }),
            }
        }
        classes
    }
}
