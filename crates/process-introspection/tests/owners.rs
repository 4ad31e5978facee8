//! Which processes map which physical memory, held against addresses that the
//! oracle read one by one in processes made for it.

use std::ops::ControlFlow;
use std::process::Command;

use process_introspection::{
    owners, Backing, Coverage, FrameFlags, Frames, Owner, OwnerEvent, PageRun, PageSize, PageUse,
    PageUses, PassOptions, Pfn, PhysAddr, PhysRange, PhysicalKind, PhysicalMap,
};
use testkit::machine::{is_disposable_or_skip, is_root_or_skip, HugePages};
use testkit::memory::{self, page};
use testkit::oracle::{self, Pagemap, State};
use testkit::scale::scaled;
use testkit::target::Target;

/// All that a pass comes upon.
#[derive(Debug)]
struct Found {
    owners: Vec<Owner>,
    /// And where each had it.
    lost: Vec<(Owner, PhysAddr)>,
    unread: Vec<u32>,
    unmapped: Vec<PhysRange>,
    coverage: Coverage,
}

impl Found {
    fn of(ranges: &[PhysRange], threads: usize) -> Self {
        let (mut owners_found, mut unread, mut unmapped) = (Vec::new(), Vec::new(), Vec::new());
        let mut lost = Vec::new();
        let options = PassOptions::new().threads(threads);
        let coverage = owners(ranges, options, |event| {
            match event {
                OwnerEvent::Owner(owner) => owners_found.push(owner),
                OwnerEvent::Lost(owner, address) => lost.push((owner, address)),
                OwnerEvent::Unread(process, _) => unread.push(process.pid),
                OwnerEvent::Unmapped(range, _) => unmapped.push(range),
                _ => {}
            }
            ControlFlow::Continue(())
        });
        Self {
            owners: owners_found,
            lost,
            unread,
            unmapped,
            coverage: coverage.expect("a pass"),
        }
    }

    /// Where a process maps it: first addresses and sizes.
    fn of_process(&self, pid: u32) -> Vec<(u64, u64)> {
        let its = self.owners.iter().filter(|owner| owner.process.pid == pid);
        its.map(|owner| (owner.region.virt.start().as_u64(), owner.region.size()))
            .collect()
    }
}

/// The physical address behind a page, by the oracle.
fn address_of(pid: u32, at: u64) -> u64 {
    let runs = oracle::runs(pid, at, at + page());
    match runs[..] {
        [ref run] => match run.state {
            State::Memory(address) => address,
            ref other => panic!("not in memory: {other:?}"),
        },
        ref several => panic!("one page is one run: {several:?}"),
    }
}

fn page_at(address: u64) -> PhysRange {
    PhysRange::page_of(PhysAddr::new(address), PageSize::base())
}

fn uses(range: PhysRange) -> Vec<PageRun> {
    let mut runs = Vec::new();
    let told = PageUses::open().expect("root's files").visit(range, |run| {
        runs.push(*run);
        ControlFlow::Continue(())
    });
    told.expect("the frames' files");
    runs
}

fn use_of(address: u64) -> PageUse {
    uses(page_at(address))[0].page_use
}

/// Eight pages that nobody else of this machine has.
fn touched() -> u64 {
    let at = memory::anonymous(8 * page());
    memory::advise(at, 8 * page(), libc::MADV_NOHUGEPAGE);
    memory::touch(at, 8, 1);
    at
}

#[test]
fn shared_memory_is_found_in_both_processes_at_the_addresses_of_each() {
    if !is_root_or_skip("shared_memory_is_found_in_both_processes") {
        return;
    }
    let file = memory::memfd(4 * page());
    let map = |shift: u64| {
        move || {
            // A mapping of another size gets another place.
            let at = memory::map((4 + shift) * page(), libc::MAP_SHARED, file);
            memory::touch(at, 4, 1);
            vec![at]
        }
    };
    let (one, other) = (Target::spawn(map(0)), Target::spawn(map(9000)));
    // SAFETY: a descriptor of this test's own.
    unsafe { libc::close(file) };
    let (at, elsewhere) = (one.addresses()[0], other.addresses()[0]);
    assert_ne!(at, elsewhere);
    let second = address_of(one.pid(), at + page());
    assert_eq!(second, address_of(other.pid(), elsewhere + page()));
    // Also as one of several, and however many threads look.
    let first = address_of(one.pid(), at);
    for threads in [0, 1, 3] {
        let found = Found::of(&[page_at(second + 7)], threads);
        assert_eq!(found.of_process(one.pid()), [(at + page(), page())]);
        assert_eq!(
            found.of_process(other.pid()),
            [(elsewhere + page(), page())]
        );
        assert_eq!(found.owners.len(), 2, "{found:?}");
        assert!(found.unmapped.is_empty());
        let pids: Vec<_> = found.owners.iter().map(|owner| owner.process.pid).collect();
        assert!(pids.is_sorted());
        let both = Found::of(&[page_at(second), page_at(first), page_at(second)], threads);
        let total = |pid| both.of_process(pid).iter().map(|part| part.1).sum::<u64>();
        assert_eq!([one.pid(), other.pid()].map(total), [2 * page(); 2]);
    }
    let found = Found::of(&[page_at(second)], 0);
    let mapping = &found.owners[0].region.mapping;
    assert!(mapping.shared && mapping.protection.write());
    assert!(mapping.name().to_string_lossy().contains("memfd:testkit"));
    let run = uses(page_at(second))[0];
    assert_eq!(
        (run.page_use, run.mapcount),
        (PageUse::PageCache, Some((2, 2)))
    );
}

#[test]
fn a_private_page_has_one_owner_and_its_name() {
    if !is_root_or_skip("a_private_page_has_one_owner_and_its_name") {
        return;
    }
    let target = Target::spawn(|| vec![touched()]);
    let at = target.addresses()[0] + 3 * page();
    let address = address_of(target.pid(), at);
    let found = Found::of(&[page_at(address)], 0);
    assert_eq!(found.of_process(target.pid()), [(at, page())]);
    assert_eq!(found.owners.len(), 1, "{found:?}");
    let owner = &found.owners[0];
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", target.pid())).unwrap();
    assert_eq!(owner.process.command().to_str(), Some(comm.trim_end()));
    assert_eq!(
        owner.process.unique_pid.map(|pid| pid.pid()),
        Some(target.pid())
    );
    assert_eq!(owner.region.backing.address(), Some(PhysAddr::new(address)));
    assert!(owner.region.anonymous);
    assert_eq!(use_of(address), PageUse::Anonymous);
    assert!(found.coverage.read > 1, "{found:?}");
}

#[test]
fn a_part_of_a_run_is_given_at_its_own_place() {
    if !is_root_or_skip("a_part_of_a_run_is_given_at_its_own_place") {
        return;
    }
    let target = Target::spawn(|| vec![touched()]);
    let at = target.addresses()[0];
    let pages: Vec<_> = (0..8)
        .map(|index| address_of(target.pid(), at + index * page()))
        .collect();
    // Every second page of eight: no two in one piece.
    let wanted: Vec<_> = (1..8)
        .step_by(2)
        .map(|index| page_at(pages[index]))
        .collect();
    let found = Found::of(&wanted, 0);
    let expected: Vec<_> = (1..8)
        .step_by(2)
        .map(|index| (at + index * page(), page()))
        .collect();
    let mut seen = found.of_process(target.pid());
    seen.sort_unstable();
    assert_eq!(seen, expected);
    for owner in &found.owners {
        let index = (owner.region.virt.start().as_u64() - at) / page();
        let address = owner.region.backing.address().map(u64::from);
        assert_eq!(address, Some(pages[index as usize]));
    }
}

#[test]
fn a_page_of_a_file_is_page_cache_also_when_nobody_maps_it() {
    if !is_root_or_skip("a_page_of_a_file_is_page_cache") {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![1; 2 * page() as usize]).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let mut target = Target::spawn_then(
        || {
            let fd = memory::open_to_read(&path);
            let map = memory::try_map(2 * page(), libc::PROT_READ, libc::MAP_SHARED, fd, 0);
            let at = map.expect("mmap");
            memory::read(at, 2);
            vec![at]
        },
        || (),
    );
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let address = address_of(pid, at + page());
    let found = Found::of(&[page_at(address)], 0);
    assert_eq!(found.of_process(pid), [(at + page(), page())]);
    let region = &found.owners[0].region;
    assert_eq!(region.mapping.name().as_path(), Some(file.path()));
    assert_eq!(region.offset(), page());
    assert_eq!(use_of(address), PageUse::PageCache);
    target.release();
    drop(target);
    // It stays in the cache: the file is still there and was just used.
    let found = Found::of(&[page_at(address)], 0);
    assert!(found.owners.is_empty(), "{found:?}");
    assert_eq!(found.unmapped, [page_at(address)]);
    let run = uses(page_at(address))[0];
    assert_eq!(
        (run.page_use, run.mapcount),
        (PageUse::PageCache, Some((0, 0)))
    );
}

#[test]
fn a_hugetlb_page_is_found_in_any_of_its_pages() {
    let test = "a_hugetlb_page_is_found_in_any_of_its_pages";
    if !is_root_or_skip(test) {
        return;
    }
    let Some(huge) = HugePages::reserve(1, test) else {
        return;
    };
    let size = huge.size();
    let target = Target::spawn(|| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let at = memory::map(size, flags, -1);
        memory::touch(at, 1, 1);
        vec![at]
    });
    let at = target.addresses()[0];
    let address = address_of(target.pid(), at + 5 * page());
    let found = Found::of(&[page_at(address)], 0);
    assert_eq!(found.of_process(target.pid()), [(at + 5 * page(), page())]);
    let whole = PhysRange::new(
        PhysAddr::new(address - 5 * page()),
        PhysAddr::new(address - 5 * page() + size),
    );
    let found = Found::of(&[whole.unwrap()], 0);
    assert_eq!(found.of_process(target.pid()), [(at, size)]);
    let runs = uses(whole.unwrap());
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(runs[0].page_use, PageUse::Hugetlb);
}

#[test]
fn freed_memory_belongs_to_nobody() {
    if !is_root_or_skip("freed_memory_belongs_to_nobody") {
        return;
    }
    // Others take free memory as soon as they can: on a busy machine not always
    // is much of it left when it is looked at.
    let left = (0..10).find(|_| is_mostly_left_free());
    assert!(left.is_some(), "it is never free");
}

/// Frees memory, of which the process that had it is no owner any more. Whether
/// most of it was then nobody's, and a good part free.
fn is_mostly_left_free() -> bool {
    let size = scaled(64 << 20).max(16 << 20);
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, size / page(), 1);
        vec![at]
    });
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let runs = oracle::runs(pid, at, at + size);
    let ranges: Vec<_> = (runs.iter())
        .filter_map(|run| match run.state {
            State::Memory(address) => PhysRange::new(
                PhysAddr::new(address),
                PhysAddr::new(address + (run.end - run.start)),
            ),
            _ => None,
        })
        .collect();
    let before = Found::of(&ranges, 0);
    let of_target = |found: &Found| found.of_process(pid).iter().map(|part| part.1).sum::<u64>();
    assert_eq!(of_target(&before), size);
    assert!(before.unmapped.is_empty(), "{:?}", before.unmapped);
    target.kill();
    let free = |range: &PhysRange| {
        let runs = uses(*range).into_iter();
        let free = runs.filter(|run| matches!(run.page_use, PageUse::Free | PageUse::KernelOrFree));
        free.map(|run| run.range.size()).sum::<u64>()
    };
    let free: u64 = ranges.iter().map(free).sum();
    // A zombie has no memory, and is no failure.
    let after = Found::of(&ranges, 0);
    assert_eq!(of_target(&after), 0);
    assert!(!after.unread.contains(&pid), "{after:?}");
    assert!(after.coverage.without_memory > 0);
    let unmapped: u64 = after.unmapped.iter().map(|range| range.size()).sum();
    unmapped > size / 2 && free > size / 4
}

#[test]
fn page_tables_and_slab_pages_are_told_and_mapped_by_nobody() {
    if !is_root_or_skip("page_tables_and_slab_pages_are_told") {
        return;
    }
    // Page tables that stay: of a target that holds still.
    let target = Target::spawn(|| {
        let size = 64 * memory::huge();
        let at = memory::anonymous(size);
        memory::touch(at, 64, memory::huge() / page());
        vec![at]
    });
    for (flag, expected) in [
        (FrameFlags::PGTABLE, PageUse::PageTable),
        (FrameFlags::SLAB, PageUse::Slab),
    ] {
        // The frame can be another's by the time that it is looked at.
        let told = frames_with(flag).into_iter().any(|frame| {
            let address = frame * page();
            let found = Found::of(&[page_at(address)], 0);
            use_of(address) == expected && found.owners.is_empty()
        });
        assert!(told, "{expected:?}");
    }
    drop(target);
}

/// A few frames with this flag.
fn frames_with(flag: FrameFlags) -> Vec<u64> {
    let frames = Frames::open().unwrap();
    // Where there is no memory there is nothing to look at.
    let map = PhysicalMap::read().unwrap();
    let is_ram =
        |at: &u64| map.at(PhysAddr::new(at * page())).kind == Some(PhysicalKind::SystemRam);
    let mut at = (0..1 << 32).step_by(1 << 12).find(is_ram).expect("RAM");
    let mut found = Vec::new();
    let mut flags = vec![FrameFlags::default(); 1 << 16];
    loop {
        let told = frames.read_flags(Pfn::new(at), &mut flags).unwrap();
        let having = (at..)
            .zip(&flags[..told])
            .filter(|(_, word)| word.contains(flag));
        found.extend(having.map(|(frame, _)| frame));
        at += told as u64;
        if told == 0 || found.len() > 1000 {
            found.reverse();
            found.truncate(20);
            return found;
        }
    }
}

#[test]
fn a_pass_that_is_broken_off_ends_and_leaves_nothing_running() {
    if !is_root_or_skip("a_pass_that_is_broken_off_ends") {
        return;
    }
    let everything = PhysRange::new(PhysAddr::new(0), PhysAddr::new(1 << 36)).unwrap();
    let mut events = 0;
    let broken = owners(&[everything], PassOptions::new().threads(4), |event| {
        events += usize::from(matches!(event, OwnerEvent::Owner(_)));
        match events {
            10 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    broken.expect("a break is no failure");
    assert_eq!(events, 10);
}

#[test]
fn more_pages_than_there_are_marks_for_are_refused() {
    let all = PhysRange::new(PhysAddr::new(0), PhysAddr::new(u64::MAX)).unwrap();
    let error = owners(&[all], PassOptions::new(), |_| ControlFlow::Continue(()));
    let error = error.expect_err("too many");
    assert!(error.is_invalid_argument());
    assert!(error.to_string().contains("ask for parts"), "{error}");
}

#[test]
fn processes_that_begin_during_a_pass_are_counted() {
    if !is_root_or_skip("processes_that_begin_during_a_pass_are_counted") {
        return;
    }
    // Started at the first event, so that the pass has not listed it.
    let mut child = None;
    let wanted = page_at(0);
    let coverage = owners(&[wanted], PassOptions::new(), |_| {
        child.get_or_insert_with(|| Command::new("sleep").arg("60").spawn().expect("sleep"));
        ControlFlow::Continue(())
    });
    let coverage = coverage.unwrap();
    let mut child = child.expect("an event");
    let _ = child.kill();
    let _ = child.wait();
    assert!(coverage.started >= 1, "{coverage:?}");
    assert!(!coverage.is_complete());
}

#[test]
fn a_process_that_lost_pages_to_memory_errors_is_found() {
    let test = "a_process_that_lost_pages_to_memory_errors_is_found";
    if !is_root_or_skip(test) || !is_disposable_or_skip(test) {
        return;
    }
    const PAGES: u64 = 6;
    let lost = [1, 2, 4];
    let target = Target::spawn(|| {
        let at = memory::anonymous(PAGES * page());
        memory::advise(at, PAGES * page(), libc::MADV_NOHUGEPAGE);
        memory::touch(at, PAGES, 1);
        let pagemap = Pagemap::open(std::process::id());
        let place = |index: u64| (pagemap.entry(at + index * page()) & ((1 << 55) - 1)) * page();
        let mut told = vec![at];
        told.extend((0..PAGES).map(place));
        // The kernel tells the process, which lives on if it listens.
        extern "C" fn listen(_: libc::c_int) {}
        let listen = listen as extern "C" fn(libc::c_int);
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(libc::SIGBUS, listen as libc::sighandler_t) };
        let failed = lost.iter().filter(|&&index| {
            // Without memory failure in the kernel, or the privilege.
            !memory::advise(at + index * page(), page(), libc::MADV_HWPOISON)
        });
        told.push(failed.count() as u64);
        told
    });
    let (at, places) = (target.addresses()[0], &target.addresses()[1..]);
    if places[PAGES as usize] > 0 {
        return eprintln!("SKIPPED {test}: this kernel poisons no pages (CONFIG_MEMORY_FAILURE)");
    }
    let ranges: Vec<_> = places[..PAGES as usize]
        .iter()
        .map(|&place| page_at(place))
        .collect();
    for threads in [1, 2] {
        let found = Found::of(&ranges, threads);
        assert_eq!(found.unmapped, []);
        let sum: u64 = found.of_process(target.pid()).iter().map(|run| run.1).sum();
        assert_eq!(sum, (PAGES - lost.len() as u64) * page(), "{found:?}");
        let mut seen = Vec::new();
        for (owner, address) in &found.lost {
            assert_eq!(owner.process.pid, target.pid());
            assert_eq!(owner.region.backing, Backing::Poisoned);
            for offset in (0..owner.region.size()).step_by(page() as usize) {
                let virt = owner.region.virt.start().as_u64() + offset;
                seen.push((virt, address.as_u64() + offset));
            }
        }
        let expected = lost.map(|index| (at + index * page(), places[index as usize]));
        assert_eq!(seen, expected, "{found:?}");
    }
    for index in lost {
        assert_eq!(use_of(places[index as usize]), PageUse::Poisoned);
    }
}
