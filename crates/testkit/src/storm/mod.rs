//! Targets that change, execute other programs and die while they are walked, for a
//! requested duration, and the conditions that must hold nevertheless: order, correct
//! addresses of locked pages, clean errors, an end, no growth. Knows no library: the
//! caller passes the walks.

mod restless;

use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::memory::{self, page};
use crate::oracle::{self, Pagemap, State};
use crate::random::Random;
use crate::target::Target;
use restless::{Restless, PINNED};

/// A physical region of a list.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First address.
    pub start: u64,
    /// End address.
    pub end: u64,
    /// Physical address; `None` if it is not backed.
    pub address: Option<u64>,
}

/// A virtual region of a list.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// First address.
    pub start: u64,
    /// End address.
    pub end: u64,
    /// Whether it contains the main thread's stack.
    pub is_stack: bool,
}

/// An implementation of walks. Errors are error numbers.
pub struct Walker<'a> {
    /// Name in messages.
    pub name: &'a str,
    /// Returns the physical regions of a range of a process.
    #[allow(clippy::type_complexity)]
    pub physical: &'a dyn Fn(u32, Range<u64>) -> Result<Vec<Piece>, i32>,
    /// Returns all virtual regions of a process.
    #[allow(clippy::type_complexity)]
    pub mapped: &'a dyn Fn(u32) -> Result<Vec<Mapped>, i32>,
}

/// Variable of the duration of these tests in seconds.
pub const SECONDS: &str = "INTROSPECTION_CHURN_SECONDS";

/// Variable of the events that must happen: `swap`, `nodes` (pages move between them),
/// or both with a comma.
pub const MUST: &str = "INTROSPECTION_CHURN_MUST";

/// Returns the requested duration, or a few seconds.
pub fn duration() -> Duration {
    let asked = std::env::var(SECONDS)
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(6))
}

/// Numbers of events.
#[derive(Clone, Debug, Default)]
struct Tally {
    walks: u64,
    /// Lists that differ from the one before.
    changed: u64,
    /// Pieces of 2 MiB and more: probably huge pages.
    huge: u64,
    pinned_pages: u64,
    whole_lists: u64,
    gone: u64,
    compared: u64,
    /// KiB in swap when lists were compared with the oracle's.
    swapped: u64,
}

/// Ends the program after a minute without progress.
struct Watchdog(Arc<AtomicU64>);

impl Watchdog {
    fn start() -> Self {
        let beats = Arc::new(AtomicU64::new(0));
        let watched = Arc::downgrade(&beats);
        std::thread::spawn(move || {
            let mut last = (u64::MAX, Instant::now());
            while let Some(beats) = watched.upgrade() {
                let now = beats.load(Ordering::Relaxed);
                if now != last.0 {
                    last = (now, Instant::now());
                } else if last.1.elapsed() > Duration::from_secs(60) {
                    eprintln!("nothing has ended for a minute; where threads are:");
                    where_threads_are();
                    std::process::abort();
                }
                drop(beats);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        Self(beats)
    }

    fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Prints the kernel stacks of this process's threads and of its children, to find the
/// reason of a wait.
fn where_threads_are() {
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    for task in tasks.map(|task| task.path()) {
        let children = fs::read_to_string(task.join("children")).unwrap_or_default();
        let children = children
            .split_whitespace()
            .map(|child| format!("/proc/{child}").into());
        for dir in std::iter::once(task).chain(children) {
            let text = |file| fs::read_to_string(dir.join(file)).unwrap_or_default();
            eprintln!("{}: {}{}", dir.display(), text("stat"), text("stack"));
        }
    }
}

/// Returns a size in a process's `status` in KiB, such as `VmRSS`.
fn kib(process: &str, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("status");
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let value = value.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    value.unwrap_or_else(|| panic!("{field} of {process}"))
}

/// Returns the number of open descriptors, and the resident KiB.
fn size_of_this_process() -> (usize, u64) {
    let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    (files, kib("self", "VmRSS"))
}

/// Walks by all implementations in turn for [`duration`] and prints the numbers of
/// events. Panics when a condition does not hold. Nothing else may run in this process.
pub fn run(walkers: &[Walker<'_>]) {
    let until = Instant::now() + duration();
    let watchdog = Watchdog::start();
    let mut random = Random::new(std::process::id().into());
    let mut tallies = vec![Tally::default(); walkers.len()];
    let restless = Restless::spawn(7);
    let executing = executing();
    let mut size = None;
    let mut round = 0u64;
    while Instant::now() < until || round < 4 {
        for (walker, tally) in walkers.iter().zip(&mut tallies) {
            let mut last = Vec::new();
            for _ in 0..4 {
                let pieces = while_it_changes(walker, &restless, tally);
                tally.changed += u64::from(!last.is_empty() && pieces != last);
                last = pieces;
                while_it_executes(walker, &executing, tally);
                watchdog.beat();
            }
            if round % 8 == 0 {
                as_the_oracle(walker, &restless, tally);
            }
            if round % 4 == 0 {
                while_it_dies(walker, random.below(400), tally);
            }
            watchdog.beat();
        }
        if round % 64 == 32 && std::env::var_os(SECONDS).is_some() {
            // Moves pages of all processes: not in an ordinary run, where other
            // tests compare addresses.
            let _ = fs::write("/proc/sys/vm/compact_memory", "1");
        }
        round += 1;
        if round == 4 {
            size = Some(size_of_this_process());
        }
    }
    let (files, resident) = size_of_this_process();
    let (files_before, resident_before) = size.expect("a few rounds");
    for (walker, tally) in walkers.iter().zip(&tallies) {
        println!("{}: {tally:?}", walker.name);
        assert!(tally.walks > 0 && tally.pinned_pages > 0, "{}", walker.name);
        assert!(tally.changed > 0, "{}: nothing has changed", walker.name);
        assert!(
            tally.compared > 0 && tally.whole_lists > 0,
            "{}",
            walker.name
        );
    }
    assert!(
        tallies.iter().any(|tally| tally.gone > 0),
        "no walk was cut short"
    );
    let swapped: u64 = tallies.iter().map(|tally| tally.swapped).sum();
    let moved = restless.moved();
    println!("{swapped} KiB seen in swap, {moved} pages moved to another node");
    for what in std::env::var(MUST)
        .unwrap_or_default()
        .split_terminator(',')
    {
        match what {
            "swap" => assert!(swapped > 0, "nothing was in swap"),
            "nodes" => assert!(moved > 0, "nothing was moved to another node"),
            other => panic!("{MUST}: {other}"),
        }
    }
    println!("{files_before} to {files} descriptors, {resident_before} to {resident} KiB");
    assert_eq!(files, files_before, "descriptors are left");
    assert!(resident < resident_before + 16384, "the process grows");
}

fn check_order(walker: &Walker<'_>, pieces: &[Piece]) {
    for pair in pieces.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{}: {pair:x?}", walker.name);
    }
    for piece in pieces {
        let aligned = piece.start % page() == 0 && piece.end % page() == 0;
        assert!(
            piece.start < piece.end && aligned,
            "{}: {piece:x?}",
            walker.name
        );
        assert_ne!(piece.address, Some(0), "{}: {piece:x?}", walker.name);
    }
}

/// Checks that locked pages are where they were before and after.
fn while_it_changes(walker: &Walker<'_>, restless: &Restless, tally: &mut Tally) -> Vec<Piece> {
    let pagemap = Pagemap::open(restless.target.pid());
    let entries = || -> Vec<u64> {
        let entry = |index| pagemap.entry(restless.pinned + index * page());
        (0..PINNED).map(entry).collect()
    };
    let before = entries();
    let pieces = (walker.physical)(restless.target.pid(), restless.start..restless.end)
        .unwrap_or_else(|errno| panic!("{}: error {errno}", walker.name));
    let after = entries();
    check_order(walker, &pieces);
    let outside = |piece: &&Piece| piece.start < restless.start || piece.end > restless.end;
    assert_eq!(pieces.iter().find(outside), None, "{}", walker.name);
    for index in (0..PINNED as usize).filter(|&index| before[index] == after[index]) {
        let at = restless.pinned + index as u64 * page();
        let holds = |piece: &&Piece| piece.start <= at && at < piece.end;
        let piece = pieces.iter().find(holds);
        let given = piece.and_then(|piece| Some(piece.address? + (at - piece.start)));
        let frame = before[index] & ((1 << 55) - 1);
        assert_eq!(given, Some(frame * page()), "{}: {at:#x}", walker.name);
        tally.pinned_pages += 1;
    }
    tally.walks += 1;
    let is_huge = |piece: &&Piece| piece.address.is_some() && piece.end - piece.start >= 2 << 20;
    tally.huge += pieces.iter().filter(is_huge).count() as u64;
    let mapped = (walker.mapped)(restless.target.pid())
        .unwrap_or_else(|errno| panic!("{}: error {errno}", walker.name));
    check_mapped(walker, &mapped);
    pieces
}

fn check_mapped(walker: &Walker<'_>, mapped: &[Mapped]) {
    for pair in mapped.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{}: {pair:x?}", walker.name);
    }
    // Behind nearly all other mappings: without it the list was truncated. But
    // exec installs the new memory map with a single mapping, for the arguments,
    // which is named a stack only after it was moved to its place, and before
    // anything else is mapped (6.18, mm/vma_exec.c, create_init_stack_vma, and
    // fs/exec.c, setup_arg_pages; fs/exec.c, __bprm_mm_init before 6.16). An
    // exec that takes long is not waited for.
    let has_stack = mapped.iter().any(|mapped| mapped.is_stack);
    assert!(
        has_stack || mapped.len() == 1,
        "{}: {mapped:x?}",
        walker.name
    );
}

/// A program that only executes itself: a shell.
pub fn executing() -> Target {
    Target::spawn_reporting(|report| {
        report.send(&[]);
        let again = c"exec sh -c \"$0\" \"$0\"".as_ptr();
        let arguments = [
            c"sh".as_ptr(),
            c"-c".as_ptr(),
            again,
            again,
            std::ptr::null(),
        ];
        // SAFETY: NUL-terminated strings in a NULL-terminated array.
        unsafe { libc::execvp(c"sh".as_ptr(), arguments.as_ptr()) };
    })
}

fn while_it_executes(walker: &Walker<'_>, target: &Target, tally: &mut Tally) {
    match (walker.mapped)(target.pid()) {
        Ok(mapped) => {
            check_mapped(walker, &mapped);
            tally.whole_lists += 1;
        }
        Err(errno) => check_gone(walker, errno, tally),
    }
    match (walker.physical)(target.pid(), 0..u64::MAX) {
        Ok(pieces) => check_order(walker, &pieces),
        Err(errno) => check_gone(walker, errno, tally),
    }
}

fn check_gone(walker: &Walker<'_>, errno: i32, tally: &mut Tally) {
    assert_eq!(errno, libc::ESRCH, "{}", walker.name);
    tally.gone += 1;
}

/// Returns the whole list, nothing of a dead process, or its error.
fn while_it_dies(walker: &Walker<'_>, microseconds: u64, tally: &mut Tally) {
    const AREAS: u64 = 600;
    let target = Target::spawn(|| {
        let at = memory::anonymous(AREAS * page());
        memory::touch(at, AREAS, 1);
        for index in (0..AREAS).step_by(2) {
            memory::protect(at + index * page(), page(), libc::PROT_READ);
        }
        vec![at]
    });
    let at = target.addresses()[0];
    let range = at..at + AREAS * page();
    let whole = |pieces: &[Piece]| {
        let size: u64 = pieces.iter().map(|piece| piece.end - piece.start).sum();
        size == AREAS * page() && pieces.iter().all(|piece| piece.address.is_some())
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_micros(microseconds));
            target.kill();
        });
        for _ in 0..20 {
            match (walker.physical)(target.pid(), range.clone()) {
                Ok(pieces) => {
                    let right = pieces.is_empty() || whole(&pieces);
                    assert!(right, "{}: {} pieces", walker.name, pieces.len());
                    tally.whole_lists += u64::from(!pieces.is_empty());
                    check_order(walker, &pieces);
                }
                Err(errno) => check_gone(walker, errno, tally),
            }
        }
    });
}

/// Compares the list of the stopped target with the oracle's.
fn as_the_oracle(walker: &Walker<'_>, restless: &Restless, tally: &mut Tally) {
    restless.target.stop();
    let pid = restless.target.pid();
    // It is also 0 without CONFIG_SWAP.
    tally.swapped += kib(&pid.to_string(), "VmSwap");
    // The kernel moves pages of a stopped process, too: compare again.
    let mut different = None;
    for _ in 0..10 {
        let pieces = (walker.physical)(pid, restless.start..restless.end)
            .unwrap_or_else(|errno| panic!("{}: error {errno}", walker.name));
        let runs = oracle::runs(pid, restless.start, restless.end);
        let expected: Vec<Piece> = runs
            .iter()
            .map(|run| Piece {
                start: run.start,
                end: run.end,
                address: match run.state {
                    State::Memory(address) | State::Zero(address) | State::Device(address) => {
                        Some(address)
                    }
                    State::Nothing | State::Guard | State::Other(_) | State::Hugetlb => None,
                },
            })
            .collect();
        let at = pieces
            .iter()
            .zip(&expected)
            .find(|(given, expected)| given != expected);
        different = match at {
            None if pieces.len() == expected.len() => None,
            at => Some(format!("{at:x?}, {} of {}", pieces.len(), expected.len())),
        };
        if different.is_none() {
            break;
        }
    }
    restless.target.go_on();
    assert_eq!(different, None, "{}", walker.name);
    tally.compared += 1;
}
