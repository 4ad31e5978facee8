//! Compares what a guest posts with its RAM, byte by byte. Knows nothing of how the
//! guest was started.

use std::ops::Range;

use crate::pattern::{self, PAGE};
use crate::ram::Ram;
use crate::slot::{Post, Record, Slot, INTERFACES, KINDS, SIZE};

/// Results.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Checked pages by kind.
    pub by_kind: [u64; KINDS.len()],
    /// Checked pages by interface.
    pub by_interface: [u64; INTERFACES.len()],
    /// Checked pages above 4 GiB.
    pub high: u64,
    /// Descriptions of the first wrong pages.
    pub examples: Vec<String>,
    /// Number of wrong, missing or superfluous pages.
    pub wrong: u64,
    /// Pages that were false on purpose and detected, by kind.
    pub controls: [u64; KINDS.len()],
}

impl Counts {
    /// Number of checked pages without those that were false on purpose.
    pub fn pages(&self) -> u64 {
        self.by_kind.iter().sum()
    }

    fn wrong(&mut self, pages: u64, what: impl FnOnce() -> String) {
        if self.wrong < 20 {
            self.examples.push(what());
        }
        self.wrong += pages;
    }
}

/// Compares reported addresses with a guest's RAM.
#[derive(Debug)]
pub struct Judge {
    ram: Ram,
    persistent: Vec<Range<u64>>,
    slots: Vec<(usize, Slot)>,
    counts: Counts,
}

impl Judge {
    /// Returns a judge without slots. The guest treats the RAM at the physical addresses
    /// `persistent` as persistent memory.
    pub fn new(ram: Ram, persistent: Vec<Range<u64>>) -> Self {
        Self {
            ram,
            persistent,
            slots: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Adds the slot of a kind, at the address that a library in the guest reported.
    ///
    /// # Errors
    /// No such slot is there.
    pub fn add(&mut self, kind: usize, paddr: u64) -> Result<(), String> {
        let wrong = || format!("slot {kind} is not at {paddr:#x}, where it was reported");
        let at = self.ram.memory(paddr, SIZE).ok_or_else(wrong)?;
        // SAFETY: mapped as long as `ram` lives; the guest accesses it as a slot.
        let slot = unsafe { Slot::new(at) };
        if kind >= KINDS.len() || !slot.is(kind) {
            return Err(wrong());
        }
        self.slots.push((kind, slot));
        Ok(())
    }

    /// Checks what was posted since the last call; returns false if nothing was.
    pub fn look(&mut self) -> bool {
        let mut found = false;
        for (kind, slot) in &self.slots {
            if slot.is_open() {
                found = true;
                check(&self.ram, &self.persistent, *kind, slot, &mut self.counts);
                slot.close();
            }
        }
        found
    }

    /// Results so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

fn check(ram: &Ram, persistent: &[Range<u64>], kind: usize, slot: &Slot, counts: &mut Counts) {
    let post = slot.posted();
    let (mut pages, mut held) = (0, 0);
    for index in 0..post.records {
        let record = slot.record(index);
        for page in 0..record.pages {
            pages += 1;
            let label = record.label + page * PAGE;
            let paddr = record.paddr + page * PAGE;
            let memory = ram.memory(paddr, PAGE);
            // SAFETY: `memory` returns only mapped pages.
            let is_held =
                memory.is_some_and(|at| unsafe { pattern::holds(at, record.stamp, label) });
            let is_persistent = persistent.iter().any(|range| range.contains(&paddr));
            let is_held = is_held && is_persistent == record.is_device;
            held += u64::from(is_held);
            counts.high += u64::from(is_held && !post.is_control && paddr >= 4 << 30);
            if is_held == post.is_control {
                counts.wrong(1, || wrong_page(kind, &post, &record, page));
            }
        }
    }
    if pages != post.pages {
        let (kind, expected) = (KINDS[kind], post.pages);
        counts.wrong(pages.abs_diff(expected), || {
            format!("{kind}: {pages} pages were reported of {expected}")
        });
    }
    if post.is_control {
        counts.controls[kind] += pages - held;
    } else {
        counts.by_kind[kind] += pages;
        if let Some(count) = counts.by_interface.get_mut(post.interface) {
            *count += pages;
        }
    }
}

fn wrong_page(kind: usize, post: &Post, record: &Record, page: u64) -> String {
    let what = if post.is_control {
        "holds what a control said"
    } else {
        "does not hold what was written"
    };
    format!(
        "{}, {}: page {page} of {record:x?} {what}",
        KINDS[kind],
        INTERFACES.get(post.interface).unwrap_or(&"?"),
    )
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::FromRawFd;

    use super::*;

    /// Two slots' worth of RAM; the slot is in the second, at this address.
    const AT: u64 = SIZE;

    fn ram() -> File {
        // SAFETY: a NUL-terminated name; the descriptor is new and ours alone.
        let file = unsafe {
            let fd = libc::memfd_create(c"ram".as_ptr(), libc::MFD_CLOEXEC);
            assert!(fd >= 0);
            File::from_raw_fd(fd)
        };
        file.set_len(2 * SIZE).unwrap();
        file
    }

    /// A guest that has written three pages, and posts these records of them.
    fn judged(records: &[Record], pages: u64, is_control: bool) -> Counts {
        let file = ram();
        let guest = Ram::map(&file).unwrap();
        for page in 0..3 {
            let at = guest.memory(page * PAGE, PAGE).unwrap();
            // SAFETY: a page of the file, which only this test has mapped.
            unsafe { pattern::write(at, 5, 0x7000 + page * PAGE) };
        }
        // SAFETY: mapped as long as `guest` is, and accessed by slots only.
        let slot = unsafe { Slot::new(guest.memory(AT, SIZE).unwrap()) };
        slot.begin(0);
        let third = 2 * PAGE..3 * PAGE;
        let mut judge = Judge::new(Ram::map(&file).unwrap(), vec![third]);
        judge.add(0, AT).unwrap();
        assert!(!judge.look());
        for (index, &record) in records.iter().enumerate() {
            slot.store(index, record);
        }
        slot.post(Post {
            records: records.len(),
            pages,
            interface: 1,
            is_control,
        });
        assert!(judge.look() && !slot.is_open() && !judge.look());
        judge.counts().clone()
    }

    /// Two pages of RAM.
    const RIGHT: Record = Record {
        label: 0x7000,
        paddr: 0,
        pages: 2,
        stamp: 5,
        is_device: false,
    };

    /// The page behind them, which is persistent memory.
    const DEVICE: Record = Record {
        label: 0x7000 + 2 * PAGE,
        paddr: 2 * PAGE,
        pages: 1,
        stamp: 5,
        is_device: true,
    };

    #[test]
    fn what_is_right_is_counted() {
        let counts = judged(&[RIGHT, DEVICE], 3, false);
        assert_eq!((counts.pages(), counts.wrong), (3, 0));
        assert_eq!(counts.controls, [0; KINDS.len()]);
        assert_eq!(counts.by_interface[1], 3);
    }

    #[test]
    fn a_wrong_address_a_stale_stamp_and_no_ram_are_wrong() {
        let moved = Record {
            paddr: PAGE,
            ..RIGHT
        };
        assert_eq!(judged(&[moved], 2, false).wrong, 2);
        let stale = Record { stamp: 4, ..RIGHT };
        assert_eq!(judged(&[stale], 2, false).wrong, 2);
        let nowhere = Record {
            paddr: 2 * SIZE,
            ..RIGHT
        };
        assert_eq!(judged(&[nowhere], 2, false).wrong, 2);
        let beyond = Record { pages: 2, ..DEVICE };
        assert_eq!(judged(&[beyond], 2, false).wrong, 1);
    }

    #[test]
    fn ram_that_is_called_a_device_and_the_reverse_are_wrong() {
        let device = Record {
            is_device: true,
            ..RIGHT
        };
        assert_eq!(judged(&[device], 2, false).wrong, 2);
        let ram = Record {
            is_device: false,
            ..DEVICE
        };
        assert_eq!(judged(&[ram], 1, false).wrong, 1);
    }

    #[test]
    fn pages_that_are_missing_are_wrong() {
        assert_eq!(judged(&[RIGHT], 3, false).wrong, 1);
        assert_eq!(judged(&[], 3, false).wrong, 3);
    }

    #[test]
    fn a_control_that_holds_is_wrong() {
        let moved = Record {
            paddr: PAGE,
            ..RIGHT
        };
        let counts = judged(&[moved], 2, true);
        assert_eq!(
            (counts.controls[0], counts.wrong, counts.pages()),
            (2, 0, 0)
        );
        assert_eq!(judged(&[RIGHT], 2, true).wrong, 2);
    }

    #[test]
    fn a_slot_must_be_where_it_is_said_to_be() {
        let mut judge = Judge::new(Ram::map(&ram()).unwrap(), Vec::new());
        assert!(judge.add(0, AT).is_err());
        assert!(judge.add(0, 1 << 40).is_err());
    }
}
