//! Why memory is not huge: for each reason a target that has only that one.
//! Settings of the machine are taken as they are; which of them holds is no
//! business of a test's.

use std::fs;
use std::ops::ControlFlow;

use process_introspection::{
    AddrRange, AdviceReading, AnonymousMode, HugeCoverage, HugePageSettings, HugePolicy,
    PhysicalMap, Process, SharedMode, Summary, SummaryOptions,
};
use testkit::machine::{has_page_scan_or_skip, is_disposable_or_skip, is_root_or_skip};
use testkit::memory::{self, huge, page};
use testkit::target::{fork_sharer, Target};

/// What these targets have. Huge pages of 32 MiB leave little room.
const BLOCKS: u64 = 2;

fn size() -> u64 {
    BLOCKS * huge()
}

fn settings() -> HugePageSettings {
    HugePageSettings::read(huge())
}

/// The summary of what a target made.
fn summary_with(target: &Target, size: u64, advice: AdviceReading) -> Summary {
    let at = target.addresses()[0];
    let map = PhysicalMap::read().unwrap();
    let options = SummaryOptions::new(&map).advice(advice);
    let range = AddrRange::new(at, at + size).unwrap();
    let process = Process::open(target.pid()).unwrap();
    process
        .summary_with(&[range], &options, |_| ControlFlow::Continue(()))
        .unwrap()
}

/// Checks that all memory of a target has this policy and no other reason, and
/// that so much of it would be eligible.
fn is_only(target: &Target, policy: HugePolicy, eligible: u64) {
    let summary = summary_with(target, size(), AdviceReading::Always);
    let coverage = summary.coverage.unwrap();
    let all = HugeCoverage {
        policy: size(),
        ..HugeCoverage::default()
    };
    assert_eq!(coverage, all, "{policy:?}: {:?}", summary.policies);
    let policies: Vec<_> = summary.policies.iter().collect();
    let [(&found, of_it)] = policies[..] else {
        panic!("{policy:?}: {policies:?}");
    };
    assert_eq!((found, of_it.bytes), (policy, size()));
    assert_eq!((of_it.eligible, of_it.eligible_full), (eligible, eligible));
}

/// What is said of anonymous memory with this advice, if the machine's settings
/// do not forbid it before.
fn unless_never(policy: HugePolicy) -> HugePolicy {
    let settings = settings();
    match (settings.available, settings.anonymous()) {
        (Some(false), _) => HugePolicy::NoKernelSupport,
        (_, Some(AnonymousMode::Never)) => HugePolicy::EnabledNever,
        _ => policy,
    }
}

/// Full blocks of anonymous memory that was advised so before it was touched.
fn anonymous(advice: Option<i32>) -> Target {
    Target::spawn(|| {
        let at = memory::aligned(size(), huge());
        if let Some(advice) = advice {
            memory::advise(at, size(), advice);
        }
        memory::touch(at, size() / page(), 1);
        vec![at]
    })
}

macro_rules! unless_possible {
    ($test:literal) => {
        if !is_root_or_skip($test) || !has_page_scan_or_skip($test) {
            return;
        }
    };
}

#[test]
fn full_blocks_that_were_advised_against_have_that_reason() {
    unless_possible!("full_blocks_that_were_advised_against_have_that_reason");
    let target = anonymous(Some(libc::MADV_NOHUGEPAGE));
    is_only(&target, unless_never(HugePolicy::AdvisedAgainst), size());
}

#[test]
fn a_process_that_has_huge_pages_switched_off_has_that_reason() {
    unless_possible!("a_process_that_has_huge_pages_switched_off_has_that_reason");
    let target = Target::spawn(|| {
        memory::keep_page_sizes();
        let at = memory::aligned(size(), huge());
        // No advice helps.
        memory::advise(at, size(), libc::MADV_HUGEPAGE);
        memory::touch(at, size() / page(), 1);
        vec![at]
    });
    let policy = match settings().available {
        Some(false) => HugePolicy::NoKernelSupport,
        _ => HugePolicy::ProcessDisabled,
    };
    is_only(&target, policy, size());
    let summary = summary_with(&target, size(), AdviceReading::Always);
    assert_eq!(summary.huge_disabled, Some(true));
}

#[test]
fn memory_without_advice_has_the_machines_setting_as_its_reason() {
    let test = "memory_without_advice_has_the_machines_setting_as_its_reason";
    unless_possible!("memory_without_advice_has_the_machines_setting_as_its_reason");
    if settings().anonymous() == Some(AnonymousMode::Always) {
        return eprintln!("SKIPPED {test}: this machine needs no advice");
    }
    let target = anonymous(None);
    is_only(&target, unless_never(HugePolicy::NotAdvised), size());
}

/// Files in memory whose blocks are in step.
fn mapped_at_blocks(fd: i32, flags: i32) -> u64 {
    let at = memory::aligned(size(), huge());
    // SAFETY: replaces a mapping made for this.
    let mapped = unsafe {
        libc::mmap(
            at as *mut _,
            size() as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            flags | libc::MAP_FIXED,
            fd,
            0,
        )
    };
    assert_eq!(mapped as u64, at);
    at
}

#[test]
fn shared_memory_has_its_own_setting_as_its_reason() {
    let test = "shared_memory_has_its_own_setting_as_its_reason";
    unless_possible!("shared_memory_has_its_own_setting_as_its_reason");
    let policy = match settings().shared() {
        Some(SharedMode::Never | SharedMode::Deny) => HugePolicy::SharedNever,
        Some(SharedMode::Advise) => HugePolicy::SharedNotAdvised,
        other => return eprintln!("SKIPPED {test}: shmem_enabled is {other:?} here"),
    };
    let target = Target::spawn(|| {
        let at = mapped_at_blocks(memory::memfd(size()), libc::MAP_SHARED);
        memory::touch(at, size() / page(), 1);
        vec![at]
    });
    is_only(&target, policy, size());
    // Out of step it is still that, and nothing would be eligible.
    let target = Target::spawn(|| {
        let at = mapped_at_blocks(memory::memfd(size()), libc::MAP_SHARED);
        memory::unmap(at, size());
        let (fd, to) = (
            memory::memfd(2 * size()),
            memory::aligned(2 * size(), huge()),
        );
        // SAFETY: replaces a mapping made for this.
        unsafe {
            libc::mmap(
                (to + page()) as *mut _,
                size() as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED,
                fd,
                0,
            )
        };
        memory::touch(to + page(), size() / page(), 1);
        vec![to + page()]
    });
    is_only(&target, policy, 0);
}

/// A target with a file on a tmpfs of its own, mounted with this option; and the
/// directory, with which the mount goes.
fn on_tmpfs(option: &str) -> Option<(Target, tempfile::TempDir)> {
    let dir = tempfile::TempDir::new().unwrap();
    let text = |text: &str| std::ffi::CString::new(text).unwrap();
    let (point, options) = (text(dir.path().to_str().unwrap()), text(option));
    let file = text(dir.path().join("file").to_str().unwrap());
    let target = Target::spawn(|| {
        // SAFETY: live strings; the mount namespace is the target's own.
        let fd = unsafe {
            let private = libc::MS_REC | libc::MS_PRIVATE;
            let none = std::ptr::null();
            let tmpfs = c"tmpfs".as_ptr();
            if libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(none, c"/".as_ptr(), none, private, none.cast()) != 0
                || libc::mount(tmpfs, point.as_ptr(), tmpfs, 0, options.as_ptr().cast()) != 0
            {
                return vec![0];
            }
            libc::open(file.as_ptr(), libc::O_RDWR | libc::O_CREAT, 0o600)
        };
        // SAFETY: a descriptor of its own.
        assert_eq!(unsafe { libc::ftruncate(fd, size() as libc::off_t) }, 0);
        let at = mapped_at_blocks(fd, libc::MAP_SHARED);
        memory::touch(at, size() / page(), 1);
        vec![at]
    });
    (target.addresses()[0] != 0).then_some((target, dir))
}

#[test]
fn a_file_on_a_tmpfs_has_the_mounts_option_as_its_reason() {
    let test = "a_file_on_a_tmpfs_has_the_mounts_option_as_its_reason";
    unless_possible!("a_file_on_a_tmpfs_has_the_mounts_option_as_its_reason");
    if matches!(
        settings().shmem_enabled,
        Some(SharedMode::Deny | SharedMode::Force)
    ) {
        return eprintln!("SKIPPED {test}: one setting for all tmpfs");
    }
    for (option, policy) in [
        ("huge=never", HugePolicy::TmpfsNever),
        ("huge=advise", HugePolicy::TmpfsNotAdvised),
    ] {
        match on_tmpfs(option) {
            Some((target, _mounted)) => is_only(&target, policy, size()),
            None => eprintln!("SKIPPED {option} of {test}: cannot be mounted"),
        }
    }
}

/// A file that is not in memory, of random bytes.
fn file(size: u64) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), vec![7; usize::try_from(size).unwrap()]).unwrap();
    file
}

#[test]
fn private_copies_of_a_files_pages_have_that_reason() {
    unless_possible!("private_copies_of_a_files_pages_have_that_reason");
    let file = file(size());
    let path = file.path().to_str().unwrap().to_owned();
    let target = Target::spawn(|| {
        let at = mapped_at_blocks(memory::open(&path), libc::MAP_PRIVATE);
        memory::touch(at, size() / page(), 1);
        vec![at]
    });
    is_only(&target, HugePolicy::PrivateCopy, 0);
}

#[test]
fn advice_that_was_not_read_is_the_reason_and_the_frames_are_not() {
    let test = "advice_that_was_not_read_is_the_reason_and_the_frames_are_not";
    unless_possible!("advice_that_was_not_read_is_the_reason_and_the_frames_are_not");
    if !matches!(
        settings().anonymous(),
        Some(AnonymousMode::Always | AnonymousMode::Madvise)
    ) {
        return eprintln!("SKIPPED {test}: advice makes no difference here");
    }
    let check = |summary: Summary, size: u64| {
        let coverage = summary.coverage.unwrap();
        assert!(!summary.advice_read);
        assert_eq!(
            (coverage.policy, coverage.missed()),
            (size, size),
            "{coverage:?}"
        );
        assert_eq!(summary.policies[&HugePolicy::AdviceUnread].bytes, size);
    };
    let target = anonymous(Some(libc::MADV_NOHUGEPAGE));
    check(summary_with(&target, size(), AdviceReading::Never), size());
    if huge() > 2 << 20 {
        return eprintln!("SKIPPED the rest of {test}: it needs too much memory");
    }
    // Where it would hold the lock for long it is read on request only.
    let large = AdviceReading::CHEAP + huge();
    let target = Target::spawn(|| {
        let at = memory::aligned(large, huge());
        memory::advise(at, large, libc::MADV_NOHUGEPAGE);
        memory::touch(at, large / page(), 1);
        vec![at]
    });
    check(
        summary_with(&target, large, AdviceReading::WhereCheap),
        large,
    );
    let read = summary_with(&target, large, AdviceReading::Always);
    assert!(read.advice_read);
    assert_eq!(read.policies[&HugePolicy::AdvisedAgainst].bytes, large);
}

#[test]
fn a_process_that_allows_only_what_was_advised_is_seen_by_what_the_kernel_says() {
    let test = "a_process_that_allows_only_what_was_advised_is_seen_by_what_the_kernel_says";
    if !is_root_or_skip(test) || !is_disposable_or_skip(test) {
        return;
    }
    // PR_SET_THP_DISABLE with PR_THP_DISABLE_EXCEPT_ADVISED, Linux 6.18.
    let target = Target::spawn(|| {
        // SAFETY: takes no memory.
        let known = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 2, 0, 0) } == 0;
        let at = memory::aligned(size(), huge());
        memory::touch(at, size() / page(), 1);
        vec![if known { at } else { 0 }]
    });
    if target.addresses()[0] == 0 || settings().anonymous() != Some(AnonymousMode::Always) {
        return eprintln!("SKIPPED {test}: this kernel has no such thing, or needs advice for all");
    }
    is_only(&target, HugePolicy::NotEligible, size());
}

/// Checks that no policy is the reason, and returns the others.
fn no_policy(target: &Target, size: u64) -> HugeCoverage {
    let summary = summary_with(target, size, AdviceReading::Always);
    assert!(summary.policies.is_empty(), "{:?}", summary.policies);
    summary.coverage.unwrap()
}

#[test]
fn where_no_policy_forbids_it_size_alignment_and_the_page_cache_are_the_reasons() {
    let test = "where_no_policy_forbids_it_size_alignment_and_the_page_cache_are_the_reasons";
    unless_possible!(
        "where_no_policy_forbids_it_size_alignment_and_the_page_cache_are_the_reasons"
    );
    if settings().available != Some(true) {
        return eprintln!("SKIPPED {test}: no huge pages in this kernel");
    }
    let file = file(size() + huge());
    let path = file.path().to_str().unwrap().to_owned();
    let of_file = |length: u64, offset: u64, read: u64| {
        Target::spawn(|| {
            let at = memory::aligned(length, huge());
            let fd = memory::open_to_read(&path);
            // SAFETY: replaces a mapping made for this.
            unsafe {
                libc::mmap(
                    at as *mut _,
                    length as usize,
                    libc::PROT_READ,
                    libc::MAP_SHARED | libc::MAP_FIXED,
                    fd,
                    offset as libc::off_t,
                )
            };
            memory::read(at, read);
            vec![at]
        })
    };
    let small = 16 * page();
    let found = no_policy(&of_file(small, 0, 16), small);
    assert_eq!(found.too_small, found.resident(), "{found:?}");
    assert!(found.too_small == small, "{found:?}");
    let found = no_policy(&of_file(size(), page(), size() / page()), size());
    assert_eq!(
        (found.alignment, found.missed()),
        (size(), size()),
        "{found:?}"
    );
    // Whatever folios the file system has made.
    let found = no_policy(&of_file(size(), 0, size() / page()), size());
    let by_folios = found.page_cache + found.small_entries + found.huge;
    assert_eq!((by_folios, found.fragmented), (size(), 0), "{found:?}");
}

/// Forks a child that has all memory, too: khugepaged leaves pages alone of which
/// more than half are shared (`max_ptes_shared`, 256 of 512).
fn share_with_a_child() {
    fork_sharer(|| ());
}

#[test]
fn holes_and_scattered_frames_are_the_reasons_where_advice_came_too_late() {
    let test = "holes_and_scattered_frames_are_the_reasons_where_advice_came_too_late";
    unless_possible!("holes_and_scattered_frames_are_the_reasons_where_advice_came_too_late");
    if unless_never(HugePolicy::NotAdvised) != HugePolicy::NotAdvised {
        return eprintln!("SKIPPED {test}: no huge pages on this machine");
    }
    let late = |every: bool| {
        Target::spawn(|| {
            let at = memory::aligned(size(), huge());
            memory::advise(at, size(), libc::MADV_NOHUGEPAGE);
            // Neighbours do not come one after the other.
            memory::touch(at + page(), size() / page() / 2, 2);
            memory::touch(at + 2 * page(), size() / page() / 4, 4);
            if every {
                memory::touch(at, size() / page() / 4, 4);
            }
            share_with_a_child();
            memory::advise(at, size(), libc::MADV_HUGEPAGE);
            vec![at]
        })
    };
    for every in [true, false] {
        let found = no_policy(&late(every), size());
        if found.huge > 0 {
            return eprintln!("SKIPPED {test}: khugepaged was faster");
        }
        let expected = match every {
            true => (size(), 0, size()),
            false => (0, size() / 4 * 3, size() / 4 * 3),
        };
        let reasons = (found.fragmented, found.holes, found.missed());
        assert_eq!(reasons, expected, "{found:?}");
    }
}
