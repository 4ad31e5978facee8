//! Where guest and host meet: a huge page of the guest's for each kind of
//! memory, into which the guest posts what a library said, and in which the
//! host says that it has looked. Knows nothing of what is posted.

use std::sync::atomic::{AtomicU64, Ordering};

/// The size of a slot, in bytes: a huge page, which stays where it is.
pub const SIZE: u64 = 2 << 20;

const WORDS: usize = SIZE as usize / 8;

/// The kinds of memory, by the numbers of their slots.
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

/// The ways in which a guest asks.
pub const INTERFACES: [&str; 6] = [
    "Rust physical regions",
    "C physical regions",
    "Rust page table",
    "C page table",
    "Rust extents",
    "C cursor",
];

/// What a library said of some pages, and what must be there.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The first page's label; the others' go up by a page each.
    pub label: u64,
    /// The physical address that was reported.
    pub paddr: u64,
    /// How many pages.
    pub pages: u64,
    /// The stamp of their pattern.
    pub stamp: u64,
    /// Whether they were reported as no RAM.
    pub is_device: bool,
}

const RECORD_WORDS: usize = 5;

/// How many records a slot holds.
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

/// What stands in a slot beside the records.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// How many records there are.
    pub records: usize,
    /// How many pages they must have in all.
    pub pages: u64,
    /// The number of the interface that was asked.
    pub interface: usize,
    /// Whether all of it is false on purpose.
    pub is_control: bool,
}

/// A slot, as either side has it mapped.
#[derive(Debug)]
pub struct Slot(*mut u64);

// SAFETY: all access is to words, atomically.
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
        // SAFETY: within the memory that `new`'s caller vouches for.
        unsafe { AtomicU64::from_ptr(self.0.add(index)) }
    }

    /// The guest's: marks it as the slot of this number.
    pub fn begin(&self, number: usize) {
        self.word(AT_POSTED).store(0, Ordering::SeqCst);
        self.word(AT_CHECKED).store(0, Ordering::SeqCst);
        self.word(AT_MAGIC)
            .store(MAGIC ^ number as u64, Ordering::SeqCst);
    }

    /// The host's: whether it is that slot.
    pub fn is(&self, number: usize) -> bool {
        self.word(AT_MAGIC).load(Ordering::SeqCst) == MAGIC ^ number as u64
    }

    /// Whether something has been posted and not been checked yet.
    pub fn is_open(&self) -> bool {
        let words = [AT_POSTED, AT_CHECKED].map(|at| self.word(at).load(Ordering::SeqCst));
        words[0] != words[1]
    }

    /// The guest's: stores a record.
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

    /// The host's: a record.
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

    /// The guest's: what it has stored is to be checked.
    pub fn post(&self, post: Post) {
        let store = |at, value| self.word(at).store(value, Ordering::SeqCst);
        store(AT_RECORDS, post.records as u64);
        store(AT_PAGES, post.pages);
        store(AT_INTERFACE, post.interface as u64);
        store(AT_CONTROL, u64::from(post.is_control));
        self.word(AT_POSTED).fetch_add(1, Ordering::SeqCst);
    }

    /// The host's: what was posted.
    pub fn posted(&self) -> Post {
        let load = |at| self.word(at).load(Ordering::SeqCst);
        Post {
            records: (load(AT_RECORDS) as usize).min(CAPACITY),
            pages: load(AT_PAGES),
            interface: load(AT_INTERFACE) as usize,
            is_control: load(AT_CONTROL) != 0,
        }
    }

    /// The host's: it has been checked.
    pub fn close(&self) {
        let posted = self.word(AT_POSTED).load(Ordering::SeqCst);
        self.word(AT_CHECKED).store(posted, Ordering::SeqCst);
    }
}
