//! Records that are made of stored facts have the results of those of the walk.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use process_introspection::{
    all_pids, AddrRange, Attributed, Mapping, MappingKind, MappingParts, PageSize, PhysicalRegion,
    Process, Protection, UnknownReason, Unlisted,
};
use testkit::machine::is_root_or_skip;
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
