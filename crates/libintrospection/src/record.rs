//! The record that C callers get, and how it is made from the core's regions.
//! Pure.

use process_introspection_core::flags;
use process_introspection_core::object::Mapping;
use process_introspection_core::page_table::LeafRun;
use process_introspection_core::physical::runs::Run;
use process_introspection_core::physical::Backing;

/// `struct _procfs_map_info`, documented in the header.
#[derive(Copy, Clone)]
#[repr(C)]
pub(crate) struct Record {
    vaddr: u64,
    size: u64,
    flags: u32,
    dev: u32,
    offset: i64,
    ino: u64,
    paddr: u64,
}

const _: () = {
    assert!(size_of::<Record>() == 48);
    assert!(core::mem::offset_of!(Record, flags) == 16);
    assert!(core::mem::offset_of!(Record, offset) == 24);
    assert!(core::mem::offset_of!(Record, paddr) == 40);
};

/// `INTROSPECTION_UNBACKED`.
const UNBACKED: u64 = !0;

impl Record {
    /// A whole virtual region.
    pub(crate) fn of_mapping(mapping: &Mapping) -> Self {
        let vma = &mapping.vma;
        Self {
            vaddr: vma.range.start().as_u64(),
            size: vma.range.size(),
            flags: flags::of_mapping(mapping),
            dev: vma.device.encoded(),
            offset: vma.offset as i64,
            ino: vma.inode,
            paddr: 0,
        }
    }

    /// A run of a mapping's pages: a physical region.
    pub(crate) fn of_run(mapping: &Mapping, run: &Run) -> Self {
        let (vma, backing) = (&mapping.vma, run.state.backing);
        Self {
            vaddr: run.start,
            size: run.end - run.start,
            flags: flags::of_pages(mapping, backing, run.state.anonymous),
            dev: vma.device.encoded(),
            offset: offset(mapping, run.start),
            ino: vma.inode,
            paddr: address(backing),
        }
    }

    fn of_first_leaf(run: &LeafRun) -> Self {
        let bare = Self {
            vaddr: run.virt.start().as_u64(),
            size: run.page_size.bytes(),
            flags: 0,
            dev: 0,
            offset: 0,
            ino: 0,
            paddr: address(run.backing),
        };
        let Some(mapping) = &run.mapping else {
            return bare;
        };
        let vma = &mapping.vma;
        Self {
            flags: flags::of_pages(mapping, run.backing, run.anonymous),
            dev: vma.device.encoded(),
            offset: offset(mapping, bare.vaddr),
            ino: vma.inode,
            ..bare
        }
    }

    fn has_object(&self) -> bool {
        self.ino != 0 || self.dev != 0
    }

    /// Its bytes, as C reads them.
    pub(crate) fn as_bytes(&self) -> &[u8; size_of::<Self>()] {
        // SAFETY: integers without padding between them: the sizes above add up
        // to the struct's, so all its bytes are initialized.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }
}

/// Where an address of a mapping lies in its object; 0 without one.
fn offset(mapping: &Mapping, address: u64) -> i64 {
    let vma = &mapping.vma;
    if vma.has_object() {
        (vma.offset + (address - vma.range.start().as_u64())) as i64
    } else {
        0
    }
}

fn address(backing: Backing) -> u64 {
    backing
        .address()
        .map_or(UNBACKED, |address| address.as_u64())
}

/// Records that follow each other and are alike: the first, and how many.
/// The others have the same size, and addresses and offsets that go on.
#[derive(Copy, Clone)]
pub(crate) struct RecordRun {
    first: Record,
    count: u64,
}

impl RecordRun {
    /// No record.
    pub(crate) const EMPTY: Self = Self {
        first: Record {
            vaddr: 0,
            size: 0,
            flags: 0,
            dev: 0,
            offset: 0,
            ino: 0,
            paddr: 0,
        },
        count: 0,
    };

    /// One record.
    pub(crate) fn one(record: Record) -> Self {
        Self {
            first: record,
            count: 1,
        }
    }

    /// A record for each leaf entry.
    pub(crate) fn of_leaves(run: &LeafRun) -> Self {
        Self {
            first: Record::of_first_leaf(run),
            count: run.count(),
        }
    }

    /// How many are left.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The first that is left; only of a run that is not empty.
    pub(crate) fn first(&self) -> &Record {
        &self.first
    }

    /// Takes the first away.
    pub(crate) fn advance(&mut self) {
        let record = &mut self.first;
        record.vaddr = record.vaddr.wrapping_add(record.size);
        if record.paddr != UNBACKED {
            record.paddr = record.paddr.wrapping_add(record.size);
        }
        if record.has_object() {
            record.offset = record.offset.wrapping_add(record.size as i64);
        }
        self.count = self.count.saturating_sub(1);
    }
}
