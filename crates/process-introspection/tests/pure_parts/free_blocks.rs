//! Free blocks of zones, and the indices of their fragmentation.

use process_introspection::FreeBlocks;
use testkit::random::Random;

const TEXT: &str = "\
Node 0, zone      DMA      0      0      0      0      0      0      0      0      1      1      3 
Node 0, zone   Normal      1      0      0      0      0      0      0      0      0      0      0 
Node 1, zone  Movable      0      0      0      0      0      0      0      0      0      0      0 
";

fn zone(counts: &[u64]) -> FreeBlocks {
    let counts: Vec<_> = counts.iter().map(u64::to_string).collect();
    let text = format!("Node 3, zone   Normal {}\n", counts.join(" "));
    FreeBlocks::parse(&text).pop().unwrap()
}

#[test]
fn zones_have_the_counts_of_the_text() {
    let zones = FreeBlocks::parse(TEXT);
    let names: Vec<_> = zones.iter().map(|zone| (zone.node, &*zone.zone)).collect();
    assert_eq!(names, [(0, "DMA"), (0, "Normal"), (1, "Movable")]);
    assert_eq!(zones[0].counts, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 3]);
    assert_eq!(zones[0].free_pages(), 256 + 512 + 3 * 1024);
    assert_eq!(FreeBlocks::parse("Node 0, zone Normal 1 x 2\n\nNode x"), []);
}

/// Values of extfrag in debugfs that follow from mm/vmstat.c by hand.
#[test]
fn indices_are_rounded_as_the_kernel_does() {
    let [dma, one, none] = <[FreeBlocks; 3]>::try_from(FreeBlocks::parse(TEXT)).unwrap();
    // 256 of 3840 pages are in smaller blocks: 66.67 thousandths.
    assert_eq!(dma.unusable_free_space_thousandths(9), 66);
    assert_eq!(dma.unusable_free_space_thousandths(8), 0);
    assert_eq!(dma.fragmentation_index_thousandths(10), -1000);
    assert_eq!(one.unusable_free_space_thousandths(0), 0);
    assert_eq!(one.unusable_free_space_thousandths(1), 1000);
    // 1000 - (1000 + 1 * 1000 / 2) / 1.
    assert_eq!(one.fragmentation_index_thousandths(1), -500);
    assert_eq!(one.fragmentation_index_thousandths(9), -1);
    assert_eq!(none.unusable_free_space_thousandths(0), 1000);
    assert_eq!(none.fragmentation_index_thousandths(0), 0);
    // 1000 - (1000 + 2000000 / 512) / 2000 = 1000 - 4906 / 2000.
    assert_eq!(zone(&[2000]).fragmentation_index_thousandths(9), 998);
}

#[test]
fn indices_are_those_of_the_definitions_block_by_block() {
    for seed in 0..1000 {
        let mut random = Random::new(seed);
        let most = [1, 3, 50, 1 << 40][random.below(4) as usize];
        let mut count = || random.below(most);
        let counts: Vec<u64> = (0..11).map(|_| count()).collect();
        let zone = zone(&counts);
        for order in 0..11u32 {
            let (mut free, mut suitable, mut blocks) = (0u128, 0u128, 0u128);
            for (k, &count) in counts.iter().enumerate() {
                let count = u128::from(count);
                free += count << k;
                blocks += count;
                if k >= order as usize {
                    suitable += count << (k - order as usize);
                }
            }
            let unusable = match free {
                0 => 1000,
                _ => (free - (suitable << order)) * 1000 / free,
            };
            let index = zone.unusable_free_space_thousandths(order);
            assert_eq!(u128::from(index), unusable, "{counts:?} {order}");
            let fragmentation = match (blocks, suitable) {
                (0, _) => 0,
                (_, 1..) => -1000,
                (_, 0) => 1000 - ((1000 + free * 1000 / (1 << order)) / blocks) as i128,
            };
            let index = zone.fragmentation_index_thousandths(order);
            assert_eq!(i128::from(index), fragmentation, "{counts:?} {order}");
            let aligned = zone.pages_in_aligned_blocks(order).unwrap();
            assert_eq!(u128::from(aligned.0), suitable << order);
            assert_eq!(u128::from(aligned.1), free);
        }
        // Blocks that are larger than those of the allocator.
        assert_eq!(zone.pages_in_aligned_blocks(11), None);
        assert_eq!(zone.pages_in_aligned_blocks(18), None);
    }
}
