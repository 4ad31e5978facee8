//! How RAM is cached that drivers map: what the library says, against the leaf
//! entries of the page tables themselves. Needs a machine with a sound device
//! that does not see the processor's caches, a graphics driver and a module of
//! our own; says so where there is none.

mod device_mappings;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use device_mappings::{only, regions};
use process_introspection::{
    Backing, MappingKind, MemoryType, MemoryTypes, PhysicalRegion, Process, UnknownReason,
};
use testkit::leaf_entries::LeafEntries;
use testkit::machine::{is_disposable_or_skip, is_root_or_skip};
use testkit::memory::{self, page};
use testkit::target::Target;
use testkit::{drivers, objects};

/// The greatest buffer of the sound device.
const BUFFER: u32 = 4 << 20;

/// In KiB. So much the kernel does not have in one piece, and the driver maps it
/// page by page (`vm_insert_page`): it is listed.
const PIECES: u32 = 8 << 10;

/// Each buffer is one piece, which is mapped by its frames (`remap_pfn_range`,
/// Linux 6.12; in 5.10 all are mapped page by page).
const ONE_PIECE: u32 = 0;
const SMALL: u32 = 64 << 10;

/// One test at a time has the sound device.
fn alone() -> MutexGuard<'static, ()> {
    static SOUND: Mutex<()> = Mutex::new(());
    SOUND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sound device, if it is nobody's; prints that the test is skipped if not.
fn sound_or_skip(test: &str) -> Option<PathBuf> {
    is_disposable_or_skip(test)
        .then(|| drivers::sound_or_skip(test))
        .flatten()
}

/// The sound device, which no other test has then, and the page tables; prints
/// that the test is skipped without one of them.
fn sound_and_entries_or_skip(
    test: &str,
) -> Option<(MutexGuard<'static, ()>, PathBuf, LeafEntries)> {
    let alone = alone();
    if !is_root_or_skip(test) {
        return None;
    }
    Some((
        alone,
        sound_or_skip(test)?,
        LeafEntries::open_or_skip(test)?,
    ))
}

/// A target with a sound buffer of so much that is set aside, or not: its
/// address, and that of the status.
fn playing(path: &Path, aside: u32, bytes: u32) -> (Target, u64, u64) {
    drivers::set_sound_aside(path, aside);
    let target = Target::spawn(|| {
        let (buffer, status) = drivers::sound(path, bytes).expect("a sound buffer");
        vec![buffer, status]
    });
    let &[buffer, status] = target.addresses() else {
        panic!("{:?}", target.addresses())
    };
    (target, buffer, status)
}

fn first_frame(region: &PhysicalRegion) -> Option<u64> {
    match region.backing {
        Backing::Ram(start) => Some(start.as_u64() / page()),
        _ => None,
    }
}

/// The types that the page tables have for RAM.
fn true_types(entries: &LeafEntries, region: &PhysicalRegion) -> Vec<&'static str> {
    let first = first_frame(region).expect("RAM");
    let frames: Vec<u64> = (first..first + region.size() / page()).collect();
    let types = entries.types(region.virt.start().as_u64(), &frames);
    assert!(!types.is_empty(), "no page table has {region:x?}");
    types
}

/// Returns the memory type of a region, after asserting that each function of the library
/// returns the same.
fn said(process: &Process, region: &PhysicalRegion) -> Option<MemoryType> {
    let types = MemoryTypes::new();
    let pieces: Vec<_> = types.pieces(region).collect();
    let [(piece, memory_type)] = &pieces[..] else {
        panic!("{pieces:x?}")
    };
    assert_eq!(piece, region);
    for entry in process.page_table(region.virt).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(types.of_entry(&entry), *memory_type, "{entry:x?}");
    }
    assert!(types.says_more_of(region) || *memory_type == region.memory_type());
    *memory_type
}

#[test]
fn ram_whose_own_type_a_driver_has_changed_has_that_type() {
    let Some((_alone, path, entries)) =
        sound_and_entries_or_skip("RAM of a driver that is write-combining")
    else {
        return;
    };
    let (target, buffer, _) = playing(&path, PIECES, BUFFER);
    let process = Process::open(target.pid()).unwrap();
    let found = regions(&process, buffer, u64::from(BUFFER));
    let size: u64 = found.iter().map(PhysicalRegion::size).sum();
    assert_eq!(size, u64::from(BUFFER), "{found:x?}");
    for region in &found {
        assert_eq!(region.mapping.kind(), MappingKind::Device);
        let types = true_types(&entries, region);
        assert_eq!(types, ["write-combining"], "{region:x?}");
        let expected = Some(MemoryType::WriteCombining);
        assert_eq!(said(&process, region), expected, "{region:x?}");
    }
    println!("{} regions of {}", found.len(), path.display());
}

/// The pages of our own module: what the page tables say of each, and that the
/// library says the same in each way to ask. Prints that the test is skipped
/// where they are not to be had.
fn types_of_our_own_pages_or_skip(test: &str) -> Option<Vec<&'static str>> {
    if !is_root_or_skip(test) {
        return None;
    }
    let path = drivers::typed_ram_or_skip(test)?;
    let entries = LeafEntries::open_or_skip(test)?;
    let target = Target::spawn(|| vec![drivers::typed_ram(path).expect("its pages")]);
    let process = Process::open(target.pid()).unwrap();
    let start = target.addresses()[0];
    let region = only(&process, start, drivers::TYPED_RAM_PAGES * page());
    assert_eq!(region.mapping.kind(), MappingKind::Device);
    let first = first_frame(&region).expect("RAM");
    let truth: Vec<&str> = (0..drivers::TYPED_RAM_PAGES)
        .map(|index| {
            let types = entries.types(start + index * page(), &[first + index]);
            assert_eq!(types.len(), 1, "page {index}: {types:?}");
            types[0]
        })
        .collect();
    let expected: Vec<Option<MemoryType>> = truth
        .iter()
        .map(|name| match *name {
            // Pages whose type the module does not change may have any type in the mapping.
            "write-back" => None,
            name => MemoryType::from_name(name.as_bytes()),
        })
        .collect();
    let types = MemoryTypes::new();
    let (mut at, mut said, mut last) = (start, Vec::new(), None);
    for (piece, memory_type) in types.pieces(&region) {
        assert_eq!(piece.virt.start().as_u64(), at, "{piece:x?}");
        let frame = first + (at - start) / page();
        assert_eq!(first_frame(&piece), Some(frame), "{piece:x?}");
        assert_ne!(last, Some(memory_type), "{piece:x?}");
        last = Some(memory_type);
        let pages = (piece.size() / page()) as usize;
        said.extend(std::iter::repeat_n(memory_type, pages));
        at += piece.size();
    }
    assert_eq!(said, expected);
    let of_entries: Vec<_> = (process.page_table(region.virt).unwrap())
        .map(|entry| types.of_entry(&entry.unwrap()))
        .collect();
    assert_eq!(of_entries, expected);
    assert!(types.says_more_of(&region));
    Some(truth)
}

#[test]
fn consecutive_pages_of_several_types_are_pieces_of_one_region_with_each_its_type() {
    let test = "consecutive RAM of several types";
    if let Some(types) = types_of_our_own_pages_or_skip(test) {
        let expected = ["uncached-minus", "write-combining", "write-back"];
        assert_eq!(types[..3], expected);
    }
}

#[test]
fn ram_that_a_driver_has_made_write_through_is_so() {
    let test = "RAM of a driver that is write-through";
    match types_of_our_own_pages_or_skip(test).as_deref() {
        None | Some([_, _, _, "write-through"]) => {}
        Some([_, _, _, "write-back"]) => {
            eprintln!("SKIPPED {test}: this kernel has no call for it");
        }
        Some(types) => panic!("{types:?}"),
    }
}

#[test]
fn ram_that_a_driver_maps_as_it_is_has_no_type_because_nothing_tells_that() {
    let Some((_alone, path, entries)) =
        sound_and_entries_or_skip("RAM of a driver that is write-back")
    else {
        return;
    };
    let (target, _, status) = playing(&path, ONE_PIECE, SMALL);
    let process = Process::open(target.pid()).unwrap();
    let region = only(&process, status, page());
    assert_eq!(region.mapping.kind(), MappingKind::Device);
    assert_eq!(true_types(&entries, &region), ["write-back"], "{region:x?}");
    assert_eq!(said(&process, &region), None, "{region:x?}");
}

#[test]
fn ram_that_only_its_mapping_makes_write_combining_has_no_type() {
    let test = "mappings that are write-combining alone";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(path) = drivers::graphics_or_skip(test) else {
        return;
    };
    let Some(entries) = LeafEntries::open_or_skip(test) else {
        return;
    };
    let target = Target::spawn(|| {
        let (card, shared) = drivers::graphics(&path, 4).expect("a buffer");
        vec![card, shared]
    });
    let process = Process::open(target.pid()).unwrap();
    for &at in target.addresses() {
        let found = regions(&process, at, 4 * page());
        let name = found[0].mapping.name().as_path();
        println!("{name:?}: {:?}", found[0].mapping.kind());
        // In 6.12 its pages have the type themselves, and are mapped as frames.
        if found.iter().all(|region| first_frame(region).is_none()) {
            eprintln!("SKIPPED {test}: vgem's are not listed");
            continue;
        }
        for region in &found {
            let types = true_types(&entries, region);
            assert_eq!(types, ["write-combining"], "{region:x?}");
            assert_eq!(said(&process, region), None, "{region:x?}");
        }
    }
}

#[test]
fn ram_of_a_driver_that_the_page_map_leaves_out_is_unknown_and_has_no_type() {
    let test = "RAM of drivers that is not listed";
    let _alone = alone();
    if !is_root_or_skip(test) {
        return;
    }
    let mut targets = Vec::new();
    if let Some(path) = sound_or_skip(test) {
        let (target, buffer, _) = playing(&path, ONE_PIECE, SMALL);
        targets.push((target, vec![buffer]));
    }
    if let Some(path) = drivers::graphics_or_skip(test) {
        let pages = SMALL / page() as u32;
        let target = Target::spawn(|| {
            let (card, shared) = drivers::graphics(&path, pages).expect("a buffer");
            vec![card, shared]
        });
        let places = target.addresses().to_vec();
        targets.push((target, places));
    }
    for (target, places) in targets {
        let process = Process::open(target.pid()).unwrap();
        for at in places {
            let found = regions(&process, at, u64::from(SMALL));
            let kind = found[0].mapping.kind();
            if found.iter().any(|region| first_frame(region).is_some()) {
                eprintln!("SKIPPED {test}: of {kind:?} it is listed");
                continue;
            }
            let region = only(&process, at, u64::from(SMALL));
            let reason = match kind {
                MappingKind::Device => UnknownReason::Driver,
                _ => UnknownReason::KernelPages,
            };
            assert_eq!(region.backing, Backing::Unknown(reason), "{region:x?}");
            assert_eq!(said(&process, &region), None, "{region:x?}");
        }
    }
}

#[test]
fn rings_of_the_kernel_and_ordinary_memory_are_write_back() {
    let test = "rings of the kernel";
    if !is_root_or_skip(test) {
        return;
    }
    let entries = LeafEntries::open_or_skip("their leaf entries");
    type Make = fn() -> io::Result<u64>;
    let memory: [(&str, Make); 5] = [
        ("anonymous memory", || {
            let at = memory::anonymous(page());
            memory::touch(at, 1, 1);
            Ok(at)
        }),
        ("io_uring", objects::io_uring),
        ("perf event", objects::perf_event),
        ("aio", objects::aio_ring),
        ("BPF array", objects::bpf_array),
    ];
    for (what, make) in memory {
        let target = Target::spawn(|| make().into_iter().collect());
        let Some(&at) = target.addresses().first() else {
            eprintln!("SKIPPED {test}: {what} cannot be made");
            continue;
        };
        let process = Process::open(target.pid()).unwrap();
        let region = only(&process, at, page());
        if first_frame(&region).is_none() {
            eprintln!("SKIPPED {test}: {what} is not listed");
            continue;
        }
        if let Some(entries) = &entries {
            assert_eq!(true_types(entries, &region), ["write-back"], "{what}");
        }
        let expected = Some(MemoryType::WriteBack);
        assert_eq!(said(&process, &region), expected, "{what}: {region:x?}");
    }
}
