//! The threads of a walk and its memory, counted in a process that does nothing
//! else.

use std::ops::ControlFlow;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{Duration, Instant};

use testkit::alone::is_alone;
use testkit::machine::{has_addresses_or_skip, has_page_scan_or_skip, is_root_or_skip};
use testkit::memory::{self, page};
use testkit::scale::scaled;
use testkit::target::Target;

use super::{fragmented, open, parallel};

/// How many threads this process has.
fn threads_of_this() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// The same when those that have ended are gone from /proc, too: the kernel
/// takes them away a moment after whoever waits for them has been told.
fn threads_that_stay() -> usize {
    let until = Instant::now() + Duration::from_secs(10);
    while threads_of_this() > 1 && Instant::now() < until {
        std::thread::yield_now();
    }
    threads_of_this()
}

#[test]
fn threads_are_started_for_a_long_walk_only_and_none_is_left() {
    let (size, touched) = (scaled(1 << 40), scaled(4096));
    if !is_root_or_skip("threads")
        || !has_page_scan_or_skip("threads")
        || !has_addresses_or_skip(size, "threads")
    {
        return;
    }
    if !is_alone("threads::threads_are_started_for_a_long_walk_only_and_none_is_left") {
        return;
    }
    let target = Target::spawn(|| {
        let at = memory::anonymous(size);
        memory::touch(at, touched, size / touched / page());
        vec![at]
    });
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let most_threads = move |end: u64, threads: usize| {
        let process = open(pid, (false, false));
        let mut most = 0;
        assert_eq!(threads_that_stay(), 1);
        let walked = process.walk(at..end).threads(threads).for_each(|_| {
            most = threads_of_this().max(most);
            ControlFlow::Continue(())
        });
        walked.expect("a walk");
        most
    };
    // The threads of a child are its own.
    let walker = Target::spawn(|| {
        let long = |threads| most_threads(at + size, threads) as u64;
        let (alone, two, three) = (long(1), long(2), long(3));
        // A short one takes long where other programs have the processor.
        let short = (0..20).map(|_| most_threads(at + 64 * page(), 8)).min();
        let short = short.unwrap_or(0) as u64;
        vec![alone, two, three, short, threads_that_stay() as u64]
    });
    assert_eq!(walker.addresses(), [1, 2, 3, 1, 1]);
}

#[test]
fn a_caller_that_panics_gets_its_panic_back_and_no_thread_is_left() {
    if !is_root_or_skip("a caller that panics") {
        return;
    }
    if !is_alone("threads::a_caller_that_panics_gets_its_panic_back_and_no_thread_is_left") {
        return;
    }
    let pages = scaled(65_536);
    let (size, enough) = (pages * page(), pages / 2);
    let target = Target::spawn(|| vec![fragmented(size)]);
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let walker = Target::spawn(|| {
        // What is said of the panics would be in the way.
        std::panic::set_hook(Box::new(|_| ()));
        let mut numbers = Vec::new();
        for threads in [1, 2, 8] {
            let process = open(pid, (false, false));
            let mut given = 0;
            let walked = catch_unwind(AssertUnwindSafe(|| {
                process.walk(at..at + size).threads(threads).for_each(|_| {
                    given += 1;
                    assert!(given < enough, "enough");
                    ControlFlow::Continue(())
                })
            }));
            numbers.extend([u64::from(walked.is_err()), given]);
        }
        numbers.push(threads_that_stay() as u64);
        numbers
    });
    assert_eq!(walker.addresses(), [1, enough, 1, enough, 1, enough, 1]);
}

#[test]
fn a_walk_starts_no_threads_for_cpus_that_another_walk_of_the_program_occupies() {
    if !is_root_or_skip("walks at the same time") {
        return;
    }
    if !is_alone(
        "threads::a_walk_starts_no_threads_for_cpus_that_another_walk_of_the_program_occupies",
    ) {
        return;
    }
    let size = scaled(262_144) * page();
    let target = Target::spawn(|| vec![fragmented(size)]);
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let walker = Target::spawn(|| {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let process = open(pid, (false, false));
        let walk_all = |each: &mut dyn FnMut(), threads: usize| {
            let walked = process.walk(at..at + size).threads(threads).for_each(|_| {
                each();
                ControlFlow::Continue(())
            });
            walked.expect("a walk");
        };
        let most_threads = || {
            let mut most = 0;
            walk_all(&mut || most = threads_of_this().max(most), 0);
            most
        };
        let alone = most_threads();
        assert_eq!(threads_that_stay(), 1);
        // The threads of the first walk stay while their regions wait.
        let mut beside = None;
        let mut each = || {
            if beside.is_none() && threads_of_this() == cpus + 1 {
                beside = Some(most_threads());
            }
        };
        walk_all(&mut each, cpus + 1);
        let numbers = [cpus, alone, beside.unwrap_or(0)];
        numbers.map(|number| number as u64).to_vec()
    });
    let [cpus, alone, beside] = *walker.addresses() else {
        panic!()
    };
    assert_eq!(alone, cpus.min(8));
    // Threads of the first walk can have ended meanwhile.
    assert!((1..=cpus + 1).contains(&beside), "{beside} of {cpus}");
}

/// Before Linux 6.2 each thread counts up to 64 pages by itself; they are added
/// up when it unmaps some (mm/memory.c, `TASK_RSS_EVENTS_THRESH`,
/// `add_mm_rss_vec`, Linux 6.1).
fn add_up_pages() {
    let at = memory::anonymous(page());
    memory::touch(at, 1, 1);
    memory::unmap(at, page());
}

#[test]
fn memory_stays_within_a_mebibyte_whatever_is_found_and_however_slowly_it_is_taken() {
    if !is_root_or_skip("memory of a walk") {
        return;
    }
    if !is_alone(
        "threads::memory_stays_within_a_mebibyte_whatever_is_found_and_however_slowly_it_is_taken",
    ) {
        return;
    }
    let pages = scaled(262_144);
    let size = pages * page();
    let target = Target::spawn(|| vec![fragmented(size)]);
    let (pid, at) = (target.pid(), target.addresses()[0]);
    let walker = Target::spawn(|| {
        let kib = |field: &str| {
            add_up_pages();
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            let number = line.split_whitespace().nth(1).unwrap();
            number.parse::<u64>().unwrap()
        };
        let process = open(pid, (false, false));
        // The code and what the first use of anything needs: not the walk's.
        let _ = parallel(&process, at, at + 64 * page(), 2);
        let _ = kib("VmHWM");
        let mut growth = Vec::new();
        for threads in [1, 2, 8] {
            // The high-water mark begins anew (proc(5), clear_refs).
            add_up_pages();
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
            let before = kib("VmHWM");
            let mut count = 0u64;
            let walked = process.walk(at..at + size).threads(threads).for_each(|_| {
                count += 1;
                // A slow caller, so that the others come as far as they may.
                if count % 100_000 == 0 {
                    std::thread::sleep(Duration::from_millis(200));
                }
                ControlFlow::Continue(())
            });
            walked.expect("a walk");
            growth.extend([count, kib("VmHWM") - before]);
        }
        growth
    });
    let [count, alone, same, two, again, eight] = *walker.addresses() else {
        panic!()
    };
    eprintln!("{alone} KiB, with 2 threads {two} KiB, with 8 {eight} KiB");
    assert!(count > pages * 3 / 4 && same == count && again == count);
    assert!(alone <= 1024 && two <= 1024, "{alone} KiB, {two} KiB");
    // What a thread has of its own comes on top.
    assert!(eight <= 2048, "{eight} KiB");
}
