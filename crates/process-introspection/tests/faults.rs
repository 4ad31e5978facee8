//! Faults at every system call of every walk: each ends in the very list or in
//! the right error, with no descriptor left. The faults and the table of what
//! may become of them are `testkit::faults`.

use std::ops::ControlFlow;

use process_introspection::{
    Error, ExtentBacking, Mapping, PhysicalRegion, Process, Target as Pid, UniquePid,
};
use process_introspection_core::flags::QnxFlags;
use testkit::alone::is_alone;
use testkit::faults::{try_all, Given, Tally, Walk};
use testkit::machine::is_root_or_skip;
use testkit::memory::page;
use testkit::target::Target;
use testkit::varied::{Varied, DENSE};

/// Flags that only a look at the object tells.
const KINDS: u32 = QnxFlags::ELF.bits() | QnxFlags::PHYS.bits();

fn number_of(text: &[u8]) -> u64 {
    let mix = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

fn kind_of(mapping: &Mapping, of: u32) -> u64 {
    (mapping.kind() as u64) << 32 | u64::from(of & KINDS)
}

fn of_mapping(mapping: &Mapping) -> Given {
    let flags = mapping.flags().bits();
    Given {
        facts: [
            mapping.range.start().as_u64(),
            mapping.range.end().as_u64(),
            u64::from(flags & !KINDS),
            mapping.offset,
            mapping.inode << 32 | u64::from(mapping.device.encoded()),
            number_of(mapping.name().as_bytes()),
        ],
        kind: kind_of(mapping, flags),
    }
}

fn of_region(region: &PhysicalRegion) -> Given {
    let flags = region.flags().bits();
    Given {
        facts: [
            region.virt.start().as_u64(),
            region.virt.end().as_u64(),
            u64::from(flags & !KINDS),
            region.offset(),
            number_of(format!("{:?}", region.backing).as_bytes()),
            number_of(region.mapping.name().as_bytes()),
        ],
        kind: kind_of(&region.mapping, flags),
    }
}

type Found = Result<(), Error>;

fn virtual_regions(process: &Process, given: &mut Vec<Given>) -> Found {
    for mapping in process.virtual_regions(..)? {
        let mapping = mapping?;
        given.push(of_mapping(&mapping));
    }
    Ok(())
}

fn physical_regions(process: &Process, given: &mut Vec<Given>) -> Found {
    for region in process.physical_regions(..)? {
        given.push(of_region(&region?));
    }
    Ok(())
}

fn in_parallel(process: &Process, given: &mut Vec<Given>) -> Found {
    process.walk(..).threads(3).for_each(|region| {
        given.push(of_region(region));
        ControlFlow::Continue(())
    })
}

/// As pages where there are some: what is mapped by huge entries, which divides
/// regions, is not known without the scan.
fn resident_regions(process: &Process, given: &mut Vec<Given>) -> Found {
    for region in process.resident_regions(..)? {
        let region = region?;
        let (start, end) = (region.virt.start().as_u64(), region.virt.end().as_u64());
        let size = match region.backing.is_backed() {
            true => page(),
            false => end - start,
        };
        let backing = number_of(format!("{:?}", region.backing).as_bytes());
        for at in (start..end).step_by(size as usize) {
            given.push(Given {
                facts: [at, at + size, backing, 0, 0, 0],
                kind: kind_of(&region.mapping, region.mapping.flags().bits()),
            });
        }
    }
    Ok(())
}

/// As pages, because leaves are base pages where the kernel does not tell.
fn page_table(process: &Process, given: &mut Vec<Given>, varied: &Varied) -> Found {
    for entry in process.page_table(varied.around_huge())? {
        let entry = entry?;
        let (start, end) = (entry.virt.start().as_u64(), entry.virt.end().as_u64());
        for at in (start..end).step_by(page() as usize) {
            let backing = format!("{:?}", entry.backing.further(at - start));
            let facts = [at, number_of(backing.as_bytes()), entry.offset(), 0, 0, 0];
            given.push(Given { facts, kind: 0 });
        }
    }
    Ok(())
}

fn extents(process: &Process, given: &mut Vec<Given>, varied: &Varied) -> Found {
    let range = varied.dense + 100..varied.dense + DENSE * page() - 7;
    for extent in process.extents(range)? {
        let extent = extent?;
        let phys = extent.phys().map_or(0, |phys| phys.as_u64());
        let is_ram = matches!(extent.backing, ExtentBacking::Ram(_));
        let start = extent.virt.start().as_u64();
        let facts = [start, extent.len(), phys, u64::from(is_ram), 0, 0];
        given.push(Given { facts, kind: 0 });
    }
    Ok(())
}

fn one_address(process: &Process, given: &mut Vec<Given>, varied: &Varied) -> Found {
    for at in [varied.dense, varied.huge, 1 << 62] {
        let address = process.physical_address(at)?;
        let address = address.map_or(0, |address| address.as_u64());
        let facts = [at, address, 0, 0, 0, 0];
        given.push(Given { facts, kind: 0 });
    }
    Ok(())
}

fn object(process: &Process, given: &mut Vec<Given>, varied: &Varied) -> Found {
    let object = process.object_at(varied.file + 5)?;
    given.extend(object.map(|object| Given {
        kind: of_mapping(&object.mapping).kind
            ^ object.linked_address.map_or(0, |linked| linked.as_u64()),
        ..of_mapping(&object.mapping)
    }));
    Ok(())
}

fn memory(process: &Process, given: &mut Vec<Given>, varied: &Varied) -> Found {
    let mut bytes = [0; 3 * 4096];
    process.read_memory(varied.dense + 1, &mut bytes)?;
    let facts = [number_of(&bytes), 0, 0, 0, 0, 0];
    given.push(Given { facts, kind: 0 });
    Ok(())
}

/// Opens a target and walks it, by the ways that remain without some ioctls.
fn try_walk(
    name: &str,
    target: impl Into<Pid> + Copy,
    (no_query, no_scan): (bool, bool),
    walk: impl Fn(&Process, &mut Vec<Given>) -> Found,
) -> Tally {
    let run = |given: &mut Vec<Given>| {
        let mut opened_and_walked = || {
            let process = Process::open(target)?;
            process.as_core().disable_features(no_query, no_scan);
            walk(&process, given)
        };
        opened_and_walked().map_err(|error: Error| error.errno())
    };
    try_all(&Walk {
        name,
        has_runtime: true,
        first_thread_ended: name.starts_with("first thread ended"),
        reads_optional_files: false,
        run: &run,
    })
}

const EVERYTHING: (bool, bool) = (false, false);

#[test]
fn faults_in_a_virtual_walk() {
    if !is_root_or_skip("faults in a virtual walk") {
        return;
    }
    let (target, _) = Varied::spawn();
    for (name, without) in [("virtual", EVERYTHING), ("virtual by text", (true, false))] {
        try_walk(name, target.pid(), without, virtual_regions);
    }
}

#[test]
fn faults_in_a_physical_walk() {
    if !is_root_or_skip("faults in a physical walk") {
        return;
    }
    let (target, _) = Varied::spawn();
    for (name, without) in [
        ("physical", EVERYTHING),
        ("physical by text", (true, false)),
        ("physical without scans", (false, true)),
        ("physical by text without scans", (true, true)),
    ] {
        try_walk(name, target.pid(), without, physical_regions);
    }
    try_walk("resident", target.pid(), EVERYTHING, resident_regions);
}

#[test]
fn faults_in_a_walk_by_several_threads() {
    if !is_root_or_skip("faults in a walk by several threads") {
        return;
    }
    if !is_alone("faults_in_a_walk_by_several_threads") {
        return;
    }
    let (target, _) = Varied::spawn();
    try_walk("in parallel", target.pid(), EVERYTHING, in_parallel);
}

#[test]
fn faults_in_a_page_table_walk() {
    if !is_root_or_skip("faults in a page-table walk") {
        return;
    }
    let (target, varied) = Varied::spawn();
    let walk = |process: &_, given: &mut _| page_table(process, given, &varied);
    try_walk("page table", target.pid(), EVERYTHING, walk);
    try_walk(
        "page table without scans",
        target.pid(),
        (false, true),
        walk,
    );
}

#[test]
fn faults_in_looking_at_one_place() {
    if !is_root_or_skip("faults in looking at one place") {
        return;
    }
    let (target, varied) = Varied::spawn();
    let pid = target.pid();
    let walk = |process: &_, given: &mut _| extents(process, given, &varied);
    try_walk("extents", pid, EVERYTHING, walk);
    let walk = |process: &_, given: &mut _| one_address(process, given, &varied);
    try_walk("one address", pid, EVERYTHING, walk);
    let walk = |process: &_, given: &mut _| memory(process, given, &varied);
    try_walk("memory", pid, EVERYTHING, walk);
    let walk = |process: &_, given: &mut _| object(process, given, &varied);
    try_walk("object", pid, EVERYTHING, walk);
    try_walk("object by text", pid, (true, false), walk);
}

#[test]
fn faults_in_opening_by_a_unique_pid() {
    if !is_root_or_skip("faults in opening by a unique PID") {
        return;
    }
    let (target, varied) = Varied::spawn();
    let unique = Pid::from(UniquePid::of(target.pid()).unwrap());
    let walk = |process: &_, given: &mut _| memory(process, given, &varied);
    try_walk("by the pidfd's inode", unique, EVERYTHING, walk);
    let by_start_time = Pid::Unique {
        pid: target.pid(),
        mark: start_time(&target) & 0x3fff_ffff | 1 << 30,
    };
    try_walk("by the start time", by_start_time, EVERYTHING, walk);
    let run = |given: &mut Vec<Given>| {
        let unique = UniquePid::of(target.pid()).map_err(|error| error.errno())?;
        let facts = [unique.as_i64() as u64, 0, 0, 0, 0, 0];
        given.push(Given { facts, kind: 0 });
        Ok(())
    };
    try_all(&Walk {
        name: "unique PID",
        has_runtime: true,
        first_thread_ended: false,
        reads_optional_files: false,
        run: &run,
    });
}

fn start_time(target: &Target) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", target.pid())).unwrap();
    let after_name = stat.rsplit(") ").next().unwrap();
    let ticks: u64 = after_name.split(' ').nth(19).unwrap().parse().unwrap();
    ticks as u32
}

#[test]
fn faults_where_the_first_thread_has_ended() {
    if !is_root_or_skip("faults where the first thread has ended") {
        return;
    }
    let (target, _) = Varied::spawn_without_first_thread();
    try_walk(
        "first thread ended",
        target.pid(),
        EVERYTHING,
        virtual_regions,
    );
}

#[test]
fn faults_in_walking_oneself() {
    if !is_root_or_skip("faults in walking oneself") {
        return;
    }
    // Made before the child that walks is forked, and left alone by it.
    let varied = Varied::make();
    for (name, without) in [("oneself", EVERYTHING), ("oneself by text", (true, false))] {
        try_walk(name, Pid::Caller, without, |process, given| {
            for region in process.physical_regions(varied.around_huge())? {
                given.push(of_region(&region?));
            }
            for region in process.physical_regions(varied.dense..varied.dense + 99 * page())? {
                given.push(of_region(&region?));
            }
            object(process, given, &varied)
        });
    }
}
