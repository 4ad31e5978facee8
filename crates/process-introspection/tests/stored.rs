//! Records that are made of stored facts have the results of those of the walk.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use process_introspection::{
    all_pids, AddrRange, Attributed, Backing, Error, FrameFlags, JoinedRegions, Mapping,
    MappingKind, MappingParts, PageSize, PhysAddr, PhysicalMap, PhysicalRegion, Process,
    Protection, ResidentOfPhysical, SwapPlace, UnknownReason, Unlisted, Walk,
};
use testkit::machine::{has_page_scan_or_skip, is_root_or_skip, HugePages};
use testkit::memory::{self, page};
use testkit::target::Target;
use testkit::varied::Varied;

/// Returns a region of facts alone, and its mapping of facts alone.
fn rebuilt(region: &PhysicalRegion) -> PhysicalRegion {
    let mapping = Arc::new(Mapping::from_parts(region.mapping.parts()));
    PhysicalRegion::new(region.virt, region.backing, region.anonymous, mapping)
}

#[test]
fn a_region_of_stored_facts_has_the_results_of_the_walk() {
    if !is_root_or_skip("regions of stored facts") {
        return;
    }
    let (target, _) = Varied::spawn();
    let mut kinds = HashSet::new();
    let mut regions = 0;
    let others = all_pids().unwrap().into_iter().map(Process::open);
    let processes = others.chain([Process::open(target.pid())]);
    for process in processes.flatten() {
        // Processes come and go: an error ends one walk.
        let _ = process.walk(..).thread_stacks().for_each(|region| {
            let again = rebuilt(region);
            assert_eq!(again, region.pages);
            assert_eq!(again.flags(), region.flags());
            assert_eq!(again.offset(), region.offset());
            assert_eq!(again.memory_type(), region.pages.memory_type());
            assert_eq!(again.mapping.flags(), region.mapping.flags());
            assert_eq!(again.mapping.kind(), region.mapping.kind());
            assert_eq!(again.mapping.name(), region.mapping.name());
            let mut attributed = Attributed::new(again);
            attributed.node = region.node;
            attributed.memory_type = region.memory_type;
            attributed.page_size = region.page_size;
            assert_eq!(attributed, *region);
            kinds.insert(region.mapping.kind());
            regions += 1;
            ControlFlow::Continue(())
        });
    }
    assert!(regions > 1000, "{regions} regions");
    for kind in [
        MappingKind::Anonymous,
        MappingKind::Elf,
        MappingKind::SharedMemory,
        MappingKind::Stack,
        MappingKind::Vvar,
    ] {
        assert!(kinds.contains(&kind), "{kind:?} in {kinds:?}");
    }
}

#[test]
fn every_fact_of_a_mapping_changes_the_mapping() {
    let process = Process::current().unwrap();
    let mapping = process.virtual_regions(..).unwrap().next().unwrap();
    let mapping = mapping.unwrap();
    let parts = mapping.parts();
    let changes: [fn(&mut MappingParts); 10] = [
        |parts| parts.range = AddrRange::new(0, 1 << 40).unwrap(),
        |parts| parts.protection = Protection::new(false, true, false),
        |parts| parts.shared ^= true,
        |parts| parts.offset ^= 1 << 30,
        |parts| parts.device.minor ^= 1,
        |parts| parts.inode ^= 1,
        |parts| parts.page_size = PageSize::from_bytes(1 << 30),
        |parts| parts.kind = MappingKind::DmaBuf,
        |parts| parts.unlisted = Unlisted::Unknown(UnknownReason::Driver),
        |parts| parts.name = b"other".as_slice().into(),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut changed = parts.clone();
        change(&mut changed);
        let other = Mapping::from_parts(changed.clone());
        assert_ne!(other, *mapping, "change {index}");
        assert_eq!(other.parts(), changed, "change {index}");
    }
}

#[test]
fn a_walk_without_addresses_has_the_mappings_of_one_with_them() {
    if !is_root_or_skip("mappings without addresses") {
        return;
    }
    let (target, _) = Varied::spawn();
    let process = Process::open(target.pid()).unwrap();
    let layout: Vec<_> = process.virtual_regions(..).unwrap().flatten().collect();
    let mut mappings = Vec::<Arc<Mapping>>::new();
    for region in process.physical_regions(..).unwrap() {
        let mapping = Arc::new(region.unwrap().mapping.without_addresses());
        if mappings.last() != Some(&mapping) {
            mappings.push(mapping);
        }
    }
    assert_eq!(mappings, layout);
}

/// Memory of every kind that differs with and without addresses.
fn spawn_all_kinds() -> Target {
    Target::spawn(|| {
        let shared = memory::map(64 * page(), libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1);
        memory::touch(shared, 9, 5);
        let zero = memory::dev_zero(64 * page(), page());
        memory::read(zero, 30);
        memory::touch(zero + 7 * page(), 4, 2);
        let huge_zero = memory::dev_zero(2 * memory::huge(), memory::huge());
        memory::advise(huge_zero, 2 * memory::huge(), libc::MADV_HUGEPAGE);
        memory::read(huge_zero, 1);
        let guarded = memory::anonymous(100 * page());
        memory::touch(guarded, 60, 1);
        memory::advise(
            guarded + 10 * page(),
            20 * page(),
            memory::MADV_GUARD_INSTALL,
        );
        let swapped = memory::anonymous(100 * page());
        memory::touch(swapped, 100, 1);
        // Where there is swap space, some or all of it is used.
        memory::advise(swapped, 70 * page(), libc::MADV_PAGEOUT);
        // Huge pages, of which every other one is mapped by base pages again: neighbours
        // that have consecutive frames are regions of two sizes.
        let many = memory::many_huge();
        let huge = memory::huge();
        let mixed = memory::aligned(many * huge, huge);
        memory::advise(mixed, many * huge, libc::MADV_HUGEPAGE);
        memory::touch(mixed, many, huge / page());
        for block in (0..many).step_by(2) {
            memory::protect(mixed + block * huge, page(), libc::PROT_READ);
            memory::protect(
                mixed + block * huge,
                page(),
                libc::PROT_READ | libc::PROT_WRITE,
            );
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        if let Ok(at) = memory::try_map(2 * memory::huge(), access, flags, -1, 0) {
            memory::touch(at, 1, 1);
        }
        // Keeps the sizes of pages from here on.
        Varied::make();
        vec![]
    })
}

/// Returns the regions of a walk.
fn regions(walk: Walk<'_>) -> Vec<Attributed<PhysicalRegion>> {
    let mut regions = Vec::new();
    let walked = walk.for_each(|region| {
        regions.push(region.clone());
        ControlFlow::Continue(())
    });
    walked.unwrap();
    regions
}

/// Facts of a region's pages: numbers of entries that map them, flags that the kernel does
/// not change by itself, and their number.
type Counts = (Vec<(u64, u64)>, Vec<(u32, u64)>, u64);

/// Returns regions without the facts of their pages, and these apart.
fn counted(
    regions: &[Attributed<PhysicalRegion>],
) -> Vec<(Attributed<PhysicalRegion>, Option<Counts>)> {
    let counts = |region: &Attributed<PhysicalRegion>| -> Option<Counts> {
        let facts = region.facts.as_ref()?;
        // Others map the pages of files too, and the kernel changes some flags.
        if region.mapping.kind() != MappingKind::Anonymous {
            return Some((vec![], vec![], facts.entries()));
        }
        let mut mapped: Vec<_> = facts.times_mapped().collect();
        mapped.sort_unstable();
        let kept = FrameFlags::MMAP | FrameFlags::ANON | FrameFlags::COMPOUND_TAIL;
        let flags = facts.frame_flags();
        let flags = flags.filter(|&(bit, _)| kept.bits() >> bit & 1 == 1);
        Some((mapped, flags.collect(), facts.entries()))
    };
    let plain = |region: &Attributed<PhysicalRegion>| {
        let mut plain = region.clone();
        plain.facts = None;
        (plain, counts(region))
    };
    regions.iter().map(plain).collect()
}

/// Calls `compare` until the pages of the process did not move meanwhile, and no other
/// process that shares them began or ended.
fn while_nothing_moves(process: &Process, mut compare: impl FnMut() -> Result<(), String>) {
    let walk = || counted(&regions(process.walk(..).split_page_sizes().details()));
    let mut before = walk();
    for _ in 0..100 {
        let compared = compare();
        let after = walk();
        if before == after {
            return compared.unwrap();
        }
        before = after;
    }
    panic!("pages never come to rest");
}

/// Returns the first difference of two lists.
fn difference<T: PartialEq + std::fmt::Debug>(made: &[T], live: &[T]) -> Result<(), String> {
    let same = made.iter().zip(live).take_while(|(a, b)| a == b).count();
    match same == made.len() && same == live.len() {
        true => Ok(()),
        false => Err(format!(
            "after {same}: {:x?} instead of {:x?}",
            made.get(same),
            live.get(same)
        )),
    }
}

#[test]
fn resident_regions_follow_from_physical_ones() {
    let test = "resident regions of physical ones";
    if !is_root_or_skip(test) || !has_page_scan_or_skip(test) {
        return;
    }
    let _huge = HugePages::reserve(2, test);
    let target = spawn_all_kinds();
    target.stop();
    let process = Process::open(target.pid()).unwrap();
    let mut states = HashSet::new();
    while_nothing_moves(&process, || {
        let parts = process.walk(..).split_page_sizes().iter().unwrap();
        let stored = parts.map(|part| {
            let part = part?;
            let mut stored = Attributed::new(rebuilt(&part));
            stored.page_size = part.page_size;
            Ok::<_, Error>(stored)
        });
        let made = ResidentOfPhysical::new(stored, process.page_size());
        let made: Vec<_> = made.map(Result::unwrap).collect();
        let live = process.resident_regions(..).unwrap();
        let live: Vec<_> = live.map(Result::unwrap).collect();
        states.extend(live.iter().map(|region| (region.backing, region.huge)));
        difference(&made, &live)
    });
    for huge in [false, true] {
        assert!(
            states.contains(&(Backing::Resident, Some(huge))),
            "{states:?}"
        );
    }
    assert!(
        states.contains(&(Backing::NotPresent, Some(false))),
        "{states:?}"
    );
}

#[test]
fn parts_of_one_page_size_are_parts_of_the_regions_of_a_walk() {
    if !is_root_or_skip("parts of one page size") {
        return;
    }
    let target = spawn_all_kinds();
    target.stop();
    let process = Process::open(target.pid()).unwrap();
    let map = PhysicalMap::read().unwrap();
    let walk = || process.walk(..).memory_types().nodes(&map);
    let mut split = 0;
    for details in [false, true] {
        while_nothing_moves(&process, || {
            let details = |walk: Walk<'_>| match details {
                true => regions(walk.details()),
                false => regions(walk),
            };
            let parts = details(walk().split_page_sizes());
            let live = details(walk().page_sizes());
            split = parts.len() - live.len();
            for part in &parts {
                let size = process.page_size_of(part).unwrap();
                if part.page_size != size {
                    return Err(format!("{size:?}: {part:x?}"));
                }
            }
            let joined = JoinedRegions::new(parts.into_iter().map(Ok::<_, Error>));
            let joined: Vec<_> = joined.map(Result::unwrap).collect();
            difference(&counted(&joined), &counted(&live))
        });
    }
    if split == 0 {
        eprintln!("SKIPPED regions of several page sizes: no huge pages with consecutive frames");
    }
}

#[test]
fn a_part_of_a_region_has_the_backing_of_its_first_page() {
    let process = Process::current().unwrap();
    let mapping = process
        .virtual_regions(..)
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let range = |start, end| AddrRange::new(start, end).unwrap();
    let place = Some(SwapPlace { area: 1, offset: 7 });
    for (whole, first, later) in [
        (
            Backing::Ram(PhysAddr::new(0x9000)),
            Backing::Ram(PhysAddr::new(0x9000)),
            Backing::Ram(PhysAddr::new(0xb000)),
        ),
        (
            Backing::Swapped(place),
            Backing::Swapped(place),
            Backing::Swapped(None),
        ),
        (
            Backing::NotPresent,
            Backing::NotPresent,
            Backing::NotPresent,
        ),
    ] {
        let region = PhysicalRegion::new(range(0x1000, 0x5000), whole, true, mapping.clone());
        let part = |start, end| region.within(range(start, end));
        assert_eq!(part(0, 0x2000).unwrap().virt, range(0x1000, 0x2000));
        assert_eq!(part(0, 0x2000).unwrap().backing, first);
        assert_eq!(part(0x3000, 0x9000).unwrap().virt, range(0x3000, 0x5000));
        assert_eq!(part(0x3000, 0x9000).unwrap().backing, later);
        assert_eq!(part(0x5000, 0x9000), None);
    }
}
