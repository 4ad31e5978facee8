//! Slots between guest and host: one huge page of the guest for each kind of memory.
//! The guest posts what a library reported, and the host marks it as checked. Knows
//! no meaning of what is posted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Size of a slot in bytes: a hugetlb page, which never moves.
pub const SIZE: u64 = 2 << 20;

const WORDS: usize = SIZE as usize / 8;

/// Kinds of memory by the numbers of their slots.
pub const KINDS: [&str; 16] = [
    "4 KiB pages",
    "transparent huge pages",
    "hugetlb 2 MiB",
    "hugetlb 1 GiB",
    "memfd",
    "file",
    "private copies of a file",
    "shared anonymous",
    "another process's",
    "zero page",
    "private /dev/zero",
    "private /dev/zero, huge pages",
    "DAX file",
    "DAX file, private copies",
    "DAX device, huge pages",
    "DAX device, 4 KiB pages",
];

/// Interfaces by which a guest queries addresses.
pub const INTERFACES: [&str; 6] = [
    "Rust physical regions",
    "C physical regions",
    "Rust page table",
    "C page table",
    "Rust extents",
    "C cursor",
];

/// Reported addresses of some pages, and their expected content.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Label of the first page; the others count up by the page size.
    pub label: u64,
    /// Reported physical address.
    pub paddr: u64,
    /// Number of pages.
    pub pages: u64,
    /// Stamp of their pattern.
    pub stamp: u64,
    /// Whether they were reported as device memory.
    pub is_device: bool,
}

const RECORD_WORDS: usize = 5;

/// Maximum number of records in a slot.
pub const CAPACITY: usize = (WORDS - HEADER_WORDS) / RECORD_WORDS;

const HEADER_WORDS: usize = 8;
const MAGIC: u64 = 0x7472_7574_6820_2121;
const AT_MAGIC: usize = 0;
const AT_POSTED: usize = 1;
const AT_CHECKED: usize = 2;
const AT_RECORDS: usize = 3;
const AT_PAGES: usize = 4;
const AT_INTERFACE: usize = 5;
const AT_CONTROL: usize = 6;

/// Header of the records in a slot.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Number of records.
    pub records: usize,
    /// Expected number of pages of all records.
    pub pages: u64,
    /// Number of the interface that reported them.
    pub interface: usize,
    /// Whether all addresses are false on purpose.
    pub is_control: bool,
}

/// A slot, mapped by the guest or by the host.
#[derive(Debug)]
pub struct Slot(*mut u64);

// SAFETY: every access to the memory is atomic.
unsafe impl Send for Slot {}

impl Slot {
    /// # Safety
    /// `at` is mapped for reading and writing, aligned, of [`SIZE`] bytes, for
    /// as long as this lives, and accessed through slots only.
    pub unsafe fn new(at: *mut u64) -> Self {
        Self(at)
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS);
        // SAFETY: within the memory of `new`'s contract.
        unsafe { AtomicU64::from_ptr(self.0.add(index)) }
    }

    /// Marks it as the slot with this number (guest).
    pub fn begin(&self, number: usize) {
        self.word(AT_POSTED).store(0, Ordering::SeqCst);
        self.word(AT_CHECKED).store(0, Ordering::SeqCst);
        self.word(AT_MAGIC)
            .store(MAGIC ^ number as u64, Ordering::SeqCst);
    }

    /// Whether it is the slot with this number (host).
    pub fn is(&self, number: usize) -> bool {
        self.word(AT_MAGIC).load(Ordering::SeqCst) == MAGIC ^ number as u64
    }

    /// Whether something was posted and is not yet checked.
    pub fn is_open(&self) -> bool {
        let words = [AT_POSTED, AT_CHECKED].map(|at| self.word(at).load(Ordering::SeqCst));
        words[0] != words[1]
    }

    /// Stores a record (guest).
    pub fn store(&self, index: usize, record: Record) {
        assert!(index < CAPACITY);
        let at = HEADER_WORDS + index * RECORD_WORDS;
        let words = [
            record.label,
            record.paddr,
            record.pages,
            record.stamp,
            u64::from(record.is_device),
        ];
        for (index, word) in words.into_iter().enumerate() {
            self.word(at + index).store(word, Ordering::Relaxed);
        }
    }

    /// Returns a record (host).
    pub fn record(&self, index: usize) -> Record {
        assert!(index < CAPACITY);
        let at = HEADER_WORDS + index * RECORD_WORDS;
        let word = |index| self.word(at + index).load(Ordering::Relaxed);
        Record {
            label: word(0),
            paddr: word(1),
            pages: word(2),
            stamp: word(3),
            is_device: word(4) != 0,
        }
    }

    /// Posts the stored records for the host to check (guest).
    pub fn post(&self, post: Post) {
        let store = |at, value| self.word(at).store(value, Ordering::SeqCst);
        store(AT_RECORDS, post.records as u64);
        store(AT_PAGES, post.pages);
        store(AT_INTERFACE, post.interface as u64);
        store(AT_CONTROL, u64::from(post.is_control));
        self.word(AT_POSTED).fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the header of what was posted (host).
    pub fn posted(&self) -> Post {
        let load = |at| self.word(at).load(Ordering::SeqCst);
        Post {
            records: (load(AT_RECORDS) as usize).min(CAPACITY),
            pages: load(AT_PAGES),
            interface: load(AT_INTERFACE) as usize,
            is_control: load(AT_CONTROL) != 0,
        }
    }

    /// Marks what was posted as checked (host).
    pub fn close(&self) {
        let posted = self.word(AT_POSTED).load(Ordering::SeqCst);
        self.word(AT_CHECKED).store(posted, Ordering::SeqCst);
    }
}
