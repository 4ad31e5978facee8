//! Entries of the page map: what their bits mean.

use process_introspection_core::backing::SwapPlace;
use process_introspection_core::entry::{Entry, NonPresent};
use process_introspection_core::Pfn;

use crate::{GUARD, PRESENT, SWAP, UFFD_WP};

fn swap(area: u64, offset: u64) -> Entry {
    Entry::from_raw(SWAP | offset << 5 | area)
}

#[test]
fn bit_62_is_not_always_swap() {
    let place = |area, offset| Some(NonPresent::Swap(SwapPlace { area, offset }));
    assert_eq!(swap(0, 32).non_present(), place(0, 32));
    assert_eq!(swap(21, 1).non_present(), place(21, 1));
    // Debian's 6.1 uses this type for poisoned pages.
    assert_eq!(
        swap(22, 77).non_present(),
        Some(NonPresent::Frame(Pfn::new(77)))
    );
    let early_marker = Entry::from_raw(swap(30, 1).raw() | UFFD_WP);
    assert_eq!(early_marker.non_present(), Some(NonPresent::Marker(1)));
    assert_eq!(
        swap(30, 1).non_present(),
        Some(NonPresent::Frame(Pfn::new(1)))
    );
    assert_eq!(
        swap(23, 77).non_present(),
        Some(NonPresent::Frame(Pfn::new(77)))
    );
    assert_eq!(swap(31, 1).non_present(), Some(NonPresent::Marker(1)));
    assert_eq!(swap(31, 2).non_present(), Some(NonPresent::Poisoned));
    assert_eq!(swap(31, 4).non_present(), Some(NonPresent::Guard));
    assert_eq!(
        swap(31, 4711).non_present(),
        Some(NonPresent::Frame(Pfn::new(4711)))
    );
    assert_eq!(
        Entry::from_raw(SWAP | GUARD).non_present(),
        Some(NonPresent::Guard)
    );
}

#[test]
fn an_entry_is_present_or_not() {
    let present = Entry::from_raw(PRESENT | 0x1234);
    assert_eq!(present.frame(), Some(Pfn::new(0x1234)));
    assert_eq!(present.non_present(), None);
    let empty = Entry::from_raw(1 << 55);
    assert!(empty.is_empty());
    assert_eq!(
        (empty.frame(), empty.non_present()),
        (None, Some(NonPresent::Empty))
    );
}
