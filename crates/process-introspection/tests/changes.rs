//! Changes of this process's own memory: page for page as its own bookkeeping, which reads
//! the page map and `maps` with code that shares nothing with the crate.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use process_introspection::{
    compare_regions, AddrRange, Error, MappingChanges, MemoryChanges, Process, Recording,
};
use testkit::machine::{has_page_scan, is_disposable_or_skip, is_root_or_skip};
use testkit::memory::{self, huge, page};
use testkit::oracle::{areas, Pagemap};

const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// Page of a file, or shared anonymous memory.
const OBJECT: u64 = 1 << 61;
const FRAME: u64 = (1 << 55) - 1;
const MADV_PAGEOUT: i32 = 21;
const MADV_COLLAPSE: i32 = 25;

/// Page by its own entry.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Page {
    Unmapped,
    Empty,
    Swap,
    Memory { frame: u64, is_object: bool },
}

/// Object that a page is mapped from: device, inode, offset less address, sharing.
type Object = ((u32, u32), u64, u64, bool);

/// Memory of this process, apart from all other.
struct Place {
    process: Process,
    pagemap: Pagemap,
    start: u64,
    size: u64,
    zero: u64,
}

/// Addresses of the next place. They are far below those that the kernel chooses, from the
/// highest down: a mapping of another test must not come into a hole of a place.
static NEXT: AtomicU64 = AtomicU64::new(match size_of::<usize>() {
    4 => 1 << 29,
    _ => 1 << 36,
});

impl Place {
    fn new(size: u64) -> Self {
        let size = size.next_multiple_of(huge());
        // Addresses without access keep other mappings from becoming one with these.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let whole = size + 3 * huge();
        let at = NEXT.fetch_add(whole, Ordering::Relaxed);
        let at = memory::try_map_free(at, whole, libc::PROT_NONE, flags).expect("addresses");
        let start = at.next_multiple_of(huge()) + huge();
        memory::unmap(start, size);
        let pagemap = Pagemap::open(std::process::id());
        let untouched = memory::anonymous(page());
        memory::read(untouched, 1);
        let zero = pagemap.entry(untouched) & FRAME;
        memory::unmap(untouched, page());
        Self {
            process: Process::current().expect("this process"),
            pagemap,
            start,
            size,
            zero,
        }
    }

    /// Maps anonymous memory in base pages.
    fn map(&self, into: u64, pages: u64) -> u64 {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let at = memory::map_at(self.start + into, pages * page(), access, flags, -1, 0);
        memory::advise(at, pages * page(), libc::MADV_NOHUGEPAGE);
        at
    }

    fn range(&self) -> AddrRange {
        AddrRange::new(self.start, self.start + self.size).expect("a range")
    }

    /// Returns what each page is mapped from, and the page by its own entry.
    fn pages(&self) -> Vec<(Option<Object>, Page)> {
        let areas = areas(std::process::id());
        let all = (self.start..self.start + self.size).step_by(page() as usize);
        all.map(|at| {
            let area = areas.iter().find(|it| (it.start..it.end).contains(&at));
            let object = area.map(|it| match it.has_object() {
                true => (
                    it.device,
                    it.inode,
                    it.offset.wrapping_sub(it.start),
                    it.is_private(),
                ),
                false => ((0, 0), 0, 0, it.is_private()),
            });
            let entry = self.pagemap.entry(at);
            let frame = entry & FRAME;
            let page = match () {
                () if object.is_none() => Page::Unmapped,
                () if entry & PRESENT != 0 && frame == self.zero => Page::Empty,
                () if entry & PRESENT != 0 => Page::Memory {
                    frame,
                    is_object: entry & OBJECT != 0,
                },
                () if entry & SWAPPED != 0 => Page::Swap,
                () => Page::Empty,
            };
            (object, page)
        })
        .collect()
    }

    /// Returns the regions, and the pages at the same time.
    fn record(&self) -> (Recording, Vec<(Option<Object>, Page)>) {
        for _ in 0..50 {
            let (mut recording, before) = (Recording::default(), self.pages());
            let walk = self.process.walk(self.range()).split_page_sizes();
            let walked = walk.for_each(|region| {
                recording.push(region);
                ControlFlow::Continue(())
            });
            walked.expect("a walk");
            if self.pages() == before {
                return (recording, before);
            }
        }
        panic!("the pages never stand still");
    }

    /// Compares before and after `act`, and checks what is found with the bookkeeping.
    fn change(&self, act: impl FnOnce()) -> (MemoryChanges, Vec<MappingChanges>) {
        let (before, pages_before) = self.record();
        act();
        let (after, pages_after) = self.record();
        let (mut rows, base) = (Vec::new(), self.process.page_size());
        let all =
            compare_regions::<Error>(&mut before.regions(), &mut after.regions(), base, |row| {
                rows.push(row)
            })
            .expect("recordings");
        let mut expected = MemoryChanges::default();
        let opposite = pages_before.into_iter().zip(pages_after);
        // A page of another object is another page.
        let opposite = opposite.flat_map(|((from, before), (to, after))| match from == to {
            true => vec![(before, after)],
            false => vec![(before, Page::Unmapped), (Page::Unmapped, after)],
        });
        for (before, after) in opposite {
            let size = page();
            match (before, after) {
                (Page::Unmapped, Page::Unmapped) => {}
                (Page::Unmapped, _) => expected.mapped += size,
                (_, Page::Unmapped) => expected.unmapped += size,
                _ => {}
            }
            let sum = match (before, after) {
                (Page::Memory { .. }, Page::Swap) => &mut expected.swapped_out,
                (Page::Swap, Page::Memory { .. }) => &mut expected.swapped_in,
                (Page::Unmapped | Page::Empty, Page::Memory { .. }) => &mut expected.grown,
                (Page::Memory { .. }, Page::Unmapped | Page::Empty) => &mut expected.freed,
                (Page::Unmapped | Page::Empty, Page::Swap) => &mut expected.new_in_swap,
                (Page::Swap, Page::Unmapped | Page::Empty) => &mut expected.freed_from_swap,
                (
                    Page::Memory { frame, is_object },
                    Page::Memory {
                        frame: now,
                        is_object: is_now,
                    },
                ) if is_object == is_now && frame != now => &mut expected.moved,
                (
                    Page::Memory { is_object, .. },
                    Page::Memory {
                        is_object: is_now, ..
                    },
                ) if is_object != is_now => &mut expected.replaced,
                _ => &mut 0,
            };
            *sum += size;
            for (page, memory, swap) in [
                (
                    before,
                    &mut expected.memory_before,
                    &mut expected.swap_before,
                ),
                (after, &mut expected.memory_after, &mut expected.swap_after),
            ] {
                match page {
                    Page::Memory { .. } => *memory += size,
                    Page::Swap => *swap += size,
                    _ => {}
                }
            }
        }
        let by_entries = |changes: &MemoryChanges| {
            [
                changes.mapped,
                changes.unmapped,
                changes.memory_before,
                changes.memory_after,
                changes.swap_before,
                changes.swap_after,
                changes.grown,
                changes.freed,
                changes.swapped_out,
                changes.swapped_in,
                changes.new_in_swap,
                changes.freed_from_swap,
                changes.moved,
                changes.replaced,
            ]
        };
        assert_eq!(
            by_entries(&all),
            by_entries(&expected),
            "{all:?}\n{expected:?}"
        );
        assert_eq!((all.unknown_state, all.unknown_address), (0, 0));
        (all, rows)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        memory::unmap(self.start - huge(), self.size + 2 * huge());
    }
}

#[test]
fn memory_that_grows_and_is_freed_is_what_the_program_did() {
    if !is_root_or_skip("memory that grows and is freed") {
        return;
    }
    let place = Place::new(64 * page());
    let at = place.map(0, 32);
    memory::touch(at, 8, 1);
    memory::read(at + 8 * page(), 4);

    // Touched, and the zero page replaced by a page.
    let (all, rows) = place.change(|| memory::touch(at + 6 * page(), 10, 1));
    assert_eq!(
        (all.grown, all.changed, rows.len()),
        (8 * page(), 8 * page(), 1)
    );

    // Discarded, unmapped at both ends.
    let (all, rows) = place.change(|| {
        memory::advise(at + 4 * page(), 4 * page(), libc::MADV_DONTNEED);
        memory::unmap(at, 2 * page());
        memory::unmap(at + 30 * page(), 2 * page());
    });
    assert_eq!((all.freed, all.unmapped), (6 * page(), 4 * page()));
    assert_eq!((rows.len(), rows[0].changes), (1, all));

    // The mapping becomes longer, and is split.
    let (all, rows) = place.change(|| {
        place.map(30 * page(), 10);
        memory::touch(at + 36 * page(), 1, 1);
        memory::protect(at + 10 * page(), 2 * page(), libc::PROT_READ);
    });
    assert_eq!((all.mapped, all.grown), (10 * page(), page()));
    assert_eq!((all.freed, all.unmapped, all.moved), (0, 0, 0));
    assert_eq!(rows.len(), 3);
    assert!(rows
        .iter()
        .all(|row| row.before.is_some() && row.after.is_some()));

    // Another mapping at the same place.
    let other = memory::memfd(4 * page());
    let (all, rows) = place.change(|| {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        memory::map_at(
            at + 12 * page(),
            4 * page(),
            access,
            libc::MAP_SHARED,
            other,
            0,
        );
        memory::touch(at + 12 * page(), 3, 1);
    });
    // SAFETY: the descriptor is this function's own.
    unsafe { libc::close(other) };
    let new = rows
        .iter()
        .find(|row| row.before.is_none())
        .expect("a new mapping");
    assert_eq!(
        (new.changes.grown, new.changes.mapped),
        (3 * page(), 4 * page())
    );
    assert_eq!(all.changed, 7 * page());
    // The kernel can move pages meanwhile, but not always.
    let rests = (0..10).any(|_| !place.change(|| ()).0.differ());
    assert!(rests, "memory differs without a change");
}

#[test]
fn a_private_copy_of_a_files_page_is_replaced_not_moved() {
    if !is_root_or_skip("private copies") {
        return;
    }
    let place = Place::new(16 * page());
    let file = memory::memfd(8 * page());
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let shared = memory::map_at(place.start, 8 * page(), access, libc::MAP_SHARED, file, 0);
    memory::touch(shared, 8, 1);
    let at = memory::map_at(place.start, 8 * page(), access, libc::MAP_PRIVATE, file, 0);
    // SAFETY: the descriptor is this function's own.
    unsafe { libc::close(file) };
    memory::read(at, 8);
    let (all, _) = place.change(|| memory::touch(at, 3, 2));
    assert_eq!(
        (all.replaced, all.moved, all.changed),
        (3 * page(), 0, 3 * page())
    );
    let (all, _) = place.change(|| {
        memory::advise(at, 8 * page(), libc::MADV_DONTNEED);
        memory::read(at, 8);
    });
    assert_eq!((all.replaced, all.moved, all.freed), (3 * page(), 0, 0));
}

#[test]
fn swapped_pages_are_those_in_swap_entries() {
    if !is_root_or_skip("swapped pages") {
        return;
    }
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() < 2 {
        eprintln!("SKIPPED swapped pages: no swap space");
        return;
    }
    let place = Place::new(64 * page());
    let at = place.map(0, 64);
    memory::touch(at, 32, 1);
    let (all, _) = place.change(|| {
        for _ in 0..20 {
            memory::advise(at, 32 * page(), MADV_PAGEOUT);
        }
    });
    assert!(all.swapped_out > 0, "nothing was swapped out");
    let (all, _) = place.change(|| memory::touch(at, 16, 2));
    assert!(all.swapped_in > 0 && all.swapped_out == 0, "{all:?}");
    let (all, _) = place.change(|| {
        memory::touch(at + 32 * page(), 32, 1);
        for _ in 0..20 {
            memory::advise(at + 32 * page(), 32 * page(), MADV_PAGEOUT);
        }
    });
    assert!(all.new_in_swap > 0, "nothing was swapped out");
    let (all, _) = place.change(|| memory::unmap(at + 32 * page(), 32 * page()));
    assert!(
        all.freed_from_swap > 0 && all.unmapped == 32 * page(),
        "{all:?}"
    );
}

#[test]
fn collapsed_and_split_pages_become_huge_and_stop_being_huge() {
    if !is_root_or_skip("huge pages") {
        return;
    }
    let place = Place::new(huge());
    let pages = huge() / page();
    let at = place.map(0, pages);
    memory::touch(at, pages - 5, 1);
    let mut is_collapsed = false;
    let (all, _) = place.change(|| {
        memory::advise(at, huge(), libc::MADV_HUGEPAGE);
        is_collapsed = memory::advise(at, huge(), MADV_COLLAPSE);
    });
    if !is_collapsed {
        let error = io::Error::last_os_error();
        eprintln!("SKIPPED huge pages: MADV_COLLAPSE (Linux 6.1): {error}");
        return;
    }
    // The rest of the huge page grew.
    assert_eq!(all.grown, 5 * page());
    // Collapsing copies.
    assert_eq!(all.moved, huge() - 5 * page());
    if !has_page_scan() {
        assert_eq!(
            (all.became_huge, all.unknown_size),
            (0, huge() - 5 * page())
        );
        eprintln!("SKIPPED sizes of entries: PAGEMAP_SCAN (Linux 6.7)");
        return;
    }
    assert_eq!(
        (all.became_huge, all.stopped_huge),
        (huge() - 5 * page(), 0)
    );
    assert_eq!((all.changed, all.unknown_size), (huge(), 0));

    let (all, rows) = place.change(|| {
        memory::protect(at + 3 * page(), page(), libc::PROT_READ);
    });
    assert_eq!((all.stopped_huge, all.became_huge), (huge(), 0));
    assert_eq!((all.moved, all.changed), (0, huge()));
    assert_eq!(rows.len(), 3);
    let (all, _) = place.change(|| memory::unmap(at + 3 * page(), page()));
    assert_eq!((all.freed, all.changed), (page(), page()));
}

#[test]
fn pages_that_are_moved_to_another_node_are_moved() {
    if !is_root_or_skip("pages that are moved to another node") {
        return;
    }
    let path = "/sys/devices/system/node/has_memory";
    let nodes = fs::read_to_string(path).unwrap_or_default();
    if !nodes.contains(['-', ',']) {
        eprintln!("SKIPPED pages that are moved to another node: one NUMA node");
        return;
    }
    let place = Place::new(32 * page());
    let at = place.map(0, 32);
    memory::touch(at, 24, 1);
    let mut moved = 0;
    let (mut all, mut status) = (MemoryChanges::default(), [-1; 16]);
    for node in [0, 1] {
        let (changes, _) = place.change(|| {
            let pages: [u64; 16] = std::array::from_fn(|index| at + index as u64 * page());
            // SAFETY: live arrays of this many elements; the pages are this process's own.
            unsafe {
                libc::syscall(
                    libc::SYS_move_pages,
                    0,
                    pages.len(),
                    pages.as_ptr(),
                    [node; 16].as_ptr(),
                    status.as_mut_ptr(),
                    2,
                )
            };
            moved += status.iter().filter(|&&status| status == node).count();
        });
        all.add(&changes);
    }
    assert!(moved > 16, "only {moved} pages were moved: {status:?}");
    // Those of one of the nodes stay in the first round.
    assert!(
        all.moved >= 16 * page() && all.changed == all.moved,
        "{all:?}"
    );
}

#[test]
fn pages_that_compaction_moves_are_moved() {
    const TEST: &str = "pages that compaction moves";
    if !is_root_or_skip(TEST) || !is_disposable_or_skip(TEST) {
        return;
    }
    let pages = (128 << 20) / page();
    let place = Place::new(pages * page());
    let at = place.map(0, pages);
    memory::touch(at, pages, 1);
    // Every other page is free, so that there are free pages and pages to move.
    for index in (0..pages).step_by(2) {
        memory::advise(at + index * page(), page(), libc::MADV_DONTNEED);
    }
    let (all, _) = place.change(|| {
        if let Err(error) = fs::write("/proc/sys/vm/compact_memory", "1") {
            eprintln!("SKIPPED {TEST}: {error}");
        }
    });
    match all.moved {
        0 => println!("compaction moved nothing"),
        moved => println!("compaction moved {} of {} pages", moved / page(), pages / 2),
    }
    assert_eq!(all.changed, all.moved);
}
