//! What is at a physical address, held against what the kernel says of this
//! process's own pages by other ways: `move_pages`, sysfs read backwards.

use std::fs;
use std::io;
use std::path::Path;

use process_introspection::{
    FrameFlags, Frames, PageSize, PhysAddr, PhysicalKind, PhysicalMap, Process,
};
use testkit::machine::is_root_or_skip;
use testkit::memory::{self, page};
use testkit::target::Target;

/// The numbers in a list such as `0-2,5`.
fn list(text: &str) -> Vec<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let ranges = text.trim().split(',').filter(|range| !range.is_empty());
    ranges
        .flat_map(|range| match range.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(range)..=number(range),
        })
        .collect()
}

/// The nodes that have memory; only node 0 where the kernel knows of none.
fn nodes_with_memory() -> Vec<u64> {
    match fs::read_to_string("/sys/devices/system/node/has_memory") {
        Ok(text) => list(&text),
        Err(_) => vec![0],
    }
}

/// Pages that the kernel is told to take from a node. Node 0 of a kernel
/// without NUMA needs no telling.
fn pages_of_node(node: u64, count: u64) -> u64 {
    const MPOL_BIND: usize = 2;
    let at = memory::anonymous(count * page());
    let mut mask = [0usize; 1024 / usize::BITS as usize];
    mask[(node / u64::from(usize::BITS)) as usize] |= 1 << (node % u64::from(usize::BITS));
    let bits = mask.len() * usize::BITS as usize;
    // SAFETY: a mapping made for this, and a mask with its length.
    let bound = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            at as usize,
            (count * page()) as usize,
            MPOL_BIND,
            mask.as_ptr(),
            bits,
            0usize,
        )
    };
    let error = io::Error::last_os_error();
    assert!(
        bound == 0 || error.raw_os_error() == Some(libc::ENOSYS),
        "mbind to node {node}: {error}"
    );
    memory::touch(at, count, 1);
    at
}

/// The nodes of pages, by `move_pages`; only node 0 on a kernel without NUMA.
fn nodes_by_move_pages(pages: &[u64]) -> Vec<u32> {
    /// Before Linux 6.16 a 64-bit kernel finds only so many addresses of a 32-bit
    /// program: for the next ones it steps over as many of 64 bits (mm/migrate.c
    /// `do_pages_stat`, 5b1b561ba73c to 10d04c26ab2b).
    const AT_ONCE: usize = 16;
    let mut nodes = Vec::with_capacity(pages.len());
    for pages in pages.chunks(AT_ONCE) {
        let mut status = [-1i32; AT_ONCE];
        let pages: Vec<usize> = pages.iter().map(|&at| at as usize).collect();
        // SAFETY: so many addresses, no nodes to move to, as many places for a
        // status.
        let result = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0usize,
                pages.len(),
                pages.as_ptr(),
                std::ptr::null::<i32>(),
                status.as_mut_ptr(),
                0usize,
            )
        };
        let error = io::Error::last_os_error();
        if result != 0 {
            assert_eq!(error.raw_os_error(), Some(libc::ENOSYS), "{error}");
            status = [0; AT_ONCE];
        }
        let node = |status: &i32| u32::try_from(*status).unwrap_or_else(|_| panic!("{status}"));
        nodes.extend(status[..pages.len()].iter().map(node));
    }
    nodes
}

/// The blocks of memory that belong to several nodes, and the size of a block.
fn divided_blocks() -> (Vec<u64>, u64) {
    let size = fs::read_to_string(format!("{MEMORY}/block_size_bytes")).unwrap_or_default();
    let size = u64::from_str_radix(size.trim(), 16).unwrap_or(1);
    let mut divided = Vec::new();
    for entry in fs::read_dir(MEMORY).into_iter().flatten() {
        let block = entry.unwrap().path();
        let name = block.file_name().unwrap().to_str().unwrap();
        let number = name
            .strip_prefix("memory")
            .and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|_| nodes_of_block(&block).len() > 1) {
            divided.push(number);
        }
    }
    (divided, size)
}

const MEMORY: &str = "/sys/devices/system/memory";

/// The nodes that a block links to.
fn nodes_of_block(block: &Path) -> Vec<u32> {
    let links = fs::read_dir(block).unwrap();
    let names = links.map(|link| link.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| name.strip_prefix("node")?.parse().ok())
        .collect()
}

#[test]
fn a_page_has_the_node_that_the_kernel_took_it_from() {
    if !is_root_or_skip("a_page_has_the_node_that_the_kernel_took_it_from") {
        return;
    }
    const PAGES: u64 = 16 << 10;
    let map = PhysicalMap::read().unwrap();
    let process = Process::current().unwrap();
    let nodes = nodes_with_memory();
    assert!(!nodes.is_empty());
    let (divided, block) = divided_blocks();
    let mut on_a_border = 0;
    for &node in &nodes {
        let start = pages_of_node(node, PAGES);
        let pages: Vec<u64> = (0..PAGES).map(|index| start + index * page()).collect();
        let expected = nodes_by_move_pages(&pages);
        for (&address, &expected) in pages.iter().zip(&expected) {
            assert_eq!(u64::from(expected), node, "the kernel did as it was told");
            let physical = process.physical_address(address).unwrap().unwrap();
            let place = map.at(physical);
            assert_eq!(place.node, Some(expected), "{physical:?}");
            assert_eq!(map.node_of(physical, page()), Some(expected));
            assert_eq!(place.kind, Some(PhysicalKind::SystemRam), "{place:?}");
            on_a_border += u64::from(divided.contains(&(physical.as_u64() / block)));
        }
        memory::unmap(start, PAGES * page());
    }
    assert_eq!(map.has_several_nodes(), nodes.len() > 1);
    println!("nodes {nodes:?}; {on_a_border} pages in divided blocks {divided:?}");
}

/// The blocks' own links to nodes, the other way round from what the map reads.
#[test]
fn every_block_of_memory_has_the_node_that_it_links_to() {
    if !is_root_or_skip("every_block_of_memory_has_the_node_that_it_links_to") {
        return;
    }
    let Ok(size) = fs::read_to_string(format!("{MEMORY}/block_size_bytes")) else {
        eprintln!("SKIPPED: this kernel has no memory blocks");
        return;
    };
    let size = u64::from_str_radix(size.trim(), 16).unwrap();
    let map = PhysicalMap::read().unwrap();
    let (mut whole, mut divided) = (0, 0);
    for entry in fs::read_dir(MEMORY).unwrap() {
        let block = entry.unwrap().path();
        let Ok(index) = fs::read_to_string(block.join("phys_index")) else {
            continue;
        };
        let start = u64::from_str_radix(index.trim(), 16).unwrap() * size;
        let nodes = nodes_of_block(&block);
        for at in (start..start + size).step_by(size as usize / 64) {
            let place = map.at(PhysAddr::new(at));
            let ram = place.kind == Some(PhysicalKind::SystemRam);
            match (&nodes[..], ram) {
                (&[node], true) => assert_eq!(place.node, Some(node), "{at:#x}"),
                (_, true) => assert!(place.node.is_none_or(|node| nodes.contains(&node))),
                (_, false) => assert_eq!(place.node, None, "{at:#x} {place:?}"),
            }
        }
        match nodes.len() {
            0 => {}
            1 => whole += 1,
            _ => divided += 1,
        }
    }
    println!("{whole} blocks of one node, {divided} of several");
    assert!(whole + divided > 0 || nodes_with_memory() == [0]);
}

#[test]
fn memory_of_several_nodes_has_none() {
    if !is_root_or_skip("memory_of_several_nodes_has_none") {
        return;
    }
    let map = PhysicalMap::read().unwrap();
    // From one end of RAM to the other, with what lies between.
    let ram = |address: &u64| map.at(PhysAddr::new(*address)).kind == Some(PhysicalKind::SystemRam);
    let addresses = (0..1 << 32).step_by(1 << 16);
    let lowest = addresses.into_iter().find(ram).unwrap();
    assert!(map.node_of(PhysAddr::new(lowest), 1).is_some());
    assert_eq!(map.node_of(PhysAddr::new(lowest), u64::MAX - lowest), None);
    assert_eq!(map.node_of(PhysAddr::new(u64::MAX), 1), None);
}

#[test]
fn without_the_privilege_resources_are_hidden_and_nodes_are_not() {
    if !is_root_or_skip("without_the_privilege_resources_are_hidden_and_nodes_are_not") {
        return;
    }
    let own = memory::anonymous(page());
    memory::touch(own, 1, 1);
    let process = Process::current().unwrap();
    let physical = process.physical_address(own).unwrap().unwrap();
    let seen = PhysicalMap::read().unwrap();
    assert!(seen.sees_resources());
    let target = Target::spawn(|| {
        // SAFETY: plain numbers.
        assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
        let map = PhysicalMap::read().unwrap();
        let place = map.at(physical);
        let frames = Frames::open().unwrap_err();
        vec![
            u64::from(map.sees_resources()),
            u64::from(place.kind.is_some()),
            place.resources.len() as u64,
            place.node.map_or(u64::MAX, u64::from),
            u64::from(frames.is_permission_denied()),
        ]
    });
    let node = seen.at(physical).node.map_or(u64::MAX, u64::from);
    assert_eq!(target.addresses(), [0, 0, 0, node, 1]);
}

#[test]
fn places_are_those_of_the_files_that_are_named() {
    let root = tempfile::tempdir().unwrap();
    let (proc, sys) = (root.path().join("proc"), root.path().join("sys"));
    let node = |number: u32| sys.join(format!("devices/system/node/node{number}"));
    let file = |path: std::path::PathBuf, text: &str| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    // Nothing there at all: nothing is known, and that is no error.
    let map = PhysicalMap::read_from(&proc, &sys).unwrap();
    assert!(!map.sees_resources());
    assert_eq!(map.at(PhysAddr::new(0)).node, None);

    file(proc.join("iomem"), "00000000-0fffffff : System RAM\n");
    file(
        sys.join("devices/system/memory/block_size_bytes"),
        "8000000\n",
    );
    fs::create_dir_all(node(0).join("memory0")).unwrap();
    fs::create_dir_all(node(2).join("memory1")).unwrap();
    let map = PhysicalMap::read_from(&proc, &sys).unwrap();
    assert!(map.sees_resources() && map.has_several_nodes());
    let of = |start, size| map.node_of(PhysAddr::new(start), size);
    assert_eq!(of(0, 0x8000000), Some(0));
    assert_eq!(of(0x8000000, 0x8000000), Some(2));
    assert_eq!(of(0x7fff000, 0x2000), None);

    // A block of both, and the spans tell where one ends.
    fs::create_dir_all(node(0).join("memory1")).unwrap();
    let spans = "Node 0, zone DMA\n  spanned  36864\n  start_pfn: 0\n\
                 Node 2, zone DMA32\n  spanned  28672\n  start_pfn: 36864\n";
    file(proc.join("zoneinfo"), spans);
    let map = PhysicalMap::read_from(&proc, &sys).unwrap();
    let border = 36864 * PageSize::base().bytes();
    if border == 36864 << 12 {
        let of = |start, size| map.node_of(PhysAddr::new(start), size);
        assert_eq!((of(0, border), of(border, 0x1000)), (Some(0), Some(2)));
        assert_eq!(of(border - 1, 2), None);
    }
}

#[test]
fn the_frame_of_an_own_page_is_anonymous_and_mapped_once() {
    if !is_root_or_skip("the_frame_of_an_own_page_is_anonymous_and_mapped_once") {
        return;
    }
    let own = memory::anonymous(page());
    memory::touch(own, 1, 1);
    let process = Process::current().unwrap();
    let physical = process.physical_address(own).unwrap().unwrap();
    let frame = physical.pfn(PageSize::base());
    let frames = Frames::open().unwrap();
    let (mut flags, mut counts) = ([FrameFlags::default()], [0]);
    assert_eq!(frames.read_flags(frame, &mut flags).unwrap(), 1);
    assert_eq!(frames.read_mapcounts(frame, &mut counts).unwrap(), 1);
    let expected = FrameFlags::ANON | FrameFlags::MMAP | FrameFlags::SWAPBACKED;
    assert!(flags[0].contains(expected), "{:?}", flags[0]);
    assert_eq!(counts, [1]);
    memory::unmap(own, page());
    // Past the last frame there is nothing to read.
    let past = process_introspection::Pfn::new(u64::MAX >> 16);
    assert_eq!(frames.read_flags(past, &mut flags).unwrap(), 0);
    let past = process_introspection::Pfn::new(u64::MAX);
    assert_eq!(frames.read_mapcounts(past, &mut counts).unwrap(), 0);
}
