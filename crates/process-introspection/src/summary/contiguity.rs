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
    /// The last extent, which the next region can lengthen.
    open: Option<Open>,
}

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
        self.counted
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            *self.counted.sizes.entry(open.size).or_default() += 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::random::Random;

    /// Counts page by page, and keeps everything.
    fn naive(pages: &[(u64, u64)]) -> Vec<u64> {
        let mut sizes: Vec<u64> = Vec::new();
        for (index, &(virt, phys)) in pages.iter().enumerate() {
            let goes_on =
                index > 0 && pages[index - 1] == (virt.wrapping_sub(1), phys.wrapping_sub(1));
            match sizes.last_mut() {
                Some(last) if goes_on => *last += 4096,
                _ => sizes.push(4096),
            }
        }
        sizes.sort_unstable();
        sizes
    }

    #[test]
    fn what_is_told_of_extents_is_what_their_list_tells() {
        for seed in 0..1000 {
            let mut random = Random::new(seed);
            let (mut counter, mut pages) = (ContiguityCounter::default(), Vec::new());
            let (mut virt, mut phys) = (16, 1000);
            for _ in 0..random.below(60) {
                let hole = random.below(3);
                let (jump, length) = (random.below(4), 1 + random.below(39));
                virt += hole;
                phys += 2 * jump;
                counter.add(virt << 12, phys << 12, length << 12);
                pages.extend((0..length).map(|page| (virt + page, phys + page)));
                virt += length;
                phys += length;
            }
            let contiguity = counter.finish();
            let sizes = naive(&pages);
            assert_eq!(contiguity.extents(), sizes.len() as u64, "seed {seed}");
            assert_eq!(contiguity.bytes(), pages.len() as u64 * 4096);
            let median = (!sizes.is_empty()).then(|| sizes[(sizes.len() - 1) / 2]);
            assert_eq!(contiguity.median(), median);
            let mut largest = sizes.clone();
            largest.reverse();
            largest.truncate(5);
            assert_eq!(contiguity.largest(5), largest);
            let of = |least: u64| sizes.iter().filter(|&&size| size >= least).sum::<u64>();
            for least in [4096, 65536, 100_000] {
                assert_eq!(contiguity.bytes_in_extents_of(least), of(least));
            }
            let half = sizes
                .iter()
                .rev()
                .find(|&&size| 2 * of(size) >= of(0))
                .copied();
            assert_eq!(contiguity.half_in(), half);
            let classes = contiguity.classes();
            assert!(classes.windows(2).all(|two| two[0].least < two[1].least));
            for class in classes {
                let within: Vec<_> = sizes
                    .iter()
                    .filter(|&&size| (class.least..2 * class.least).contains(&size))
                    .collect();
                assert_eq!(class.count, within.len() as u64);
                assert_eq!(class.bytes, within.into_iter().sum::<u64>());
            }
        }
    }
}
