//! The record of the C interface, made from the core's runs. Pure.

use process_introspection_core::backing::Backing;
use process_introspection_core::flags::QnxFlags;
use process_introspection_core::mapping::ClassifiedVma;
use process_introspection_core::page_table::LeafRun;
use process_introspection_core::physical::{offset_at, Run};

/// `struct _procfs_map_info`, documented in the header.
#[derive(Copy, Clone, Default)]
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
    pub(crate) fn of_mapping(mapping: &ClassifiedVma) -> Self {
        let vma = &mapping.vma;
        Self {
            vaddr: vma.range.start().as_u64(),
            size: vma.range.size(),
            flags: QnxFlags::of_mapping(mapping).bits(),
            dev: vma.device.encoded(),
            offset: vma.offset as i64,
            ino: vma.inode,
            paddr: 0,
        }
    }

    /// A run of a mapping's pages: a physical region.
    pub(crate) fn of_run(mapping: &ClassifiedVma, run: &Run) -> Self {
        let mut shared = SharedFields::default();
        shared.of(mapping).record(run)
    }

    fn of_first_leaf(run: &LeafRun, mapping: Option<&ClassifiedVma>) -> Self {
        let bare = Self {
            vaddr: run.virt.start().as_u64(),
            size: run.page_size.bytes(),
            paddr: address(run.backing),
            ..Self::default()
        };
        let Some(mapping) = mapping.filter(|_| run.is_mapped) else {
            return bare;
        };
        let vma = &mapping.vma;
        Self {
            flags: QnxFlags::of_pages(mapping, run.backing, run.anonymous).bits(),
            dev: vma.device.encoded(),
            offset: offset_at(vma, run.virt.start()) as i64,
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

/// Fields that the records of one mapping share, computed once for many. None ends at
/// address 0, as those of no mapping do.
#[derive(Default)]
pub(crate) struct SharedFields {
    /// End of the mapping, which identifies it: in a walk no two end at one address.
    end: u64,
    /// Flags that do not depend on the pages.
    flags: QnxFlags,
    dev: u32,
    ino: u64,
    /// The offset that address 0 would have; `None` without an object.
    offset_of_zero: Option<u64>,
}

impl SharedFields {
    /// Returns the fields of this mapping.
    #[inline]
    pub(crate) fn of(&mut self, mapping: &ClassifiedVma) -> &Self {
        let vma = &mapping.vma;
        let (start, end) = (vma.range.start().as_u64(), vma.range.end().as_u64());
        if self.end != end {
            *self = Self {
                end,
                flags: QnxFlags::of_pages(mapping, Backing::NotPresent, false),
                dev: vma.device.encoded(),
                ino: vma.inode,
                offset_of_zero: vma.has_object().then(|| vma.offset.wrapping_sub(start)),
            };
        }
        self
    }

    /// The record of a run.
    #[inline]
    pub(crate) fn record(&self, run: &Run) -> Record {
        let state = &run.state;
        let offset = self
            .offset_of_zero
            .map_or(0, |base| base.wrapping_add(run.start));
        Record {
            vaddr: run.start,
            size: run.end - run.start,
            flags: (self.flags | QnxFlags::of_backing(state.backing, state.anonymous)).bits(),
            dev: self.dev,
            offset: offset as i64,
            ino: self.ino,
            paddr: address(state.backing),
        }
    }
}

fn address(backing: Backing) -> u64 {
    backing
        .address()
        .map_or(UNBACKED, |address| address.as_u64())
}

/// Consecutive records that differ only in their addresses and offsets: the first, and
/// their number, by default 0.
#[derive(Copy, Clone, Default)]
pub(crate) struct RecordRun {
    first: Record,
    count: u64,
}

impl RecordRun {
    /// One record.
    pub(crate) fn one(record: Record) -> Self {
        Self {
            first: record,
            count: 1,
        }
    }

    /// A record for each leaf entry of a mapping.
    pub(crate) fn of_leaves(run: &LeafRun, mapping: Option<&ClassifiedVma>) -> Self {
        Self {
            first: Record::of_first_leaf(run, mapping),
            count: run.count(),
        }
    }

    /// Returns the number of records that are left.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the first record that is left. The run must not be empty.
    pub(crate) fn first(&self) -> &Record {
        &self.first
    }

    /// Removes the first record.
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
