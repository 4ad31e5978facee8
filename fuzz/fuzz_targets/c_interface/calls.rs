//! One call, and the conditions after it.

use std::ffi::c_int;
use std::ptr::null_mut;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use testkit::memory::page;

use crate::buffer::{Arena, Place};
use crate::ffi::{self, Fill, Record, PG_MASK, RECORD, UNBACKED};
use crate::subject::{Life, Span, Subject, Who};

/// A call and its arguments.
#[derive(Arbitrary, Debug)]
pub(crate) enum Call {
    Fill(Array, Who, Span, Place, Size),
    Path(Who, Span, Place, Size),
    Read(Who, Span, Place, Size),
    Unique(i32),
    Prot(u32),
}

/// Function that fills the array.
#[derive(Arbitrary, Copy, Clone, Debug, PartialEq)]
pub(crate) enum Array {
    Virtual,
    Physical,
    PageTable,
}

/// Stated size of a buffer.
#[derive(Arbitrary, Copy, Clone, Debug)]
pub(crate) enum Size {
    Records(u8, u8),
    Bytes(u16),
    Any(u64),
}

impl Size {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Records(count, more) => usize::from(count) * RECORD + usize::from(more) % RECORD,
            Self::Bytes(bytes) => bytes.into(),
            Self::Any(bytes) => bytes as usize,
        }
    }
}

/// Returns the number of the next descriptor, which is greater if one was left open.
pub(crate) fn lowest_free_descriptor() -> c_int {
    // SAFETY: takes no memory; the descriptor is closed at once.
    unsafe {
        let free = libc::dup(2);
        assert!(free >= 0, "dup: {}", std::io::Error::last_os_error());
        libc::close(free);
        free
    }
}

/// Makes the call, and checks that errno and the descriptors are as before.
pub(crate) fn undisturbed<T>(call: impl FnOnce() -> T) -> T {
    const MARK: c_int = 4711;
    let before = lowest_free_descriptor();
    // SAFETY: this thread's own errno.
    unsafe { *libc::__errno_location() = MARK };
    let result = call();
    // SAFETY: this thread's own errno.
    let errno = unsafe { *libc::__errno_location() };
    assert_eq!(errno, MARK, "errno was changed");
    assert_eq!(lowest_free_descriptor(), before, "a descriptor stays open");
    result
}

impl Array {
    pub(crate) fn function(self) -> Fill {
        match self {
            Self::Virtual => ffi::introspection_get_virtual_regions,
            Self::Physical => ffi::introspection_get_physical_regions,
            Self::PageTable => ffi::introspection_get_pagetableinfo,
        }
    }

    pub(crate) fn fill(
        self,
        pid64: i64,
        (start, last): (usize, usize),
        to: *mut Record,
        size: usize,
    ) -> c_int {
        // SAFETY: whoever calls this vouches for what can be written at `to`.
        undisturbed(|| unsafe { self.function()(pid64, start, last, to, size) })
    }

    /// Returns the whole list, or the error.
    pub(crate) fn list(self, pid64: i64, range: (usize, usize)) -> Result<Vec<Record>, c_int> {
        let mut records = Vec::new();
        loop {
            let size = records.len() * RECORD;
            let needed = self.fill(pid64, range, records.as_mut_ptr(), size);
            if needed < 0 {
                return Err(-needed);
            }
            assert_eq!(needed as usize % RECORD, 0, "no whole number of records");
            let count = needed as usize / RECORD;
            if count <= records.len() {
                records.truncate(count);
                return Ok(records);
            }
            records.resize(count, Record::default());
        }
    }

    /// Returns the error that a call must have with any buffer; `None`: a list.
    pub(crate) fn expected_error(
        self,
        life: Life,
        (start, last): (usize, usize),
        frames_are_hidden: bool,
    ) -> Option<&'static [c_int]> {
        match (start > last, life) {
            (true, Life::Alive) => Some(&[libc::EINVAL]),
            (true, _) => Some(&[libc::EINVAL, libc::ESRCH]),
            (_, Life::Gone) => Some(&[libc::ESRCH]),
            _ if frames_are_hidden && self != Self::Virtual => Some(&[libc::EPERM]),
            _ => None,
        }
    }
}

/// Checks the conditions of every list.
pub(crate) fn check_order(array: Array, records: &[Record], (start, last): (usize, usize)) {
    let mut not_below = 0;
    for (index, record) in records.iter().enumerate() {
        // The record of the last page of the address space ends with it.
        let record_last = record.vaddr + (record.size - 1);
        assert!(record.size > 0 && record.size % page() == 0, "{record:x?}");
        assert!(record.vaddr % page() == 0, "{record:x?}");
        assert!(record.vaddr >= not_below, "{record:x?} after {not_below:x}");
        let is_first_leaf = array == Array::PageTable && index == 0;
        assert!(
            record_last >= start as u64 && record.vaddr <= last as u64,
            "{record:x?} is outside"
        );
        if array == Array::Physical {
            assert!(
                record.vaddr >= start as u64 & !(page() - 1),
                "{record:x?} is not cut"
            );
            assert!(
                record_last <= last as u64 | (page() - 1),
                "{record:x?} is not cut"
            );
        }
        match (array, record.paddr) {
            (Array::Virtual, paddr) => assert_eq!((paddr, record.flags & PG_MASK), (0, 0)),
            (_, UNBACKED) => assert_eq!(record.flags & PG_MASK, 0, "{record:x?}"),
            (_, paddr) => {
                assert_eq!(record.flags & PG_MASK, PG_MASK, "{record:x?}");
                assert!(paddr % page() == 0 && paddr >> 52 == 0, "{record:x?}");
            }
        }
        assert!(
            record.flags & 3 != 0 || is_first_leaf,
            "{record:x?} is of no mapping"
        );
        not_below = record_last.saturating_add(1);
    }
}

/// Checks rule 2: every mapped byte of the range is in exactly one physical record.
fn check_tiling(virtuals: &[Record], physical: &[Record], (start, last): (usize, usize)) {
    let (low, high) = (
        start as u64 & !(page() - 1),
        (last as u64 | (page() - 1)) + 1,
    );
    let mut left = physical.iter();
    for region in virtuals {
        let end = (region.vaddr + region.size).min(high);
        let mut at = region.vaddr.max(low);
        while at < end {
            let record = left.next().expect("mapped memory is missing");
            assert_eq!(record.vaddr, at, "{region:x?}");
            at += record.size;
        }
        assert_eq!(at, end, "a record crosses the border of {region:x?}");
    }
    assert_eq!(left.next(), None, "more than is mapped");
}

/// Repeats a check that fails if the kernel has moved a page.
fn eventually(mut is_so: impl FnMut() -> bool, what: &str) {
    assert!((0..5).any(|_| is_so()), "{what}");
}

impl Call {
    pub(crate) fn check(&self, subject: &Subject, hidden: bool) {
        let hidden = hidden || !subject.is_privileged();
        match *self {
            Self::Fill(array, who, span, place, size) => {
                check_fill(
                    array,
                    subject.pid64(who),
                    subject.bounds(span),
                    place,
                    size,
                    hidden,
                );
            }
            Self::Path(who, span, place, size) => {
                let (at, ..) = subject.bounds(span);
                check_path(subject.pid64(who), at, place, size.bytes());
            }
            Self::Read(who, span, place, size) => {
                let (at, ..) = subject.bounds(span);
                check_read(subject.pid64(who), at, place, size.bytes());
            }
            Self::Unique(pid) => {
                let unique = undisturbed(|| ffi::introspection_getpid64(pid));
                let own = if pid == 0 {
                    std::process::id() as i32
                } else {
                    pid
                };
                assert!(
                    unique == -1 || (unique >> 32 > 0 && unique as i32 == own),
                    "{unique:x}"
                );
                assert!(pid >= 0 || unique == -1);
            }
            Self::Prot(flags) => {
                let prot = undisturbed(|| ffi::introspection_prot(flags));
                let bit = |flag: u32, prot| if flags & flag != 0 { prot } else { 0 };
                let (read, write) = (bit(0x100, libc::PROT_READ), bit(0x200, libc::PROT_WRITE));
                assert_eq!(prot, read | write | bit(0x400, libc::PROT_EXEC));
            }
        }
    }
}

fn check_fill(
    array: Array,
    (pid64, life): (i64, Life),
    (start, last, is_still): (usize, usize, bool),
    place: Place,
    size: Size,
    hidden: bool,
) {
    let (range, size) = ((start, last), size.bytes());
    let arena = Arena::get();
    let to = arena.address(place, size);
    if let Some(errors) = array.expected_error(life, range, hidden) {
        arena.reset();
        let result = array.fill(pid64, range, to as *mut Record, size);
        let is_expected = errors.contains(&-result)
            // A process without memory has no records for any caller.
            || (life == Life::WithoutMemory && result == 0);
        assert!(is_expected, "{result}, not one of {errors:?}");
        arena.check_untouched_but(0..0);
        return;
    }
    let once = || {
        arena.reset();
        let result = array.fill(pid64, range, to as *mut Record, size);
        check_filled(array, result, range, to, size)
    };
    let stored = once();
    if life == Life::WithoutMemory {
        assert_eq!(stored.as_deref(), Ok(&[][..]));
    }
    if array == Array::PageTable && start == last && life == Life::Alive {
        let one = array.fill(pid64, range, null_mut(), 0);
        assert_eq!(one as usize, RECORD, "one address is one record");
    }
    if !is_still || life != Life::Alive {
        return;
    }
    // A range that does not change has the same records in another buffer.
    eventually(
        || {
            let list = array.list(pid64, range).expect("a list");
            check_order(array, &list, range);
            let fits = (size / RECORD).min(list.len());
            let is_writable = arena.is_writable(to, fits * RECORD);
            match once() {
                Ok(stored) => is_writable && stored == list[..fits],
                Err(errno) => !is_writable && errno == libc::EFAULT,
            }
        },
        "two calls give different lists",
    );
    if array == Array::Physical {
        let virtuals = Array::Virtual.list(pid64, range).expect("a list");
        check_tiling(&virtuals, &array.list(pid64, range).expect("a list"), range);
    }
}

/// Checks the arena after a call that can return a list.
fn check_filled(
    array: Array,
    result: c_int,
    range: (usize, usize),
    to: usize,
    size: usize,
) -> Result<Vec<Record>, c_int> {
    let arena = Arena::get();
    if result < 0 {
        let errno = -result;
        assert!(
            [libc::EFAULT, libc::EOVERFLOW].contains(&errno),
            "errno {errno}"
        );
        // The contents after an error are unspecified, but within the records that fit.
        let records = size / RECORD * RECORD;
        arena.check_untouched_but(to..to.saturating_add(records));
        let is_bad = !arena.is_writable(to, records);
        assert!(
            errno != libc::EFAULT || is_bad,
            "all of the buffer can be written"
        );
        return Err(errno);
    }
    assert_eq!(result as usize % RECORD, 0, "no whole number of records");
    let count = (size / RECORD).min(result as usize / RECORD);
    let stored = to..to + count * RECORD;
    assert!(
        arena.is_writable(to, stored.len()),
        "stored where nothing can be"
    );
    arena.check_untouched_but(stored.clone());
    let records: Vec<Record> = stored
        .step_by(RECORD)
        // SAFETY: within the arena's writable pages, where any bytes are a record.
        .map(|at| unsafe { (at as *const Record).read_unaligned() })
        .collect();
    check_order(array, &records, range);
    Ok(records)
}

fn check_path((pid64, life): (i64, Life), at: usize, place: Place, size: usize) {
    const PATH: usize = size_of::<u64>();
    let path = |to: usize, size: usize| {
        // SAFETY: an address in the arena, or one that cannot be written.
        undisturbed(|| unsafe {
            ffi::introspection_get_mapped_object_path(pid64, at, to as *mut _, size)
        })
    };
    let arena = Arena::get();
    let to = arena.address(place, size);
    let needed = path(0, 0);
    arena.reset();
    let result = path(to, size);
    if needed < 0 {
        let expected = match life {
            Life::Gone => [libc::ESRCH, libc::ESRCH],
            Life::WithoutMemory => [libc::ENXIO, libc::ESRCH],
            Life::Alive => [libc::ENXIO, libc::ENAMETOOLONG],
        };
        assert!(expected.contains(&-needed), "{needed}");
        assert_eq!(result, needed);
        arena.check_untouched_but(0..0);
        return;
    }
    let stored = match size {
        0..PATH => 0,
        PATH => PATH,
        _ if size < PATH + needed as usize => PATH + 1,
        _ => PATH + needed as usize,
    };
    arena.check_untouched_but(to..to.saturating_add(stored));
    if !arena.is_writable(to, stored) {
        assert_eq!(result, -libc::EFAULT);
        return;
    }
    assert_eq!(result, needed);
    if stored > PATH {
        // SAFETY: the call has stored these bytes in the arena.
        let text = unsafe { std::slice::from_raw_parts((to + PATH) as *const u8, stored - PATH) };
        let nul = text.iter().position(|&byte| byte == 0);
        assert_eq!(nul, Some(text.len() - 1), "a path ends with its only NUL");
    }
}

fn check_read((pid64, life): (i64, Life), at: usize, place: Place, size: usize) {
    let arena = Arena::get();
    let to = arena.address(place, size);
    arena.reset();
    // SAFETY: an address in the arena, or one that cannot be written.
    let result = undisturbed(|| unsafe {
        ffi::introspection_read_process_memory(pid64, at, to as *mut _, size)
    });
    arena.check_untouched_but(to..to.saturating_add(size));
    if result >= 0 {
        assert_eq!((result as usize, life), (size, Life::Alive));
        assert!(arena.is_writable(to, size));
        return;
    }
    let errors: &[c_int] = match (c_int::try_from(size).is_err(), life) {
        (true, _) => &[libc::EOVERFLOW],
        (_, Life::Gone) => &[libc::ESRCH],
        (_, Life::WithoutMemory) => &[libc::ESRCH, ffi::ESRVRFAULT],
        (_, Life::Alive) => &[libc::EFAULT, ffi::ESRVRFAULT],
    };
    assert!(errors.contains(&-result), "{result}, not one of {errors:?}");
    let is_bad = !arena.is_writable(to, size);
    assert!(
        -result != libc::EFAULT || is_bad,
        "all of the buffer can be written"
    );
}
