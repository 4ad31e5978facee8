//! Resources and nodes of machines whose files are written here.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use process_introspection::{
    AddrRange, Backing, Device, HugePageSettings, Mapping, MappingKind, MappingParts, PageSize,
    PhysAddr, PhysicalKind, PhysicalMap, PhysicalRegion, Protection, SummaryAccumulator, Unlisted,
};
use testkit::random::Random;

/// Files of a machine; removed also when a test fails.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Makes memory blocks of 256 pages, by their numbers, with the nodes that have
    /// links to them.
    fn blocks(&self, blocks: &[(u64, &[u32])]) -> &Self {
        let size = format!("{:x}\n", 0x100 * page());
        self.file("sys/devices/system/memory/block_size_bytes", size);
        for (block, nodes) in blocks {
            for node in *nodes {
                let link = format!("sys/devices/system/node/node{node}/memory{block}");
                fs::create_dir_all(self.0.path().join(link)).unwrap();
            }
        }
        self
    }

    /// Writes the zones of nodes, from one page to another.
    fn zones(&self, zones: &[(u32, u64, u64)]) -> &Self {
        let zone = |&(node, start, end): &(u32, u64, u64)| {
            let pages = end - start;
            format!(
                "Node {node}, zone   Normal\n  pages free     1\n        spanned  {pages}\n        \
                 present  {pages}\n        protection: (0, 1, 2)\n  start_pfn:           {start}\n\
                 Node 5, zone  Movable\n        spanned  0\n        present  0\n"
            )
        };
        let zones: String = zones.iter().map(zone).collect();
        self.file("proc/zoneinfo", zones)
    }

    fn map(&self) -> PhysicalMap {
        let root: PathBuf = self.0.path().into();
        PhysicalMap::read_from(root.join("proc"), root.join("sys")).unwrap()
    }

    /// Returns the nodes of the first pages, as the first page of each part and its node.
    fn nodes(&self, pages: u64) -> Vec<(u64, Option<u32>)> {
        let map = self.map();
        let mut at = 0;
        let parts = map.nodes_of(PhysAddr::new(0), pages * page());
        let parts = parts.map(|(node, size)| {
            let start = at / page();
            at += size;
            (start, node)
        });
        parts.collect()
    }
}

fn page() -> u64 {
    PageSize::base().bytes()
}

const IOMEM: &str = "\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
000a0000-000fffff : Reserved
  000f0000-000fffff : System ROM
00100000-bfffffff : System RAM
  01000000-0220bb07 : Kernel code
c0000000-febfffff : PCI Bus 0000:00
  c0000000-c0000fff : 0000:00:01.0
    c0000000-c0000fff : virtio-pci-modern
fec00000-fec003ff : IOAPIC 0
fed00000-fed00fff : Reserved
  fed00000-fed003ff : HPET 0
fee00000-fee00fff : ACPI Non-volatile Storage
100000000-1ffffffff : Persistent Memory
  100000000-13fffffff : namespace0.0
  140000000-1ffffffff : dax1.0
    140000000-1ffffffff : System RAM (kmem)
";

#[test]
fn an_address_is_in_all_ranges_around_it_and_in_no_other() {
    use PhysicalKind as K;
    let machine = Machine::new();
    let map = machine.file("proc/iomem", IOMEM).map();
    for (address, path, kind) in [
        (0x0, "Reserved", K::Reserved),
        (0x1000, "System RAM", K::SystemRam),
        (0x9fbff, "System RAM", K::SystemRam),
        (0x9fc00, "", K::Unclaimed),
        (0xf0000, "Reserved > System ROM", K::Firmware),
        (0x1000000, "System RAM > Kernel code", K::SystemRam),
        (0x220bb08, "System RAM", K::SystemRam),
        (
            0xc0000800,
            "PCI Bus 0000:00 > 0000:00:01.0 > virtio-pci-modern",
            K::Pci,
        ),
        (0xc0001000, "PCI Bus 0000:00", K::Pci),
        (0xfec00000, "IOAPIC 0", K::Device),
        (0xfed00000, "Reserved > HPET 0", K::Device),
        (0xfed00400, "Reserved", K::Reserved),
        (0xfee00000, "ACPI Non-volatile Storage", K::Firmware),
        (
            0x100000000,
            "Persistent Memory > namespace0.0",
            K::PersistentMemory,
        ),
        (
            0x140000000,
            "Persistent Memory > dax1.0 > System RAM (kmem)",
            K::SystemRam,
        ),
        (u64::MAX, "", K::Unclaimed),
    ] {
        let place = map.at(PhysAddr::new(address));
        let names: Vec<_> = place.resources.iter().map(|found| &*found.name).collect();
        assert_eq!(names.join(" > "), path, "{address:#x}");
        assert_eq!(place.kind, Some(kind), "{address:#x}");
    }
    assert_eq!(map.last_of_ram(), Some(PhysAddr::new(0x1_ffff_ffff)));
}

#[test]
fn zeros_are_never_taken_for_ranges() {
    let zeros: String = IOMEM
        .lines()
        .map(|line| {
            let depth = line.len() - line.trim_start().len();
            let name = line.split_once(" : ").unwrap().1;
            format!("{:depth$}00000000-00000000 : {name}\n", "")
        })
        .collect();
    let machine = Machine::new();
    for text in [&*zeros, ""] {
        assert!(!machine.file("proc/iomem", text).map().sees_resources());
    }
}

#[test]
fn lines_that_are_none_are_left_out() {
    let machine = Machine::new();
    let text = b"garbage\n2-1 : backwards\n+1-2 : sign\n10-1f : a : b\n\xff\n";
    let map = machine.file("proc/iomem", text).map();
    let names = |address| -> Vec<String> {
        let found = map.at(PhysAddr::new(address)).resources.into_iter();
        found.map(|resource| resource.name.clone()).collect()
    };
    assert_eq!(names(0x10), ["a : b"]);
    for address in [0, 1, 2, 0x20] {
        assert!(names(address).is_empty(), "{address}");
    }
    assert_eq!(map.last_claimed(), Some(PhysAddr::new(0x1f)));
}

#[test]
fn zones_without_blocks_tell_the_node_where_they_do_not_interleave() {
    let machine = Machine::new();
    machine.zones(&[(0, 1, 5), (0, 5, 20), (1, 10, 15), (2, 30, 40)]);
    let expected = [
        (0, None),
        (1, Some(0)),
        (10, None),
        (15, Some(0)),
        (20, None),
        (30, Some(2)),
        (40, None),
    ];
    assert_eq!(machine.nodes(50), expected);
}

#[test]
fn a_block_of_one_node_is_that_nodes_and_neighbours_are_joined() {
    let machine = Machine::new();
    machine.blocks(&[(0, &[0]), (1, &[0]), (3, &[0]), (4, &[1])]);
    let expected = [
        (0, Some(0)),
        (0x200, None),
        (0x300, Some(0)),
        (0x400, Some(1)),
    ];
    assert_eq!(machine.nodes(0x500), expected);
}

#[test]
fn a_block_of_two_nodes_is_divided_by_the_zones() {
    let machine = Machine::new();
    machine.blocks(&[(0, &[0]), (1, &[0, 1]), (2, &[1])]);
    let (first, second) = ((0, Some(0)), Some(1));
    let mut zones = vec![(0, 0, 0x140), (1, 0x140, 0x300)];
    assert_eq!(machine.zones(&zones).nodes(0x300), [first, (0x140, second)]);
    // The zone of a node without a link to the block does not count.
    zones.push((2, 0, 0x300));
    assert_eq!(machine.zones(&zones).nodes(0x300), [first, (0x140, second)]);
    // Where zones of both overlap, the node is not known.
    let expected = [first, (0x140, None), (0x180, second)];
    zones[0].2 = 0x180;
    assert_eq!(machine.zones(&zones).nodes(0x300), expected);
    let expected = [first, (0x100, None), (0x200, second)];
    assert_eq!(machine.zones(&[]).nodes(0x300), expected);
}

#[test]
fn a_range_has_a_node_only_if_all_of_it_has_that_node() {
    let machine = Machine::new();
    machine.blocks(&[(0x10, &[0]), (0x20, &[1]), (0x21, &[1]), (0x40, &[1])]);
    machine.blocks(&[(0x11, &[0])]);
    let map = machine.map();
    let block = 0x100 * page();
    let mut expected = BTreeMap::from([(0x10, 0), (0x11, 0), (0x20, 1), (0x21, 1), (0x40, 1)]);
    let at = |block: u64, size: u64, before: u64| {
        map.node_of(PhysAddr::new(block * 0x100 * page() - before), size)
    };
    for number in 1..0x50 {
        let node = expected.remove(&number);
        assert_eq!(at(number, block, 0), node, "{number:#x}");
        assert_eq!(at(number, 1, 0), node, "{number:#x}");
        assert_eq!(at(number + 1, 1, 1), node, "{number:#x}");
    }
    assert_eq!(at(0x10, 2 * block, 0), Some(0));
    assert_eq!(at(0x11, 2, 1), Some(0));
    for (border, size) in [
        (0x10, 2),
        (0x12, 2),
        (0x20, 2),
        (0x22, 2),
        (0x40, block),
        (0x41, 2),
    ] {
        assert_eq!(at(border, size, 1), None, "{border:#x}");
    }
    assert_eq!(map.node_of(PhysAddr::new(u64::MAX), 2), None);
}

#[test]
fn only_ram_has_a_node() {
    let machine = Machine::new();
    machine.blocks(&[(0, &[0]), (1, &[1])]);
    let range = |from: u64, to: u64| format!("{:x}-{:x}", from * page(), to * page() - 1);
    let ram = [range(0x10, 0x20), range(0x80, 0x180), range(0x1f0, 0x400)];
    let ram: String = ram
        .iter()
        .map(|range| format!("{range} : System RAM\n"))
        .collect();
    machine.file("proc/iomem", ram);
    let expected = [
        (0, None),
        (0x10, Some(0)),
        (0x20, None),
        (0x80, Some(0)),
        (0x100, Some(1)),
        (0x180, None),
        (0x1f0, Some(1)),
        (0x200, None),
    ];
    assert_eq!(machine.nodes(0x300), expected);
}

#[test]
fn parts_are_all_of_a_range_each_with_its_own_node() {
    let machine = Machine::new();
    let map = machine.blocks(&[(1, &[0]), (2, &[1]), (4, &[0])]).map();
    let block = 0x100 * page();
    let of = |start, size| map.nodes_of(PhysAddr::new(start), size).collect::<Vec<_>>();
    assert_eq!(of(block + 2, 3), [(Some(0), 3)]);
    let both = [(Some(0), block - 2), (Some(1), 3)];
    assert_eq!(of(block + 2, block + 1), both);
    let all = [
        (None, 5),
        (Some(0), block),
        (Some(1), block),
        (None, block),
        (Some(0), block),
        (None, 7),
    ];
    assert_eq!(of(block - 5, 4 * block + 12), all);
    assert_eq!(of(6 * block, 4), [(None, 4)]);
    assert_eq!(of(block, 0), []);
}

#[test]
fn a_summary_counts_memory_on_the_node_of_each_of_its_pages() {
    let machine = Machine::new();
    machine.blocks(&[(0, &[0]), (1, &[1]), (2, &[1]), (4, &[0]), (5, &[2])]);
    let (map, settings) = (machine.map(), HugePageSettings::default());
    let mapping = |pages: u64, kind| {
        Arc::new(Mapping::from_parts(MappingParts {
            range: AddrRange::new(pages * page(), (pages + 1_000_000) * page()).unwrap(),
            protection: Protection::new(true, true, false),
            shared: false,
            offset: 0,
            device: Device { major: 0, minor: 0 },
            inode: 0,
            page_size: Some(PageSize::base()),
            kind,
            unlisted: Unlisted::Nothing,
            name: Box::default(),
        }))
    };
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let mut counted = SummaryAccumulator::new(PageSize::base(), &map, &settings, None);
        let mut expected = Vec::new();
        for (first, kind) in [
            (1 << 20, MappingKind::Heap),
            (1 << 21, MappingKind::Anonymous),
        ] {
            let mapping = mapping(first, kind);
            let (mut at, mut nodes) = (first, BTreeMap::<Option<u32>, u64>::new());
            for _ in 0..random.below(40) {
                let (frame, pages) = (random.below(0x700), 1 + random.below(300));
                let address = |page_of_it| PhysAddr::new((frame + page_of_it) * page());
                for node in (0..pages).map(|of_it| map.node_of(address(of_it), page())) {
                    *nodes.entry(node).or_default() += page();
                }
                let virt = AddrRange::new(at * page(), (at + pages) * page()).unwrap();
                let backing = Backing::Ram(address(0));
                let region = PhysicalRegion::new(virt, backing, true, Arc::clone(&mapping));
                counted.push(&region, None, &[]);
                at += pages + random.below(2);
            }
            expected.extend((at > first).then_some(nodes));
        }
        let summary = counted.finish(None);
        let mut of_kinds = summary.nodes_of_kinds.unwrap();
        // Kinds have an order of their own.
        if summary.kinds.first().map(|&(kind, _)| kind) == Some(MappingKind::Anonymous) {
            of_kinds.reverse();
        }
        assert_eq!(of_kinds, expected, "seed {seed}");
        let mut all = BTreeMap::new();
        for (node, bytes) in expected.into_iter().flatten() {
            *all.entry(node).or_default() += bytes;
        }
        assert_eq!(summary.nodes, Some(all), "seed {seed}");
    }
}
