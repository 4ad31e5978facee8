//! Cursors, used in any order: their records are those of the arrays.

use std::ffi::c_int;

use libfuzzer_sys::arbitrary::{self, Arbitrary};

use crate::buffer::{Arena, Place};
use crate::calls::{check_order, Array};
use crate::ffi::{self, Cursor, Record, RECORD};
use crate::subject::{Life, Span, Subject, Who};

/// An operation on one of the cursors.
#[derive(Arbitrary, Debug)]
pub(crate) enum Step {
    Open(u8, Who, Span, Kind),
    Next(u8, Place, Count),
    Close(u8),
    /// Copies to another storage, after closing the cursor there.
    Move(u8, u8),
    OpenNull(Who),
}

#[derive(Arbitrary, Copy, Clone, Debug)]
pub(crate) enum Kind {
    Array(Array),
    Any(c_int),
}

#[derive(Arbitrary, Copy, Clone, Debug)]
pub(crate) enum Count {
    Few(u8),
    Any(u64),
}

impl Count {
    fn records(self) -> usize {
        match self {
            Self::Few(count) => count.into(),
            Self::Any(count) => count as usize,
        }
    }
}

/// Facts of an open cursor.
struct Walk {
    array: Array,
    range: (usize, usize),
    /// The whole list, where it does not change.
    list: Option<Vec<Record>>,
    given: usize,
    /// End of the last record.
    end: u64,
    ended: Option<c_int>,
}

struct Slot {
    storage: Box<Cursor>,
    walk: Option<Walk>,
}

/// Two storages, closed when dropped.
pub(crate) struct Cursors([Slot; 2]);

impl Cursors {
    pub(crate) fn new() -> Self {
        let closed = || Slot {
            storage: Box::new([0; 960]),
            walk: None,
        };
        Self([closed(), closed()])
    }

    pub(crate) fn check(&mut self, step: &Step, subject: &Subject, hidden: bool) {
        let hidden = hidden || !subject.is_privileged();
        match *step {
            Step::Open(index, who, span, kind) => {
                self.slot(index)
                    .open(subject.pid64(who), subject.bounds(span), kind, hidden);
            }
            Step::Next(index, place, count) => self.slot(index).next(place, count.records()),
            Step::Close(index) => self.slot(index).close(),
            Step::Move(from, to) if from % 2 != to % 2 => {
                self.slot(to).close();
                let from = self.slot(from);
                let (storage, walk) = (*from.storage, from.walk.take());
                *from.storage = [0; 960];
                let to = self.slot(to);
                (*to.storage, to.walk) = (storage, walk);
            }
            Step::Move(..) => {}
            Step::OpenNull(who) => {
                let (pid64, _) = subject.pid64(who);
                let null = std::ptr::null_mut();
                // SAFETY: NULL is allowed, and an error.
                let result = unsafe { ffi::introspection_cursor_open(null, pid64, 0, 1, 0) };
                assert_eq!(result, -libc::EFAULT);
                // SAFETY: NULL is allowed, and nothing is done.
                unsafe { ffi::introspection_cursor_close(null) };
            }
        }
    }

    fn slot(&mut self, index: u8) -> &mut Slot {
        &mut self.0[usize::from(index % 2)]
    }
}

impl Drop for Cursors {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Slot::close);
    }
}

impl Slot {
    fn close(&mut self) {
        self.walk = None;
        // SAFETY: the storage is all zeros or as these functions left it. Twice
        // does nothing.
        unsafe {
            ffi::introspection_cursor_close(&raw mut *self.storage);
            ffi::introspection_cursor_close(&raw mut *self.storage);
        }
    }

    fn open(
        &mut self,
        (pid64, life): (i64, Life),
        (start, last, is_still): (usize, usize, bool),
        kind: Kind,
        hidden: bool,
    ) {
        self.close();
        let kind = match kind {
            Kind::Array(Array::Virtual) => 0,
            Kind::Array(Array::Physical) => 1,
            Kind::Array(Array::PageTable) => 2,
            Kind::Any(kind) => kind,
        };
        let (storage, range) = (&raw mut *self.storage, (start, last));
        // SAFETY: live storage of the header's size.
        let result = unsafe { ffi::introspection_cursor_open(storage, pid64, start, last, kind) };
        let array = match kind {
            0 => Array::Virtual,
            1 => Array::Physical,
            2 => Array::PageTable,
            _ => {
                let errors = [-libc::EINVAL, -libc::ESRCH];
                assert!(result == errors[0] || (life == Life::Gone && result == errors[1]));
                return;
            }
        };
        if let Some(errors) = array.expected_error(life, range, hidden) {
            let is_expected = errors.contains(&-result);
            assert!(
                is_expected || (life == Life::WithoutMemory && result == 0),
                "{result}"
            );
            // An empty walk is not made here.
            return self.close();
        }
        assert_eq!(result, 0);
        let list = is_still && life == Life::Alive;
        self.walk = Some(Walk {
            array,
            range,
            list: list.then(|| array.list(pid64, range).expect("a list")),
            given: 0,
            end: 0,
            ended: None,
        });
    }

    fn next(&mut self, place: Place, count: usize) {
        let arena = Arena::get();
        arena.reset();
        let to = arena.address(place, count.saturating_mul(RECORD));
        let storage = &raw mut *self.storage;
        // SAFETY: the storage is all zeros or as these functions left it; the
        // records' place is in the arena or cannot be written.
        let result = unsafe { ffi::introspection_cursor_next(storage, to as *mut Record, count) };
        let Some(walk) = &mut self.walk else {
            assert_eq!(result, -libc::EBADF);
            return arena.check_untouched_but(0..0);
        };
        if count == 0 {
            assert_eq!(result, -libc::EINVAL);
            return arena.check_untouched_but(0..0);
        }
        if result < 0 {
            // Not even one record could be stored.
            assert_eq!(result, -libc::EFAULT, "the target lives");
            assert!(!arena.is_writable(to, RECORD));
            return arena.check_untouched_but(to..to.saturating_add(RECORD));
        }
        let stored = result as usize;
        assert!(stored <= count);
        // After a fault in the middle, the record that did not fit may be partly stored.
        let begun = stored.saturating_add(1).min(count);
        arena.check_untouched_but(to..to.saturating_add(begun * RECORD));
        assert!(arena.is_writable(to, stored * RECORD));
        let records: Vec<Record> = (to..to + stored * RECORD)
            .step_by(RECORD)
            // SAFETY: stored in the arena just now; any bytes are a record.
            .map(|at| unsafe { (at as *const Record).read_unaligned() })
            .collect();
        check_order(walk.array, &records, walk.range);
        assert!(
            records.first().is_none_or(|first| first.vaddr >= walk.end),
            "out of order"
        );
        assert!(walk.ended.is_none() || stored == 0, "records after the end");
        let at_most = walk.given..walk.given + stored;
        if let Some(list) = &walk.list {
            // Frames may have moved meanwhile, regions may not.
            let addresses = |record: &Record| record.vaddr;
            if walk.array != Array::Physical {
                let expected: Option<Vec<u64>> = list
                    .get(at_most.clone())
                    .map(|part| part.iter().map(addresses).collect());
                assert_eq!(expected, Some(records.iter().map(addresses).collect()));
            }
        }
        walk.given = at_most.end;
        walk.end = records
            .last()
            .map_or(walk.end, |last| last.vaddr + last.size);
        if stored == 0 {
            walk.ended = Some(0);
            let complete = walk.list.as_ref().filter(|_| walk.array != Array::Physical);
            assert!(
                complete.is_none_or(|list| list.len() == walk.given),
                "records were lost"
            );
        }
    }
}
