//! Memory for buffers: writable pages, with a read-only one and missing ones between,
//! and the check that a call wrote only where it may. Knows no call.

use std::ops::Range;
use std::sync::OnceLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use testkit::memory::{page, protect, try_map};

/// Place of a buffer.
#[derive(Arbitrary, Copy, Clone, Debug)]
pub(crate) enum Place {
    /// In the arena, at this offset.
    Arena(u16),
    /// In the arena, ending this many bytes before a page that cannot be written.
    Against(u8, u8),
    /// NULL.
    Null,
    /// In the lowest pages, which no process maps.
    Low(u16),
    /// Above the addresses of all processes.
    High(u64),
}

/// Protection of the arena's pages: writable, readable, none. The last part is as long
/// as any result of a call here.
const PAGES: &[u8] = b"-wwrww-w-";
const BEHIND: u64 = 1 << 28;
const PATTERN: u8 = 0x5a;

pub(crate) struct Arena {
    start: u64,
}

impl Arena {
    /// Returns the only arena, for the use of one call at a time.
    pub(crate) fn get() -> &'static Self {
        static ARENA: OnceLock<Arena> = OnceLock::new();
        ARENA.get_or_init(|| {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let size = PAGES.len() as u64 * page() + BEHIND;
            let start = try_map(size, libc::PROT_NONE, flags, -1, 0).expect("an arena");
            let arena = Self { start };
            for (index, &kind) in PAGES.iter().enumerate() {
                let at = start + index as u64 * page();
                let writable = libc::PROT_READ | libc::PROT_WRITE;
                match kind {
                    b'w' => protect(at, page(), writable),
                    b'r' => {
                        protect(at, page(), writable);
                        fill(at);
                        protect(at, page(), libc::PROT_READ);
                    }
                    _ => {}
                }
            }
            arena
        })
    }

    /// Returns the address of a buffer of `size` bytes.
    pub(crate) fn address(&self, place: Place, size: usize) -> usize {
        let len = PAGES.len() as u64 * page();
        (match place {
            Place::Arena(at) => self.start + u64::from(at) % len,
            Place::Against(index, distance) => {
                let borders: Vec<u64> = (1..PAGES.len())
                    .filter(|&index| PAGES[index - 1] == b'w' && PAGES[index] != b'w')
                    .map(|index| self.start + index as u64 * page())
                    .collect();
                let end = borders[usize::from(index) % borders.len()] - u64::from(distance % 64);
                end - (size as u64).min(page())
            }
            Place::Null => 0,
            Place::Low(at) => u64::from(at) % page(),
            // The upper half of the address space, which is the kernel's.
            Place::High(at) => at | 1 << 63,
        }) as usize
    }

    /// Fills all writable pages with the pattern.
    pub(crate) fn reset(&self) {
        for at in self.pages_that(|kind| kind == b'w') {
            fill(at);
        }
    }

    /// Returns whether all of these bytes can be written; an empty range always can.
    pub(crate) fn is_writable(&self, start: usize, len: usize) -> bool {
        let Some(end) = start.checked_add(len) else {
            return false;
        };
        let first = start as u64 & !(page() - 1);
        let mut pages = (first..end as u64).step_by(page() as usize);
        len == 0
            || pages.all(|at| {
                let index = at.wrapping_sub(self.start) / page();
                PAGES.get(index as usize) == Some(&b'w')
            })
    }

    /// Panics if anything but these bytes was written.
    pub(crate) fn check_untouched_but(&self, bytes: Range<usize>) {
        for at in self.pages_that(|kind| kind != b'-') {
            let held = contents(at);
            for (address, &byte) in (at as usize..).zip(held) {
                let changed = byte != PATTERN && !bytes.contains(&address);
                assert!(!changed, "{address:#x} was written, not among {bytes:x?}");
            }
        }
    }

    fn pages_that(&self, wanted: impl Fn(u8) -> bool) -> impl Iterator<Item = u64> {
        let (start, mut index) = (self.start, 0);
        let kinds = PAGES.iter().map(move |&kind| wanted(kind));
        kinds.filter_map(move |is_wanted| {
            index += 1;
            is_wanted.then(|| start + (index - 1) * page())
        })
    }
}

fn fill(at: u64) {
    // SAFETY: a page of the arena, which can be written; no reference to it lives.
    unsafe { std::ptr::write_bytes(at as *mut u8, PATTERN, page() as usize) };
}

fn contents(at: u64) -> &'static [u8] {
    // SAFETY: a page of the arena, which can be read and is never unmapped; the
    // slice is dropped before the next call writes.
    unsafe { std::slice::from_raw_parts(at as *const u8, page() as usize) }
}
