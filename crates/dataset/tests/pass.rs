//! A pass over a snapshot returns the regions of each process that were stored.

mod support;

use process_introspection::{Attributed, PageSize, PhysicalRegion, RegionSource};
use process_introspection_dataset::lake::{LakeError, RegionPass, When};
use process_introspection_dataset::tables::regions::RegionRow;
use process_introspection_export::State as PageState;
use support::{
    add, begin, mapping_row, process_row, region_row, region_rows, select, snapshot_row, ADDRESS,
    HOST, MAPPED, NOON,
};
use tempfile::TempDir;

fn regions(pass: &mut RegionPass, unique_pid: u64) -> Vec<Attributed<PhysicalRegion>> {
    let mut source = pass.process(unique_pid);
    let mut all = Vec::new();
    while let Some(region) = source.next_region().expect("a region") {
        all.push(region.clone());
    }
    all
}

/// Checks regions with their rows.
fn assert_same(found: &[Attributed<PhysicalRegion>], rows: &[RegionRow]) {
    assert_eq!(found.len(), rows.len());
    for (found, row) in found.iter().zip(rows) {
        assert_eq!(found.virt.start().as_u64(), row.vpn << 12);
        assert_eq!(found.virt.size(), row.pages << 12);
        let address = found.backing.address();
        assert_eq!(address.map(|address| address.as_u64() >> 12), row.pfn);
        assert_eq!(PageState::from(found.backing), row.state);
        assert_eq!(found.anonymous, row.anonymous);
        assert_eq!(found.page_size.map(PageSize::bytes), row.page_size);
        assert_eq!(found.mapping.range.start().as_u64(), row.mapping_vaddr.0);
    }
}

#[test]
fn a_pass_returns_the_regions_of_each_process() {
    let root = TempDir::new().unwrap();
    let mut writer = begin(root.path(), HOST, NOON, false);
    // More than a row group, and process 79 without regions.
    let (many, few) = (region_rows(78, 140_000), region_rows(90, 12));
    add(&mut writer, 78, &many);
    add(&mut writer, 79, &[]);
    add(&mut writer, 90, &few);
    // Mappings of one page, more than a batch.
    writer.process(&process_row(91)).unwrap();
    let scattered: Vec<_> = (0..20_000)
        .map(|at| {
            let vaddr = ADDRESS + (at << 13);
            writer.mapping(&mapping_row(91, vaddr, 1)).unwrap();
            region_row(91, vaddr, 0, MAPPED[at as usize % MAPPED.len()])
        })
        .collect();
    scattered.iter().for_each(|row| writer.region(row).unwrap());
    writer.finish(snapshot_row()).unwrap();

    let snapshot = select(root.path(), When::Latest);
    let mut pass = snapshot.region_pass(None).unwrap();
    assert_same(&regions(&mut pass, 5), &[]);
    assert_same(&regions(&mut pass, 78), &many);
    assert_same(&regions(&mut pass, 79), &[]);
    assert_same(&regions(&mut pass, 90), &few);
    assert_same(&regions(&mut pass, 91), &scattered);
    assert_same(&regions(&mut pass, 92), &[]);

    // Processes can be left out.
    let mut pass = snapshot.region_pass(None).unwrap();
    assert_same(&regions(&mut pass, 90), &few);
    let mut pass = snapshot.region_pass(Some(91)).unwrap();
    assert_same(&regions(&mut pass, 90), &[]);
    assert_same(&regions(&mut pass, 91), &scattered);
    // The rest is not needed.
    drop(snapshot.region_pass(None).unwrap());
}

#[test]
fn rows_that_contradict_each_other_are_an_error() {
    let row = region_row(78, ADDRESS, 1, PageState::Ram);
    for wrong in [
        // In no mapping, before the last region, without an address.
        RegionRow {
            mapping_vaddr: process_introspection_export::Hex(ADDRESS - 4096),
            ..row.clone()
        },
        RegionRow {
            vpn: ADDRESS >> 12,
            ..row.clone()
        },
        RegionRow {
            pfn: None,
            ..row.clone()
        },
    ] {
        let root = TempDir::new().unwrap();
        let mut writer = begin(root.path(), HOST, NOON, false);
        writer.mapping(&mapping_row(78, ADDRESS, 4)).unwrap();
        let first = region_row(78, ADDRESS, 0, PageState::Zero);
        writer.region(&first).unwrap();
        writer.region(&wrong).unwrap();
        writer.finish(snapshot_row()).unwrap();
        let snapshot = select(root.path(), When::Latest);
        let mut pass = snapshot.region_pass(None).unwrap();
        let mut source = pass.process(78);
        let error = loop {
            match source.next_region() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{wrong:?} is no error"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, LakeError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("of process 78"), "{error}");
    }
}
