//! Sizes of extents, compared with a list of all of them.

use process_introspection::{AddrRange, Backing, ContiguityCounter, PhysAddr};
use testkit::random::Random;

/// Counts page by page, and keeps everything.
fn naive(pages: &[(u64, u64)]) -> Vec<u64> {
    let mut sizes: Vec<u64> = Vec::new();
    for (index, &(virt, phys)) in pages.iter().enumerate() {
        let goes_on = index > 0 && pages[index - 1] == (virt.wrapping_sub(1), phys.wrapping_sub(1));
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
            let range = AddrRange::new(virt << 12, (virt + length) << 12).unwrap();
            counter.push(&(range, Backing::Ram(PhysAddr::new(phys << 12))));
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
