//! State of one page, computed from its entry, its mapping, and, where these are not
//! enough, from the flags of its frame. Pure: the caller reads the flags.

use crate::addr::{PageSize, Pfn};
use crate::backing::{Backing, UnknownReason};
use crate::entry::{Entry, NonPresent};
use crate::mapping::PageSource;

/// Context that the meaning of an entry depends on: its mapping, the kernel and the caller.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PageContext {
    /// Base page size.
    pub page: PageSize,
    /// True for a private mapping, whose pages can be private copies.
    pub private: bool,
    /// True if the mapping has an object.
    pub has_object: bool,
    /// Reason for pages that are not present to be unknown: the kernel maps frames of its
    /// own or of a device here, which the page map leaves out.
    pub unlisted: Option<UnknownReason>,
    /// Source of the mapping's pages.
    pub source: PageSource,
    /// True for a mapping of hugetlb pages, where an empty entry does not prove that
    /// nothing is there (fs/proc/task_mmu.c, `pagemap_hugetlb_range`, Linux 5.10 to 7.2).
    pub hugetlb: bool,
    /// True if the kernel sets bit 61 in the entries of PMD-mapped pages too (Linux 6.11,
    /// and stable kernels that have the change).
    pub huge_file_bit: bool,
    /// True if frame numbers are visible and requested.
    pub frames: bool,
    /// Frame of the zero page, where known.
    pub zero: Option<Pfn>,
}

/// State of a page: its backing, and whether it is anonymous memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PageState {
    /// Its backing.
    pub backing: Backing,
    /// True for anonymous memory: of a mapping without an object, or a private copy of an
    /// object's page, resident or in swap.
    pub anonymous: bool,
}

/// Source of `/proc/kpageflags` entries, for pages whose page map entry does not identify
/// their contents. A closure is a source that never fails.
pub trait FrameFlagSource {
    /// Stores the entries of consecutive frames from `first` on; returns false if they
    /// cannot be read.
    fn read(&mut self, first: Pfn, to: &mut [u64]) -> bool;

    /// Returns whether a read failed in a way that must end the walk.
    fn has_failed(&self) -> bool {
        false
    }
}

impl<F: FnMut(Pfn, &mut [u64]) -> bool> FrameFlagSource for F {
    fn read(&mut self, first: Pfn, to: &mut [u64]) -> bool {
        self(first, to)
    }
}

/// Bits of `/proc/kpageflags` (include/uapi/linux/kernel-page-flags.h).
const LOCKED: u64 = 1 << 0;
const ANON: u64 = 1 << 12;
const HWPOISON: u64 = 1 << 19;
const NOPAGE: u64 = 1 << 20;
const ZERO_PAGE: u64 = 1 << 24;
const RESERVED: u64 = 1 << 32;

/// Flags of a frame without an entry in `/proc/kpageflags`.
pub(super) const BEYOND_MEMORY: u64 = NOPAGE;

/// Returns whether the frame belongs to memory that the kernel manages as RAM. A frame of
/// a device or of persistent memory (`ZONE_DEVICE`) has the flag NOPAGE, or on newer
/// kernels no flag at all (fs/proc/page.c: `pfn_to_online_page` returns none; seen on
/// 6.18); RAM that is mapped as a page has at least MMAP.
const fn is_online(flags: u64) -> bool {
    flags != 0 && flags & NOPAGE == 0
}

impl PageContext {
    /// Returns the state of a page that is known to be empty.
    pub const fn empty(&self) -> PageState {
        PageState {
            backing: match self.unlisted {
                Some(reason) => Backing::Unknown(reason),
                None => Backing::NotPresent,
            },
            anonymous: !self.has_object,
        }
    }

    /// Returns the state of the page at address `at` with this entry.
    pub fn state(&self, at: u64, entry: Entry, flags: &mut impl FrameFlagSource) -> PageState {
        let mut flags_of = |frame| {
            let mut one = [0];
            flags.read(frame, &mut one).then_some(one[0])
        };
        let anonymous = !self.has_object;
        let Some(non_present) = entry.non_present() else {
            if !self.asks(at, entry) {
                return self.by_entry(entry);
            }
            return self.by_flags(entry, flags_of(entry.frame_bits()));
        };
        let backing = match non_present {
            NonPresent::Empty if self.hugetlb => Backing::Unknown(UnknownReason::HugePage),
            NonPresent::Empty => return self.empty(),
            NonPresent::Swap(place) => {
                return PageState {
                    // Without frames the kernel reports neither place nor type.
                    backing: Backing::Swapped(self.frames.then_some(place)),
                    anonymous: anonymous || self.private,
                };
            }
            NonPresent::Guard => Backing::Guard,
            NonPresent::Poisoned => Backing::Poisoned,
            NonPresent::Marker(_) => Backing::Marker,
            NonPresent::Frame(frame) => not_present(flags_of(frame)),
        };
        PageState { backing, anonymous }
    }

    /// Returns whether the flags of a present page's frame are needed to find its state.
    #[inline(always)]
    pub(super) fn asks(&self, at: u64, entry: Entry) -> bool {
        let asks = match self.source {
            // No zero page has a mapcount, so its exclusive bit is never set.
            PageSource::Anonymous => {
                !entry.is_file()
                    && !entry.is_exclusive()
                    && (self.zero.is_none() || self.may_be_huge(at, entry))
            }
            // Bit 61 of hugetlb pages is right on every kernel.
            PageSource::Cache if self.hugetlb || entry.is_file() => false,
            PageSource::Cache => !self.private || self.may_be_huge(at, entry),
            PageSource::Persistent | PageSource::Driver | PageSource::Unseen => true,
            PageSource::Kernel => false,
        };
        asks && self.frames && self.zero != Some(entry.frame_bits())
    }

    /// Returns whether the page can be mapped by a PMD although its entry lacks bit 61,
    /// which older kernels leave out there: its frame lies in an aligned block
    /// where its address does.
    fn may_be_huge(&self, at: u64, entry: Entry) -> bool {
        let into_block = (self.page.pmd().bytes() >> self.page.shift()) - 1;
        let phase = (at >> self.page.shift()) ^ entry.frame_bits().as_u64();
        !self.huge_file_bit && phase & into_block == 0
    }

    /// Returns whether [`Self::next_border`] returns any border.
    #[inline(always)]
    pub(super) fn has_borders(&self) -> bool {
        self.frames && self.next_border(0) != u64::MAX
    }

    /// Returns the address above `at` where the entries of a run must be examined again:
    /// at the next border of a PMD, where the huge zero page can begin without a
    /// distinguishing bit, or at every page where the zero page's frame is unknown.
    #[inline(always)]
    pub(super) fn next_border(&self, at: u64) -> u64 {
        let block = match self.source {
            PageSource::Anonymous if self.zero.is_none() => self.page.bytes(),
            PageSource::Anonymous | PageSource::Cache if !self.huge_file_bit => {
                self.page.pmd().bytes()
            }
            _ => return u64::MAX,
        };
        (at | (block - 1)).saturating_add(1)
    }

    /// Returns whether the flags of one frame are those of all consecutive frames up to
    /// the next border: the flags then only distinguish the huge zero page, which is a
    /// whole aligned block of frames.
    pub(super) fn is_whole_block_asked(&self) -> bool {
        self.source == PageSource::Anonymous && self.zero.is_some()
    }

    /// Returns the state of a present page whose entry is enough.
    #[inline(always)]
    pub(super) fn by_entry(&self, entry: Entry) -> PageState {
        let of_object = self.has_object && (entry.is_file() || !self.private);
        if !self.frames {
            return PageState {
                backing: Backing::Resident,
                anonymous: !of_object,
            };
        }
        let frame = entry.frame_bits();
        let address = frame.address(self.page);
        // The huge zero page is not an anonymous page, but the only such page in an
        // anonymous VMA (fs/proc/task_mmu.c, `pagemap_pmd_range`: bit 61 is set).
        let huge_zero = self.source == PageSource::Anonymous && entry.is_file();
        if self.zero == Some(frame) || huge_zero {
            // The zero page is never a private copy.
            return PageState {
                backing: Backing::Zero(address),
                anonymous: !self.has_object,
            };
        }
        // In a shared mapping only frames that are no ordinary memory lack the bit
        // (`vm_normal_page` returns none: mm/memory.c, Linux 6.12).
        let ordinary = self.private || entry.is_file() || !self.has_object;
        PageState {
            backing: if ordinary {
                Backing::Ram(address)
            } else {
                Backing::Device(address)
            },
            anonymous: !of_object,
        }
    }

    /// Returns the state of a present page by the flags of its frame, which are `None` if
    /// they cannot be read.
    #[cold]
    pub(super) fn by_flags(&self, entry: Entry, flags: Option<u64>) -> PageState {
        let address = entry.frame_bits().address(self.page);
        let of_object = |backing| PageState {
            backing,
            anonymous: !self.has_object,
        };
        let unknown = of_object(Backing::Unknown(UnknownReason::Frame));
        let Some(flags) = flags else {
            let says = self.source == PageSource::Cache && (self.private || self.huge_file_bit);
            return if says { self.by_entry(entry) } else { unknown };
        };
        if flags & ZERO_PAGE != 0 {
            return of_object(Backing::Zero(address));
        }
        let online = is_online(flags);
        match self.source {
            PageSource::Anonymous | PageSource::Kernel => self.by_entry(entry),
            // A private copy, also one that was unmapped meanwhile.
            PageSource::Cache if self.private && (!online || flags & ANON != 0) => {
                self.by_entry(entry)
            }
            _ if !online => of_object(Backing::Device(address)),
            _ if flags & ANON != 0 => PageState {
                backing: Backing::Ram(address),
                anonymous: self.private || !self.has_object,
            },
            // Before 5.12 a section shared with RAM makes persistent memory look online
            // (mm/memory_hotplug.c, `pfn_to_online_page`); it is reserved.
            PageSource::Persistent if flags & RESERVED != 0 => of_object(Backing::Device(address)),
            PageSource::Persistent => unknown,
            // Memory that a driver maps by its frames alone.
            PageSource::Driver if !entry.is_file() => of_object(Backing::Device(address)),
            _ => of_object(Backing::Ram(address)),
        }
    }
}

/// Returns the backing of a page whose entry names a frame without being present. The
/// types' numbers depend on the kernel's configuration, so the frame's flags decide
/// (Documentation/admin-guide/mm/pagemap.rst). A page in migration is locked for the
/// whole time (mm/migrate.c). Device memory is not, nor is a page that a device has
/// exclusively.
fn not_present(flags: Option<u64>) -> Backing {
    match flags {
        Some(flags) if is_online(flags) && flags & HWPOISON != 0 => Backing::Poisoned,
        Some(flags) if is_online(flags) && flags & LOCKED != 0 => Backing::Migrating,
        _ => Backing::Unknown(UnknownReason::Frame),
    }
}
