//! Kernel samepage merging for tests.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::machine::{or_skip, skip};
use crate::memory::{self, page};
use crate::oracle::{self, State};

/// Directory of its settings.
const DIR: &str = "/sys/kernel/mm/ksm";

/// A setting that is restored when dropped.
#[derive(Debug)]
struct Setting {
    path: String,
    before: String,
}

impl Setting {
    fn set(name: &str, value: &str) -> Option<Self> {
        let path = format!("{DIR}/{name}");
        let before = fs::read_to_string(&path).ok()?.trim().to_owned();
        fs::write(&path, value).ok()?;
        Some(Self { path, before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::write(&self.path, &self.before);
    }
}

/// Maps mergeable pages in the calling process, which begin with this number and are
/// zero otherwise.
pub fn alike(pages: u64, beginning: u64) -> u64 {
    let start = memory::anonymous(pages * page());
    memory::advise(start, pages * page(), libc::MADV_NOHUGEPAGE);
    for index in 0..pages {
        let first = (start + index * page()) as *mut u64;
        // SAFETY: aligned memory of the mapping just made.
        unsafe { first.write_volatile(beginning) };
    }
    memory::advise(start, pages * page(), libc::MADV_MERGEABLE);
    start
}

/// Returns a number with which no other page begins.
pub fn nobodys() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a time").as_nanos() as u64 ^ u64::from(std::process::id()) << 40
}

/// Makes the kernel merge pages until dropped, which restores its settings. Only one at
/// a time, of all processes.
#[derive(Debug)]
pub struct Merging {
    /// In the order of their restoration: merging stops first.
    _settings: Vec<Setting>,
    /// Lock, so that another test's settings are not restored.
    _lock: File,
}

impl Merging {
    /// Starts merging; pages of zeros become the zero page if `zeros`. `None`, with a
    /// message, where the kernel cannot.
    pub fn start(zeros: bool, test: &str) -> Option<Self> {
        let Ok(lock) = File::open(format!("{DIR}/run")) else {
            return skip(test, "this kernel merges no pages (CONFIG_KSM)");
        };
        // SAFETY: takes no memory; the descriptor is open.
        let locked = unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) };
        assert_eq!(locked, 0, "{}", std::io::Error::last_os_error());
        let mut settings = Vec::new();
        for (name, value) in [
            ("use_zero_pages", if zeros { "1" } else { "0" }),
            ("sleep_millisecs", "1"),
            // Other processes, such as virtual machines, can have gigabytes of it.
            ("pages_to_scan", "100000"),
            ("run", "1"),
        ] {
            settings.push(Setting::set(name, value));
        }
        settings.reverse();
        let is_running = settings[0].is_some();
        let merging = Self {
            _settings: settings.into_iter().flatten().collect(),
            _lock: lock,
        };
        or_skip(is_running, test, "having pages merged needs root").then_some(merging)
    }

    /// Waits until all of these pages of a process share one frame.
    ///
    /// # Panics
    /// If they are not after five minutes.
    pub fn wait_until_merged(&self, pid: u32, start: u64, pages: u64) {
        let frame = |index: u64| {
            let at = start + index * page();
            match oracle::runs(pid, at, at + page())[0].state {
                State::Memory(address) | State::Zero(address) => Some(address),
                _ => None,
            }
        };
        let until = Instant::now() + Duration::from_secs(300);
        loop {
            let first = frame(0);
            let merged = (0..pages).filter(|&index| frame(index) == first).count() as u64;
            if first.is_some() && merged == pages {
                return;
            }
            assert!(Instant::now() < until, "{merged} of {pages} are merged");
            thread::sleep(Duration::from_millis(20));
        }
    }
}
