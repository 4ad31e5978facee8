//! Table of mappings.

use process_introspection::{
    AddrRange, DeviceMemory, Mapping, MappingKind, MappingParts, MemoryType, PageSize, PhysAddr,
    Protection, UnknownReason, Unlisted,
};
use process_introspection_export::{
    protection_name, record, words, DeviceNumber, Hex, MappingUsageRecord, Name, NameBuf,
    UsageRecord,
};

record! {
    /// Mapping of a process.
    pub struct MappingRow: Readable {
        /// Process.
        pub unique_pid: u64,
        /// First virtual address.
        pub vaddr: Hex,
        /// Size in bytes.
        pub size: u64 = bytes().least(1),
        /// Protection: read, write, execute, with - for what is not allowed.
        pub prot: &'static str = one_of(words::protections),
        /// Whether it is shared, not private.
        pub shared: bool,
        /// Kind of the mapping.
        pub kind: &'static str = one_of(words::mapping_kinds),
        /// Path of the object, or a name of the kernel's in brackets.
        pub path: NameBuf = null("if it has no name"),
        /// Device of the object's file system, major and minor number in hexadecimal.
        pub dev: DeviceNumber,
        /// Inode number of the object; 0 without an object.
        pub ino: u64,
        /// Offset of the first byte in the mapped object; 0 without an object.
        pub file_offset: Hex,
        /// Whether the path is that of a deleted file.
        pub deleted: bool,
        /// Size of the mapping's pages in bytes.
        pub page_size: Option<u64> = bytes().null("if the kernel does not export it"),
        /// First physical address of the device memory that the page map leaves out.
        pub device_paddr: Option<Hex> = null("if it is no such memory, or it is unknown"),
        /// Cache mode that the device's file requests.
        pub device_cache: Option<&'static str>
            = one_of(words::memory_types).null("if it is unknown"),
        /// Reason for which the addresses are unknown of pages that the page map leaves out.
        pub unlisted: Option<&'static str> = one_of(words::unknown_reasons)
            .null("if it leaves out none, or their address is known"),
        /// Bytes in memory, without hugetlb and the zero page.
        pub resident: Option<u64> = bytes().null("if it was unmapped before the numbers were read"),
        /// Proportional set size.
        pub pss: Option<u64> = bytes().null("if it is unknown"),
        /// Unique set size.
        pub uss: Option<u64> = bytes().null("if it is unknown"),
        /// Bytes in swap.
        pub swap: Option<u64> = bytes().null("if it was unmapped before the numbers were read"),
        /// Bytes of the zero page.
        pub zero: Option<u64> = bytes().null("if it is unknown"),
        /// Bytes of hugetlb pages.
        pub hugetlb: Option<u64> = bytes().null("if it was unmapped before the numbers were read"),
        /// Bytes that huge page-table entries map, without hugetlb.
        pub huge: Option<u64> = bytes().null("if it is unknown"),
        /// Number of extents.
        pub extents: Option<u64> = null("without addresses"),
        /// Median of the extents' sizes in bytes.
        pub median_extent: Option<u64> = bytes().null("without extents"),
        /// Size of the largest extent in bytes.
        pub largest_extent: Option<u64> = bytes().null("without extents"),
    }
}

impl MappingRow {
    /// Returns the row of a mapping with the numbers of its summary, if they are known.
    pub fn new(unique_pid: u64, mapping: &Mapping, usage: Option<&MappingUsageRecord<'_>>) -> Self {
        let parts = mapping.parts();
        let memory = parts.unlisted.memory();
        let unlisted = match parts.unlisted {
            Unlisted::Unknown(reason) => Some(reason.name()),
            _ => None,
        };
        let numbers = usage.map(|usage| &usage.usage);
        Self {
            unique_pid,
            vaddr: parts.range.start().into(),
            size: parts.range.size(),
            prot: protection_name(parts.protection),
            shared: parts.shared,
            kind: parts.kind.name(),
            deleted: parts.name.starts_with(b"/") && parts.name.ends_with(b" (deleted)"),
            dev: parts.device.into(),
            ino: parts.inode,
            file_offset: Hex(parts.offset),
            page_size: parts.page_size.map(PageSize::bytes),
            device_paddr: memory.map(|memory| memory.start.into()),
            device_cache: memory
                .and_then(|memory| memory.memory_type)
                .map(MemoryType::name),
            unlisted,
            resident: numbers.map(|numbers| numbers.resident),
            pss: numbers.and_then(|numbers| numbers.pss),
            uss: numbers.and_then(|numbers| numbers.uss),
            swap: numbers.map(|numbers| numbers.swap),
            zero: numbers.and_then(|numbers| numbers.zero),
            hugetlb: numbers.map(|numbers| numbers.hugetlb),
            huge: usage.and_then(|usage| usage.huge),
            extents: usage.and_then(|usage| usage.extents),
            median_extent: usage.and_then(|usage| usage.median),
            largest_extent: usage.and_then(|usage| usage.largest),
            path: NameBuf(parts.name.into()),
        }
    }

    /// Returns the mapping; `None` if a value of the row is none that a mapping can have.
    pub fn mapping(&self) -> Option<Mapping> {
        let known = |name: Option<&str>| name.map(|name| MemoryType::from_name(name.as_bytes()));
        let unlisted = match (self.device_paddr, self.unlisted) {
            (Some(Hex(start)), _) => {
                let memory_type = match known(self.device_cache) {
                    Some(None) => return None,
                    Some(known) => known,
                    None => None,
                };
                Unlisted::At(DeviceMemory::new(PhysAddr::new(start), memory_type))
            }
            (None, Some(reason)) => Unlisted::Unknown(UnknownReason::from_name(reason.as_bytes())?),
            (None, None) => Unlisted::Nothing,
        };
        let page_size = match self.page_size {
            Some(bytes) => Some(PageSize::from_bytes(bytes)?),
            None => None,
        };
        Some(Mapping::from_parts(MappingParts {
            range: AddrRange::new(self.vaddr.0, self.vaddr.0.checked_add(self.size)?)?,
            protection: Protection::from_text(self.prot.as_bytes())?,
            shared: self.shared,
            offset: self.file_offset.0,
            device: self.dev.0,
            inode: self.ino,
            page_size,
            kind: MappingKind::from_name(self.kind.as_bytes())?,
            unlisted,
            name: self.path.0.clone().into(),
        }))
    }

    /// Returns the numbers of the mapping's summary; `None` if the process was not read.
    pub fn usage(&self, pid: u32) -> Option<MappingUsageRecord<'_>> {
        Some(MappingUsageRecord {
            pid,
            vaddr: self.vaddr,
            usage: UsageRecord {
                virt: self.size,
                resident: self.resident?,
                pss: self.pss,
                uss: self.uss,
                swap: self.swap?,
                zero: self.zero,
                hugetlb: self.hugetlb?,
            },
            huge: self.huge,
            extents: self.extents,
            median: self.median_extent,
            largest: self.largest_extent,
            prot: self.prot,
            shared: self.shared,
            kind: self.kind,
            path: Name(&self.path.0),
        })
    }
}
