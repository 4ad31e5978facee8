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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::PhysAddr;

    const PMD: u64 = 2 << 20;
    /// Flag of RAM of a driver or of the page cache.
    const MMAP: u64 = 1 << 11;

    const ANONYMOUS: PageContext = PageContext {
        page: PageSize::SIZE_4K,
        private: true,
        has_object: false,
        unlisted: None,
        source: PageSource::Anonymous,
        hugetlb: false,
        huge_file_bit: true,
        frames: true,
        zero: Some(Pfn::new(100)),
    };
    const OF_DEV_ZERO: PageContext = PageContext {
        has_object: true,
        ..ANONYMOUS
    };
    const PRIVATE_FILE: PageContext = PageContext {
        source: PageSource::Cache,
        ..OF_DEV_ZERO
    };
    const SHARED_FILE: PageContext = PageContext {
        private: false,
        ..PRIVATE_FILE
    };
    const PRIVATE_DAX: PageContext = PageContext {
        source: PageSource::Persistent,
        ..PRIVATE_FILE
    };
    const SHARED_DAX: PageContext = PageContext {
        private: false,
        ..PRIVATE_DAX
    };

    fn on_old_kernel(context: PageContext) -> PageContext {
        PageContext {
            huge_file_bit: false,
            ..context
        }
    }

    fn present(frame: u64) -> u64 {
        Entry::PRESENT | frame
    }

    fn address(frame: u64) -> PhysAddr {
        PhysAddr::new(frame << 12)
    }

    /// Returns the backing and whether it is anonymous, at an address where a PMD begins.
    fn state(context: &PageContext, entry: u64, flags: Option<u64>) -> (Backing, bool) {
        let mut of_frame = |_: Pfn, to: &mut [u64]| {
            to.fill(flags.unwrap_or_default());
            flags.is_some()
        };
        let state = context.state(7 * PMD, Entry::from_raw(entry), &mut of_frame);
        (state.backing, state.anonymous)
    }

    /// Returns the state of a page whose flags must not be read.
    fn state_without_flags(context: &PageContext, entry: u64) -> (Backing, bool) {
        let mut never = |_: Pfn, _: &mut [u64]| unreachable!("the entry says it");
        let state = context.state(7 * PMD, Entry::from_raw(entry), &mut never);
        (state.backing, state.anonymous)
    }

    #[test]
    fn the_huge_zero_page_is_zero_in_every_anonymous_vma() {
        let entry = present(512) | Entry::FILE;
        let zero = Backing::Zero(address(512));
        assert_eq!(state_without_flags(&ANONYMOUS, entry), (zero, true));
        assert_eq!(state_without_flags(&OF_DEV_ZERO, entry), (zero, false));
        // The page of a regular file, whatever the file's name.
        assert_eq!(
            state_without_flags(&PRIVATE_FILE, entry),
            (Backing::Ram(address(512)), false)
        );
        let unseen = PageContext {
            source: PageSource::Unseen,
            ..OF_DEV_ZERO
        };
        assert_eq!(state(&unseen, entry, Some(ZERO_PAGE)), (zero, false));
        assert_eq!(
            state(&unseen, entry, Some(MMAP)),
            (Backing::Ram(address(512)), false)
        );
    }

    #[test]
    fn the_huge_zero_page_is_zero_where_the_kernel_leaves_out_bit_61() {
        let zero = Backing::Zero(address(512));
        for context in [ANONYMOUS, OF_DEV_ZERO] {
            let old = on_old_kernel(context);
            let anonymous = !context.has_object;
            assert_eq!(
                state(&old, present(512), Some(ZERO_PAGE)),
                (zero, anonymous)
            );
            let ram = (Backing::Ram(address(512)), true);
            assert_eq!(state(&old, present(512), Some(ANON | MMAP)), ram);
            // The page is mapped once, or not where a PMD would map it: no flags are
            // read.
            assert_eq!(
                state_without_flags(&old, present(512) | Entry::EXCLUSIVE),
                ram
            );
            assert_eq!(
                state_without_flags(&old, present(513)),
                (Backing::Ram(address(513)), true)
            );
            let unknown = Backing::Unknown(UnknownReason::Frame);
            assert_eq!(state(&old, present(512), None).0, unknown);
        }
    }

    #[test]
    fn the_zero_page_is_asked_for_where_its_frame_is_unknown() {
        let context = PageContext {
            zero: None,
            ..ANONYMOUS
        };
        let zero = (Backing::Zero(address(100)), true);
        assert_eq!(state(&context, present(100), Some(ZERO_PAGE)), zero);
        let ram = (Backing::Ram(address(100)), true);
        assert_eq!(state(&context, present(100), Some(ANON)), ram);
        assert_eq!(
            state_without_flags(&context, present(100) | Entry::EXCLUSIVE),
            ram
        );
    }

    /// Tests entries as 5.10, 6.1 and 6.12 report them (`devmap`: no bit 61, except for
    /// PMDs of 6.11 and later), as 6.15 and later do (bit 61 for all), and flags as all
    /// do.
    #[test]
    fn persistent_memory_is_no_ram_and_its_private_copies_are() {
        let device = (Backing::Device(address(512)), false);
        for context in [PRIVATE_DAX, SHARED_DAX, on_old_kernel(PRIVATE_DAX)] {
            for entry in [present(512), present(512) | Entry::FILE] {
                for no_page in [0, NOPAGE, RESERVED | MMAP] {
                    assert_eq!(state(&context, entry, Some(no_page)), device);
                }
                let zero = (Backing::Zero(address(512)), false);
                assert_eq!(state(&context, entry, Some(ZERO_PAGE)), zero);
                // Neither kind, or unreadable flags.
                let unknown = (Backing::Unknown(UnknownReason::Frame), false);
                assert_eq!(state(&context, entry, Some(MMAP)), unknown);
                assert_eq!(state(&context, entry, None), unknown);
            }
            // A hole is the zero page.
            let hole = (Backing::Zero(address(100)), false);
            assert_eq!(state_without_flags(&context, present(100)), hole);
        }
        assert_eq!(
            state(&PRIVATE_DAX, present(512), Some(ANON | MMAP)),
            (Backing::Ram(address(512)), true)
        );
    }

    #[test]
    fn memory_of_a_driver_is_ram_only_if_the_kernel_has_it_as_ram() {
        let shared = PageContext {
            source: PageSource::Driver,
            ..SHARED_FILE
        };
        let (ram, device) = (Backing::Ram(address(512)), Backing::Device(address(512)));
        let listed = present(512) | Entry::FILE;
        assert_eq!(state(&shared, listed, Some(MMAP)), (ram, false));
        assert_eq!(state(&shared, listed, Some(NOPAGE)), (device, false));
        assert_eq!(state(&shared, listed, Some(0)), (device, false));
        // The frame alone identifies it.
        assert_eq!(state(&shared, present(512), Some(MMAP)), (device, false));
        let private = PageContext {
            private: true,
            ..shared
        };
        assert_eq!(state(&private, present(512), Some(ANON)), (ram, true));
        assert_eq!(state(&private, present(512), Some(NOPAGE)), (device, false));
    }

    #[test]
    fn a_shared_page_without_bit_61_is_a_devices_or_a_huge_page_of_an_old_kernel() {
        let (ram, device) = (
            (Backing::Ram(address(512)), false),
            (Backing::Device(address(512)), false),
        );
        assert_eq!(
            state_without_flags(&SHARED_FILE, present(512) | Entry::FILE),
            ram
        );
        assert_eq!(state(&SHARED_FILE, present(512), Some(NOPAGE)), device);
        assert_eq!(state(&SHARED_FILE, present(512), None), device);
        let old = on_old_kernel(SHARED_FILE);
        assert_eq!(state(&old, present(512), Some(MMAP)), ram);
        let unknown = (Backing::Unknown(UnknownReason::Frame), false);
        assert_eq!(state(&old, present(512), None), unknown);
        // In a private mapping this page is not a private copy.
        let old = on_old_kernel(PRIVATE_FILE);
        assert_eq!(state(&old, present(512), Some(MMAP)), ram);
        let copy = (Backing::Ram(address(512)), true);
        assert_eq!(state(&old, present(512), Some(ANON)), copy);
        assert_eq!(state_without_flags(&PRIVATE_FILE, present(512)), copy);
    }

    #[test]
    fn an_empty_entry_of_hugetlb_does_not_say_that_nothing_is_there() {
        let hugetlb = PageContext {
            hugetlb: true,
            ..PRIVATE_FILE
        };
        let unknown = (Backing::Unknown(UnknownReason::HugePage), false);
        assert_eq!(state_without_flags(&hugetlb, 0), unknown);
        // Bit 57: a marker, or a page in migration that is write-protected.
        assert_eq!(state_without_flags(&hugetlb, 1 << 57), unknown);
        assert_eq!(hugetlb.empty().backing, Backing::NotPresent);
        // Its bit 61 is right on every kernel.
        let old = on_old_kernel(hugetlb);
        assert_eq!(
            state_without_flags(&old, present(512)),
            (Backing::Ram(address(512)), true)
        );
    }

    #[test]
    fn a_frame_that_is_named_without_being_present_is_what_its_flags_say() {
        let unknown = Backing::Unknown(UnknownReason::Frame);
        let named = |flags| state(&ANONYMOUS, Entry::SWAP | 77 << 5 | 25, flags).0;
        assert_eq!(named(Some(HWPOISON | ANON)), Backing::Poisoned);
        assert_eq!(named(Some(LOCKED | ANON)), Backing::Migrating);
        // Exclusive to a device; in a device's private memory; flags unreadable.
        assert_eq!(named(Some(ANON | MMAP)), unknown);
        for flags in [Some(0), Some(NOPAGE), None] {
            assert_eq!(named(flags), unknown);
        }
    }

    #[test]
    fn the_kernels_own_pages_are_ram() {
        let kernel = PageContext {
            source: PageSource::Kernel,
            ..ANONYMOUS
        };
        let ram = (Backing::Ram(address(512)), true);
        assert_eq!(
            state_without_flags(&kernel, present(512) | Entry::FILE),
            ram
        );
    }
}
