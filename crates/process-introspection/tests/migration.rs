//! Pages that the kernel moves from node to node all the while they are looked
//! at: they are where they were seen by the page map after some move, or said to
//! be on the move, and never absent or anywhere else. Needs a machine with
//! several NUMA nodes; says so where it has one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use process_introspection::{Backing, Process, UnknownReason};
use testkit::machine::{is_root_or_skip, HugePages};
use testkit::memory::{self, huge, page};
use testkit::oracle::Pagemap;
use testkit::target::Target;

const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// How long is looked at each sort of page.
const LONG: Duration = Duration::from_secs(2);

/// So few moves show nothing.
const MOVES: usize = 20;

/// The nodes that have memory; prints that the test is skipped with one.
fn nodes_or_skip(test: &str) -> Vec<i32> {
    let list = std::fs::read_to_string("/sys/devices/system/node/has_memory").unwrap_or_default();
    let mut nodes = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<i32>().expect("a node");
        nodes.extend(number(first)..=number(last));
    }
    if nodes.len() < 2 {
        eprintln!("SKIPPED {test}: one NUMA node");
        nodes.clear();
    }
    nodes
}

/// Moves the pages at these addresses of another process to a node; how many
/// are there now.
fn move_pages(pid: u32, at: &[u64], node: i32) -> usize {
    const MPOL_MF_MOVE: libc::c_int = 2;
    let pages: Vec<usize> = at.iter().map(|&at| at as usize).collect();
    let (nodes, mut status) = (vec![node; at.len()], vec![-1; at.len()]);
    // SAFETY: live arrays of this many elements.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            pid,
            pages.len(),
            pages.as_ptr(),
            nodes.as_ptr(),
            status.as_mut_ptr(),
            MPOL_MF_MOVE,
        )
    };
    let moved = status.iter().filter(|&&status| status == node).count();
    // A positive number is that of pages that could not be moved.
    if result < 0 {
        0
    } else {
        moved
    }
}

/// What was seen of a page.
#[derive(Debug, Default)]
struct Seen {
    frames: BTreeSet<u64>,
    under_way: usize,
}

/// Moves `count` pages of `size` bytes while they are looked at in each way.
/// `may_be_unknown`: the page map does not tell that such a page is on the move.
fn look(test: &str, at: u64, target: &Target, count: u64, size: u64, may_be_unknown: bool) {
    let nodes = nodes_or_skip(test);
    if nodes.is_empty() {
        return;
    }
    let addresses: Vec<u64> = (0..count).map(|index| at + index * size).collect();
    let done = AtomicBool::new(false);
    let pid = target.pid();
    let (moves, known) = thread::scope(|scope| {
        let mover = scope.spawn(|| {
            let pagemap = Pagemap::open(pid);
            let mut known = vec![BTreeSet::new(); addresses.len()];
            let mut moves = 0;
            let mut note = || {
                for (frames, &at) in known.iter_mut().zip(&addresses) {
                    let entry = pagemap.entry(at);
                    assert!(entry & PRESENT != 0, "{entry:#x}: nobody else moves it");
                    frames.insert(entry & FRAME);
                }
            };
            note();
            for node in nodes.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                moves += move_pages(pid, &addresses, *node);
                note();
            }
            (moves, known)
        });
        let seen = thread::scope(|inner| {
            let seen = inner
                .spawn(|| watch(pid, at, count, size, may_be_unknown))
                .join();
            done.store(true, Ordering::Relaxed);
            seen
        });
        let (moves, known) = mover.join().expect("the mover");
        let seen = seen.expect("the watcher");
        for (index, (seen, known)) in seen.iter().zip(&known).enumerate() {
            let wrong: Vec<_> = seen.frames.difference(known).collect();
            assert!(wrong.is_empty(), "page {index} was never at {wrong:x?}");
        }
        (moves, seen)
    });
    let under_way: usize = known.iter().map(|seen| seen.under_way).sum();
    let places: usize = known.iter().map(|seen| seen.frames.len()).sum();
    println!("{moves} moves, {places} places, {under_way} times seen on the move");
    assert!(
        moves > MOVES && places > count as usize,
        "nothing was moved"
    );
}

fn watch(pid: u32, at: u64, count: u64, size: u64, may_be_unknown: bool) -> Vec<Seen> {
    let mut seen: Vec<Seen> = (0..count).map(|_| Seen::default()).collect();
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        for no_scan in [false, true] {
            let process = Process::open(pid).unwrap();
            process.as_core().disable_features(false, no_scan);
            for region in process.physical_regions(at..at + count * size).unwrap() {
                let region = region.unwrap();
                let start = region.virt.start().as_u64();
                for offset in (0..region.size()).step_by(page() as usize) {
                    let into = start + offset - at;
                    let of_page = &mut seen[(into / size) as usize];
                    match region.backing.further(offset) {
                        Backing::Ram(address) => {
                            // That of the page that it is a part of.
                            let first = address.as_u64() - into % size;
                            of_page.frames.insert(first / page());
                        }
                        Backing::Migrating => of_page.under_way += 1,
                        Backing::Unknown(UnknownReason::HugePage) if may_be_unknown => {
                            of_page.under_way += 1;
                        }
                        // Its frame was asked for when it had arrived already.
                        Backing::Unknown(UnknownReason::Frame) => of_page.under_way += 1,
                        _ => panic!("{:#x} of {region:x?}", start + offset),
                    }
                }
            }
        }
    }
    seen
}

#[test]
fn small_pages_on_the_move_are_where_they_were_seen_or_on_the_move() {
    const TEST: &str = "small pages on the move";
    if !is_root_or_skip(TEST) {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(64 * page());
        memory::touch(at, 64, 1);
        vec![at]
    });
    look(TEST, target.addresses()[0], &target, 64, page(), false);
}

#[test]
fn transparent_huge_pages_on_the_move_are_where_they_were_seen_or_on_the_move() {
    const TEST: &str = "transparent huge pages on the move";
    if !is_root_or_skip(TEST) {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::aligned(4 * huge(), huge());
        memory::advise(at, 4 * huge(), libc::MADV_HUGEPAGE);
        memory::touch(at, 4, huge() / page());
        vec![at]
    });
    let at = target.addresses()[0];
    let pagemap = Pagemap::open(target.pid());
    let is_huge = |at: u64| {
        let [first, last] = [at, at + huge() - page()].map(|at| pagemap.entry(at) & FRAME);
        first + huge() / page() - 1 == last
    };
    if !(0..4).all(|index| is_huge(at + index * huge())) {
        return eprintln!("SKIPPED {TEST}: the kernel gave small pages");
    }
    look(TEST, at, &target, 4, huge(), false);
}

#[test]
fn hugetlb_pages_on_the_move_are_where_they_were_seen_and_never_absent() {
    const TEST: &str = "hugetlb pages on the move";
    if !is_root_or_skip(TEST) {
        return;
    }
    // The kernel takes them from all nodes in turn.
    let Some(reserved) = HugePages::reserve(12, TEST) else {
        return;
    };
    let size = reserved.size();
    let target = Target::spawn(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let at = memory::map(2 * size, flags, -1);
        memory::touch(at, 2, size / page());
        vec![at]
    });
    look(TEST, target.addresses()[0], &target, 2, size, true);
}
