//! Types of numbers: virtual and physical addresses, page frame numbers, page sizes and
//! ranges of virtual addresses. Owns the one system call that finds the base page size;
//! knows nothing of processes.

use core::fmt;
use core::ops::{Bound, RangeBounds};

use crate::sys;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a number.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number.
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// Returns the address `bytes` higher; `None` past the end of the address
            /// space.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address! {
    /// Address in a process's address space, in bytes.
    VirtAddr
}

address! {
    /// Address in the machine's physical address space, in bytes, as the CPU's page
    /// tables contain it. A device behind an IOMMU uses a different address. The address
    /// is valid only while the page stays in its frame.
    PhysAddr
}

/// Converts a pointer, without the tag that it can have on arm64.
impl<T> From<*const T> for VirtAddr {
    fn from(pointer: *const T) -> Self {
        Self(pointer as usize as u64).untagged()
    }
}

/// Converts a pointer, without the tag that it can have on arm64.
impl<T> From<*mut T> for VirtAddr {
    fn from(pointer: *mut T) -> Self {
        Self(pointer as usize as u64).untagged()
    }
}

impl VirtAddr {
    /// Returns the address without a tag. On arm64 the upper 8 bits of a pointer can be a
    /// tag, which the hardware ignores (top byte ignore, the memory tagging extension).
    /// The kernel's files contain addresses without it. Other architectures have no tag.
    pub const fn untagged(self) -> Self {
        if cfg!(target_arch = "aarch64") {
            Self(without_top_byte(self.0))
        } else {
            self
        }
    }
}

/// Removes a tag as the kernel does from the addresses in its system calls' arguments:
/// where bit 55 is clear, which marks an address of a process, bits 56 to 63 are cleared
/// (`untagged_addr` in arch/arm64/include/asm/memory.h, Linux 5.4 to 6.18).
const fn without_top_byte(address: u64) -> u64 {
    if address & (1 << 55) == 0 {
        address & ((1 << 56) - 1)
    } else {
        address
    }
}

/// Page frame number: a physical address divided by the base page size.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Pfn(u64);

impl Pfn {
    /// Wraps a number.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Returns the address of the frame's first byte, for this base page size.
    pub const fn address(self, base: PageSize) -> PhysAddr {
        PhysAddr(self.0 << base.shift())
    }
}

impl PhysAddr {
    /// Returns the frame that contains this address, for this base page size.
    pub const fn pfn(self, base: PageSize) -> Pfn {
        Pfn(self.0 >> base.shift())
    }
}

/// Size of a page: a power of two, in bytes.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize {
    shift: u8,
}

impl PageSize {
    /// The size of 4 KiB.
    pub const SIZE_4K: Self = Self { shift: 12 };

    /// Returns a page size of `bytes`; `None` unless that is a power of two.
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        if bytes.is_power_of_two() {
            Some(Self {
                shift: bytes.trailing_zeros() as u8,
            })
        } else {
            None
        }
    }

    /// Returns the running kernel's base page size.
    pub fn base() -> Self {
        Self {
            shift: sys::base_page_shift(),
        }
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        1 << self.shift
    }

    /// log2 of the size in bytes.
    pub const fn shift(self) -> u32 {
        self.shift as u32
    }

    /// Returns the size that one entry of the second-lowest page-table level maps, where
    /// this is the base page size: 2 MiB over 4 KiB pages, 32 MiB over 16 KiB, 512 MiB
    /// over 64 KiB. A table is one page of entries as wide as an address in the page
    /// tables: 8 bytes, but 4 on 32-bit Arm. (32-bit x86 has 8 with PAE, which every
    /// known kernel with transparent huge pages uses.)
    pub const fn pmd(self) -> Self {
        let entry_shift = if cfg!(target_arch = "arm") { 2 } else { 3 };
        Self {
            shift: self.shift * 2 - entry_shift,
        }
    }
}

impl fmt::Debug for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageSize({})", self.bytes())
    }
}

const fn untagged(address: u64) -> u64 {
    VirtAddr(address).untagged().0
}

/// Half-open range of virtual addresses, with `start <= end`. No range contains the last
/// byte of the 64-bit space, where no process can have memory.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Default)]
pub struct AddrRange {
    start: u64,
    end: u64,
}

impl AddrRange {
    /// Range of all addresses that a process can map.
    pub const ALL: Self = Self {
        start: 0,
        end: u64::MAX,
    };

    /// Returns `start..end`; `None` if `start` is greater than `end`.
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start <= end {
            Some(Self { start, end })
        } else {
            None
        }
    }

    /// Returns `start..=last`, as C callers pass it, without tags (see
    /// [`VirtAddr::untagged`]); `None` if `start` is greater than `last`. The last byte
    /// of the 64-bit space alone is replaced by the byte before it, which lies in the
    /// same page.
    pub const fn inclusive(start: u64, last: u64) -> Option<Self> {
        let (start, last) = (untagged(start), untagged(last));
        if start > last {
            return None;
        }
        let end = last.saturating_add(1);
        let start = if start == end { end - 1 } else { start };
        Some(Self { start, end })
    }

    /// Converts any of Rust's ranges, without tags (see [`VirtAddr::untagged`]); `None`
    /// if its start is greater than its end.
    pub fn from_bounds(bounds: impl RangeBounds<u64>) -> Option<Self> {
        let start = match bounds.start_bound() {
            Bound::Included(&start) => untagged(start),
            Bound::Excluded(&start) => untagged(start).saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match bounds.end_bound() {
            Bound::Included(&last) if start <= untagged(last) => {
                return Self::inclusive(start, last);
            }
            Bound::Included(&last) => untagged(last).saturating_add(1),
            // The tag is removed from the last byte inside: 2^56 is the end of all
            // untagged addresses.
            Bound::Excluded(&end) => match end.checked_sub(1) {
                Some(last) => untagged(last) + 1,
                None => 0,
            },
            Bound::Unbounded => u64::MAX,
        };
        Self::new(start, end)
    }

    /// The first address.
    pub const fn start(self) -> VirtAddr {
        VirtAddr(self.start)
    }

    /// The first address past the range.
    pub const fn end(self) -> VirtAddr {
        VirtAddr(self.end)
    }

    /// The size in bytes.
    pub const fn size(self) -> u64 {
        self.end - self.start
    }

    /// Returns whether the range contains no byte.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Returns whether the range contains `addr`.
    pub const fn contains(self, addr: VirtAddr) -> bool {
        self.start <= addr.0 && addr.0 < self.end
    }

    /// Returns the bytes that both contain; `None` if there are none.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let start = self.start.max(other.start);
        let end = self.end.min(other.end);
        (start < end).then_some(Self { start, end })
    }

    /// Returns the whole pages that the range touches. An empty range stays empty.
    pub fn widened(self, page: PageSize) -> Self {
        let mask = page.bytes() - 1;
        if self.is_empty() {
            return Self {
                start: self.start & !mask,
                end: self.start & !mask,
            };
        }
        Self {
            start: self.start & !mask,
            end: self
                .end
                .checked_add(mask)
                .map_or(u64::MAX, |end| end & !mask),
        }
    }
}

impl RangeBounds<u64> for AddrRange {
    fn start_bound(&self) -> Bound<&u64> {
        Bound::Included(&self.start)
    }

    fn end_bound(&self) -> Bound<&u64> {
        Bound::Excluded(&self.end)
    }
}

/// Returns the addresses of the bytes of a slice or another value.
impl<T: ?Sized> From<&T> for AddrRange {
    fn from(value: &T) -> Self {
        let start = untagged((&raw const *value).cast::<u8>() as usize as u64);
        Self {
            start,
            end: start + size_of_val(value) as u64,
        }
    }
}

impl fmt::Debug for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end)
    }
}

impl fmt::Display for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_top_byte_of_an_address_of_a_process() {
        for (tagged, address) in [
            (0, 0),
            (0xb400_7fff_1234_5678, 0x7fff_1234_5678),
            (0x0f00_ffff_ffff_f000, 0xffff_ffff_f000),
            (0xff7f_ffff_ffff_ffff, 0x007f_ffff_ffff_ffff),
            (1 << 63, 0),
            // A kernel address, and the end that is all ones.
            (u64::MAX, u64::MAX),
            (u64::MAX >> 1, u64::MAX >> 1),
            (0xffff_8000_0000_0000, 0xffff_8000_0000_0000),
        ] {
            assert_eq!(without_top_byte(tagged), address, "{tagged:#x}");
        }
    }
}
