//! Facts of pages: held against an oracle that asks for each page by itself, and
//! against targets that really have what a fact says.

use std::fs::{self, File};
use std::io::Write;
use std::ops::{ControlFlow, Range};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use process_introspection::{
    Backing, EntryFlags, FrameFlags, Frames, PageFacts, PageSize, PageUse, PageUses, PhysAddr,
    PhysRange, PhysicalRegion, Process, SwapAreas,
};
use testkit::machine::{is_root_or_skip, kernel, HugePages};
use testkit::memory::{self, page};
use testkit::merging::{self, Merging};
use testkit::oracle::{self, Pagemap};
use testkit::random::Random;
use testkit::scale::scaled;
use testkit::target::Target;

/// The regions of a range of a target's, with the facts of each.
fn facts_of(target: &Target, start: u64, pages: u64) -> Vec<(PhysicalRegion, PageFacts)> {
    let process = Process::open(target.pid()).unwrap();
    let range = start..start + pages * page();
    let regions: Vec<_> = process
        .physical_regions(range)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut reader = process.page_facts().unwrap();
    for region in &regions {
        reader.add(region.virt, region.backing, None);
    }
    let facts = reader.read().unwrap();
    assert_eq!(facts.len(), regions.len());
    regions.into_iter().zip(facts).collect()
}

/// The same with the entries as walks by so many threads have noted them, which
/// must have noted those of all backed regions if `of_all`.
fn noted_facts_of(
    target: &Target,
    range: Range<u64>,
    threads: usize,
    of_all: bool,
) -> Vec<(PhysicalRegion, PageFacts)> {
    let process = Process::open(target.pid()).unwrap();
    let mut kept = Vec::new();
    process
        .walk(range)
        .threads(threads)
        .entry_flags()
        .for_each(|region| {
            let noted = region.entries.clone();
            if of_all {
                assert!(noted.is_some() || !region.backing.is_backed(), "{region:?}");
            }
            kept.push((region.pages.clone(), noted));
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut reader = process.page_facts().unwrap();
    let noted = kept.into_iter().map(|(region, noted)| {
        reader.add(region.virt, region.backing, noted);
        region
    });
    let regions: Vec<_> = noted.collect();
    regions.into_iter().zip(reader.read().unwrap()).collect()
}

/// That it makes no difference whether entries are read again.
fn check_noted(target: &Target, start: u64, pages: u64, of_all: bool) {
    let read = facts_of(target, start, pages);
    for threads in [1, 2, 3] {
        let range = start..start + pages * page();
        let noted = noted_facts_of(target, range, threads, of_all);
        assert_eq!(noted.len(), read.len());
        for ((region, facts), (same, noted)) in read.iter().zip(&noted) {
            assert_eq!(region, same);
            let all = |facts: &PageFacts| table(facts.entry_flags(), u64::MAX);
            assert_eq!(all(facts), all(noted), "{threads} {region:?}");
            assert_eq!(facts.entries(), noted.entries(), "{threads} {region:?}");
            assert_eq!(facts.mapcounts(), noted.mapcounts(), "{threads} {region:?}");
            assert_eq!(facts.frames(), noted.frames(), "{threads} {region:?}");
        }
    }
}

/// How many pages of a range have these flags, of their frames and entries.
fn count(
    target: &Target,
    start: u64,
    pages: u64,
    frame: FrameFlags,
    entry: EntryFlags,
) -> [u64; 2] {
    let mut sums = [0; 2];
    for (_, facts) in facts_of(target, start, pages) {
        sums[0] += facts.frames_with(frame);
        sums[1] += facts.entries_with(entry);
    }
    sums
}

fn mapcounts(target: &Target, start: u64, pages: u64) -> (u64, u64) {
    let facts = facts_of(target, start, pages);
    let of_each: Vec<_> = facts
        .iter()
        .filter_map(|(_, facts)| facts.mapcounts())
        .collect();
    let least = of_each.iter().map(|counts| counts.0).min().unwrap();
    (least, of_each.iter().map(|counts| counts.1).max().unwrap())
}

/// Flags that do not change by themselves while a target holds still. Lists of
/// reclaim, use and locks do.
const STEADY: u64 = (FrameFlags::MMAP.bits() | FrameFlags::ANON.bits())
    | (FrameFlags::SWAPBACKED.bits() | FrameFlags::UPTODATE.bits())
    | (FrameFlags::COMPOUND_HEAD.bits() | FrameFlags::COMPOUND_TAIL.bits())
    | (FrameFlags::HUGE.bits() | FrameFlags::THP.bits() | FrameFlags::KSM.bits())
    | (FrameFlags::ZERO_PAGE.bits() | FrameFlags::MLOCKED.bits() | FrameFlags::NOPAGE.bits());

/// What a region's facts have to be, page by page, each by a read of its own:
/// steady flags of frames, flags of entries, mappings.
fn by_page(target: &Target, region: &PhysicalRegion) -> ([u64; 64], [u64; 64], Option<(u64, u64)>) {
    let (flags, counts) = (
        File::open("/proc/kpageflags").unwrap(),
        File::open("/proc/kpagecount").unwrap(),
    );
    let pagemap = Pagemap::open(target.pid());
    let mut steady = STEADY;
    if !Frames::open().unwrap().tells_merged() {
        steady &= !FrameFlags::KSM.bits();
    }
    let word = |file: &File, frame: u64| {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, frame * 8).unwrap();
        u64::from_ne_bytes(word)
    };
    let (mut frame_bits, mut entry_bits, mut mapped) = ([0; 64], [0; 64], None);
    for index in 0..region.size() / page() {
        if let Some(address) = region.backing.address() {
            let frame = address.as_u64() / page() + index;
            let (flags, count) = (word(&flags, frame), word(&counts, frame));
            for bit in (0..64).filter(|bit| (flags & steady) >> bit & 1 == 1) {
                frame_bits[bit] += 1;
            }
            let (least, most) = mapped.unwrap_or((count, count));
            mapped = Some((count.min(least), count.max(most)));
        }
        if region.backing.is_backed() || matches!(region.backing, Backing::Swapped(_)) {
            let entry = pagemap.entry(region.virt.start().as_u64() + index * page());
            for bit in (55..64).filter(|bit| entry >> bit & 1 == 1) {
                entry_bits[bit] += 1;
            }
        }
    }
    (frame_bits, entry_bits, mapped)
}

fn table(bits: impl Iterator<Item = (u32, u64)>, mask: u64) -> [u64; 64] {
    let mut table = [0; 64];
    for (bit, count) in bits.filter(|(bit, _)| mask >> bit & 1 == 1) {
        table[bit as usize] = count;
    }
    table
}

#[test]
fn facts_are_those_that_reading_page_by_page_finds() {
    if !is_root_or_skip("facts_are_those_that_reading_page_by_page_finds") {
        return;
    }
    let pages_of_all = scaled(6000).max(1500);
    let target = Target::spawn(|| {
        memory::keep_page_sizes();
        let at = memory::anonymous(pages_of_all * page());
        // Out of order, so that regions are short and their frames mixed up.
        let mut random = Random::new(7);
        for _ in 0..pages_of_all {
            let index = random.below(pages_of_all);
            match random.below(8) {
                0 => memory::read(at + index * page(), 1),
                _ => memory::touch(at + index * page(), 1, 1),
            }
        }
        memory::touch(at, pages_of_all * 5 / 12, 1);
        // SAFETY: memory of a mapping made for this.
        unsafe { libc::mlock((at + 100 * page()) as *const _, 64 * page() as usize) };
        let fd = memory::memfd(64 * page());
        let shared = [0, 1].map(|_| memory::map(64 * page(), libc::MAP_SHARED, fd));
        memory::touch(shared[0], 64, 1);
        memory::touch(shared[1], 32, 2);
        vec![at, shared[0], shared[1]]
    });
    let mut regions = 0;
    for (&start, pages) in target.addresses().iter().zip([pages_of_all, 64, 64]) {
        for (region, facts) in facts_of(&target, start, pages) {
            let (frames, entries, mapped) = by_page(&target, &region);
            assert_eq!(table(facts.frame_flags(), STEADY), frames, "{region:?}");
            assert_eq!(table(facts.entry_flags(), u64::MAX), entries, "{region:?}");
            assert_eq!(facts.mapcounts(), mapped, "{region:?}");
            let backed = if region.backing.is_backed() {
                region.size() / page()
            } else {
                0
            };
            assert_eq!((facts.frames(), facts.entries()), (backed, backed));
            regions += 1;
        }
        check_noted(&target, start, pages, true);
    }
    println!("{regions} regions");
    assert!(regions > 100, "{regions}");
}

#[test]
fn entries_are_noted_as_they_would_be_read_again() {
    if !is_root_or_skip("entries_are_noted_as_they_would_be_read_again") {
        return;
    }
    // More than a walk's pieces hold, and every other page shared: so many
    // stretches of flags as pages.
    let pages = scaled(40_000);
    let fd = memory::memfd(pages * page());
    let make = |stride: u64| {
        move || {
            let at = memory::map(pages * page(), libc::MAP_SHARED, fd);
            memory::touch(at, pages / stride, stride);
            let huge = memory::aligned(4 * memory::huge(), memory::huge());
            memory::advise(huge, 4 * memory::huge(), libc::MADV_HUGEPAGE);
            memory::touch(huge, 5 * memory::huge() / 2 / page(), 1);
            memory::keep_page_sizes();
            vec![at, huge]
        }
    };
    let (one, _other) = (Target::spawn(make(1)), Target::spawn(make(2)));
    let [at, huge] = *one.addresses() else {
        panic!("two addresses")
    };
    check_noted(&one, at, pages, true);
    let exclusive = EntryFlags::MMAP_EXCLUSIVE;
    let [_, own] = count(&one, at, pages, FrameFlags::default(), exclusive);
    assert_eq!(own, pages - pages / 2);
    // From within a huge page to within another, and what is not there.
    check_noted(
        &one,
        huge + 7 * page(),
        4 * memory::huge() / page() - 9,
        false,
    );
    // SAFETY: the descriptor is this test's.
    unsafe { libc::close(fd) };
}

#[test]
fn own_pages_are_anonymous_and_exclusive_and_shared_ones_are_neither() {
    if !is_root_or_skip("own_pages_are_anonymous_and_exclusive") {
        return;
    }
    let fd = memory::memfd(16 * page());
    let make = || {
        let own = memory::anonymous(16 * page());
        memory::touch(own, 16, 1);
        let shared = memory::map(16 * page(), libc::MAP_SHARED, fd);
        memory::touch(shared, 16, 1);
        vec![own, shared]
    };
    let (one, _other) = (Target::spawn(make), Target::spawn(make));
    let [own, shared] = *one.addresses() else {
        panic!("two addresses")
    };
    let anonymous = FrameFlags::ANON | FrameFlags::MMAP | FrameFlags::SWAPBACKED;
    let exclusive = EntryFlags::MMAP_EXCLUSIVE;
    assert_eq!(count(&one, own, 16, anonymous, exclusive), [16, 16]);
    assert_eq!(mapcounts(&one, own, 16), (1, 1));
    assert_eq!(count(&one, shared, 16, FrameFlags::ANON, exclusive), [0, 0]);
    assert_eq!(
        count(&one, shared, 16, FrameFlags::MMAP, EntryFlags::FILE),
        [16, 16]
    );
    assert_eq!(mapcounts(&one, shared, 16), (2, 2));
    // SAFETY: the descriptor is this test's.
    unsafe { libc::close(fd) };
}

#[test]
fn locked_zero_and_untouched_pages_are_told_apart() {
    if !is_root_or_skip("locked_zero_and_untouched_pages_are_told_apart") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(48 * page());
        memory::touch(at, 16, 1);
        // SAFETY: memory of a mapping made for this.
        let locked = unsafe { libc::mlock(at as *const _, 8 * page() as usize) };
        assert_eq!(locked, 0);
        memory::read(at + 16 * page(), 16);
        vec![at]
    });
    let at = target.addresses()[0];
    let none = EntryFlags::default();
    assert_eq!(count(&target, at, 48, FrameFlags::MLOCKED, none)[0], 8);
    let zero = at + 16 * page();
    let zeros = count(
        &target,
        zero,
        16,
        FrameFlags::ZERO_PAGE,
        EntryFlags::PRESENT,
    );
    assert_eq!(zeros, [16, 16]);
    for (region, facts) in facts_of(&target, at + 32 * page(), 16) {
        assert_eq!(region.backing, Backing::NotPresent);
        assert_eq!((facts.frames(), facts.entries()), (0, 0));
        assert_eq!(facts.mapcounts(), None);
    }
}

#[test]
fn huge_pages_of_both_sorts_are_told_apart() {
    if !is_root_or_skip("huge_pages_of_both_sorts_are_told_apart") {
        return;
    }
    let size = process_introspection::PageSize::base().pmd().bytes();
    let pages = size / page();
    let target = Target::spawn(|| {
        let at = memory::aligned(size, size);
        memory::advise(at, size, libc::MADV_HUGEPAGE);
        memory::touch(at, 1, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    let count_of =
        |target: &Target, at, flag| count(target, at, pages, flag, EntryFlags::default())[0];
    if count_of(&target, at, FrameFlags::MMAP) == pages {
        assert_eq!(count_of(&target, at, FrameFlags::THP), pages);
        assert_eq!(count_of(&target, at, FrameFlags::COMPOUND_HEAD), 1);
        assert_eq!(count_of(&target, at, FrameFlags::COMPOUND_TAIL), pages - 1);
        assert_eq!(count_of(&target, at, FrameFlags::HUGE), 0);
        assert_eq!(mapcounts(&target, at, pages), (1, 1));
    } else {
        eprintln!("SKIPPED the transparent one: the kernel gave none");
    }
    if size != 2 << 20 {
        eprintln!("SKIPPED the one of hugetlb: huge pages are not of 2 MiB");
        return;
    }
    if let Some(_pages) = HugePages::reserve(1, "huge_pages_of_both_sorts_are_told_apart") {
        let target = Target::spawn(|| {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
            let at = memory::map(size, flags, -1);
            memory::touch(at, 1, 1);
            vec![at]
        });
        let at = target.addresses()[0];
        assert_eq!(count_of(&target, at, FrameFlags::HUGE), pages);
        assert_eq!(count_of(&target, at, FrameFlags::THP), 0);
        assert_eq!(mapcounts(&target, at, pages), (1, 1));
    }
}

#[test]
fn pages_of_a_file_are_dirty_until_they_are_written_back() {
    if !is_root_or_skip("pages_of_a_file_are_dirty_until_they_are_written_back") {
        return;
    }
    // Beside the test itself, which is more often on a disk than /tmp.
    let program = std::env::current_exe().unwrap();
    let mut file = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
    file.write_all(&vec![7; 16 * page() as usize]).unwrap();
    let target = Target::spawn(|| {
        let fd = file.as_raw_fd();
        let size = 16 * page();
        let at = memory::try_map(size, libc::PROT_READ, libc::MAP_SHARED, fd, 0).unwrap();
        memory::read(at, 16);
        vec![at]
    });
    let at = target.addresses()[0];
    let dirty = || count(&target, at, 16, FrameFlags::DIRTY, EntryFlags::FILE);
    // The kernel may have begun to write some back already.
    let before = dirty();
    assert_eq!(before[1], 16);
    assert_eq!(
        count(&target, at, 16, FrameFlags::ANON, EntryFlags::default())[0],
        0
    );
    let uptodate = count(&target, at, 16, FrameFlags::UPTODATE, EntryFlags::default());
    assert_eq!(uptodate[0], 16);
    assert!(before[0] > 0, "written just now");
    file.sync_all().unwrap();
    // SAFETY: plain numbers, filled by the call.
    let kind = unsafe {
        let mut fs = std::mem::zeroed::<libc::statfs>();
        assert_eq!(libc::fstatfs(file.as_raw_fd(), &mut fs), 0);
        fs.f_type
    };
    if kind == libc::TMPFS_MAGIC || kind as u32 == 0x8584_58f6 {
        eprintln!("SKIPPED the second half: the file is in memory, nothing is written back");
        return;
    }
    assert_eq!(dirty(), [0, 16]);
}

#[test]
fn merged_pages_are_told_where_the_kernel_tells_them() {
    let test = "merged_pages_are_told_where_the_kernel_tells_them";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(running) = Merging::start(false, test) else {
        return;
    };
    const PAGES: u64 = 32;
    let beginning = merging::nobodys();
    let target = Target::spawn(|| vec![merging::alike(PAGES, beginning)]);
    let at = target.addresses()[0];
    running.wait_until_merged(target.pid(), at, PAGES);
    let of = |flag| count(&target, at, PAGES, flag, EntryFlags::default())[0];
    assert_eq!(of(FrameFlags::ANON), PAGES);
    assert_eq!(mapcounts(&target, at, PAGES), (PAGES, PAGES));
    match Frames::open().unwrap().tells_merged() {
        true => assert_eq!(of(FrameFlags::KSM), PAGES),
        false => {
            assert_eq!(of(FrameFlags::KSM), 0);
            eprintln!("SKIPPED a part: this kernel says of all anonymous memory that it is merged");
        }
    }
}

#[test]
fn memory_that_is_not_merged_is_never_said_to_be() {
    if !is_root_or_skip("memory_that_is_not_merged_is_never_said_to_be") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(8 * page());
        memory::touch(at, 8, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    let of = |flag| count(&target, at, 8, flag, EntryFlags::default())[0];
    assert_eq!((of(FrameFlags::ANON), of(FrameFlags::KSM)), (8, 0));
    let oracle::State::Memory(address) = oracle::runs(target.pid(), at, at + page())[0].state
    else {
        panic!("not in memory");
    };
    let start = PhysAddr::new(address);
    let mut seen = None;
    let range = PhysRange::page_of(start, PageSize::base());
    let visited = PageUses::open().unwrap().visit(range, |run| {
        seen = Some(run.page_use);
        std::ops::ControlFlow::Continue(())
    });
    visited.unwrap();
    assert_eq!(seen, Some(PageUse::Anonymous));
}

#[test]
fn what_was_written_since_is_soft_dirty() {
    if !is_root_or_skip("what_was_written_since_is_soft_dirty") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(16 * page());
        memory::touch(at, 16, 1);
        fs::write("/proc/self/clear_refs", "4").unwrap();
        memory::touch(at, 3, 5);
        vec![at]
    });
    let at = target.addresses()[0];
    let [_, dirty] = count(
        &target,
        at,
        16,
        FrameFlags::default(),
        EntryFlags::SOFT_DIRTY,
    );
    let own = memory::anonymous(page());
    memory::touch(own, 1, 1);
    let supported = Pagemap::open(std::process::id()).entry(own) >> 55 & 1 == 1;
    memory::unmap(own, page());
    if supported {
        assert_eq!(dirty, 3);
    } else {
        assert_eq!(dirty, 0);
        eprintln!("SKIPPED: this kernel knows no soft-dirty (CONFIG_MEM_SOFT_DIRTY)");
    }
}

/// Write-protects memory by userfaultfd; false if the kernel cannot.
fn write_protect(start: u64, size: u64) -> bool {
    // struct uffdio_api, uffdio_register and uffdio_writeprotect of
    // include/uapi/linux/userfaultfd.h; requests of those sizes.
    const API: u64 = 0xc018_aa3f;
    const REGISTER: u64 = 0xc020_aa00;
    const WRITEPROTECT: u64 = 0xc018_aa06;
    const FEATURE_WP: u64 = 1;
    const MODE_WP: u64 = 2;
    let (mut api, mut register) = ([0xaa, FEATURE_WP, 0], [start, size, MODE_WP, 0]);
    let mut protect = [start, size, 1];
    // SAFETY: live structs of the sizes that the requests state; the
    // descriptor stays open for as long as the process lives.
    unsafe {
        let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) as i32;
        fd >= 0
            && libc::ioctl(fd, API as libc::Ioctl, api.as_mut_ptr()) == 0
            && libc::ioctl(fd, REGISTER as libc::Ioctl, register.as_mut_ptr()) == 0
            && libc::ioctl(fd, WRITEPROTECT as libc::Ioctl, protect.as_mut_ptr()) == 0
    }
}

#[test]
fn what_userfaultfd_write_protects_is_told() {
    if !is_root_or_skip("what_userfaultfd_write_protects_is_told") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(16 * page());
        memory::touch(at, 16, 1);
        let protected = write_protect(at + 4 * page(), 5 * page());
        vec![at, u64::from(protected)]
    });
    let [at, protected] = *target.addresses() else {
        panic!("an address and whether it worked")
    };
    if protected == 0 {
        return eprintln!("SKIPPED: this kernel's userfaultfd does not write-protect");
    }
    if kernel() < (5, 13) {
        // Documentation/admin-guide/mm/pagemap.rst: bit 57 since 5.13.
        return eprintln!("SKIPPED: this kernel's page map does not tell (Linux 5.13)");
    }
    let [_, count] = count(&target, at, 16, FrameFlags::default(), EntryFlags::UFFD_WP);
    assert_eq!(count, 5);
    check_noted(&target, at, 16, true);
}

#[test]
fn a_page_in_swap_has_the_facts_of_its_entry_and_the_areas_name() {
    if !is_root_or_skip("a_page_in_swap_has_the_facts_of_its_entry_and_the_areas_name") {
        return;
    }
    let areas = SwapAreas::read().unwrap();
    if areas.areas().is_empty() {
        return eprintln!("SKIPPED: this machine has no swap area");
    }
    const MADV_PAGEOUT: i32 = 21;
    let target = Target::spawn(|| {
        let at = memory::anonymous(64 * page());
        memory::touch(at, 64, 1);
        memory::advise(at, 64 * page(), MADV_PAGEOUT);
        vec![at]
    });
    let base = process_introspection::PageSize::base();
    let mut swapped = 0;
    for (region, facts) in facts_of(&target, target.addresses()[0], 64) {
        let Backing::Swapped(Some(place)) = region.backing else {
            continue;
        };
        let pages = region.size() / page();
        assert_eq!((facts.frames(), facts.entries()), (0, pages));
        assert_eq!(facts.entries_with(EntryFlags::SWAP), pages);
        if let [only] = areas.areas() {
            assert_eq!(areas.area_of(place, base), Some(only));
        }
        swapped += pages;
    }
    println!("{swapped} pages swapped to {:?}", areas.areas());
    assert!(swapped > 0, "MADV_PAGEOUT swaps");
}
