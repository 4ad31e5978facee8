//! Flags of frames, and uses of pages by them.

use process_introspection::{FrameFlags as F, PageUse, PhysicalKind};

fn of_ram(flags: F) -> PageUse {
    PageUse::of(Some(flags), || Some(PhysicalKind::SystemRam))
}

#[test]
fn every_use_follows_from_the_flags_that_the_kernel_gives() {
    let lru = F::LRU | F::UPTODATE | F::REFERENCED;
    for (flags, expected) in [
        (F::BUDDY, PageUse::Free),
        (F::SLAB | F::COMPOUND_HEAD, PageUse::Slab),
        (F::PGTABLE, PageUse::PageTable),
        (F::PGTABLE | F::MMAP, PageUse::PageTable),
        (lru | F::MMAP, PageUse::PageCache),
        (lru | F::DIRTY | F::SWAPBACKED, PageUse::PageCache),
        (F::LOCKED | F::LRU, PageUse::PageCache),
        (F::COMPOUND_TAIL | F::THP, PageUse::PageCache),
        (lru | F::ANON | F::MMAP | F::SWAPBACKED, PageUse::Anonymous),
        (lru | F::ANON | F::KSM, PageUse::Ksm),
        (lru | F::SWAPCACHE | F::SWAPBACKED, PageUse::SwapCache),
        (
            F::HUGE | F::ANON | F::MMAP | F::COMPOUND_TAIL,
            PageUse::Hugetlb,
        ),
        (F::ZERO_PAGE | F::RESERVED, PageUse::Zero),
        (F::RESERVED, PageUse::Reserved),
        (F::OFFLINE, PageUse::Offline),
        (F::HWPOISON | lru | F::ANON, PageUse::Poisoned),
        (F::COMPOUND_HEAD, PageUse::Kernel),
        (F::MMAP, PageUse::Kernel),
        (F::PRIVATE, PageUse::Kernel),
        (F::default(), PageUse::KernelOrFree),
    ] {
        assert_eq!(of_ram(flags), expected, "{flags:?}");
    }
}

#[test]
fn where_the_kernel_has_no_page_the_resources_tell() {
    let pci = || Some(PhysicalKind::Pci);
    let not_ram = PageUse::NotRam(PhysicalKind::Pci);
    assert_eq!(PageUse::of(None, pci), not_ram);
    assert_eq!(PageUse::of(Some(F::NOPAGE), pci), not_ram);
    assert_eq!(PageUse::of(Some(F::default()), pci), not_ram);
    assert_eq!(PageUse::of(None, || None), PageUse::Unknown);
    assert_eq!(PageUse::of(Some(F::default()), || None), PageUse::Unknown);
    // RAM that the kernel does not use, by a boot option.
    let ram = PageUse::of(Some(F::NOPAGE), || Some(PhysicalKind::SystemRam));
    assert_eq!(ram.name(), "not-managed");
}

#[test]
fn every_bit_is_kept_and_those_with_a_name_have_the_kernels() {
    let flags = F::from_bits(1 << 12 | 1 << 63 | 1);
    assert_eq!(flags.set_bits().collect::<Vec<_>>(), [0, 12, 63]);
    assert_eq!(format!("{flags:?}"), "FrameFlags(locked|anon|bit63)");
    assert!(flags.contains(F::ANON | F::LOCKED));
    assert!(!flags.contains(F::ANON | F::DIRTY));
    assert_eq!(format!("{:?}", F::default()), "FrameFlags()");
}
