//! Ranges of addresses and sizes of pages.

use process_introspection_core::{AddrRange, PageSize};

#[test]
fn bounds_have_no_tag_where_pointers_can_have_one() {
    let tag = 0xb4 << 56;
    let expected = match cfg!(target_arch = "aarch64") {
        true => (0x1000, 0x3000),
        false => (tag | 0x1000, tag | 0x3000),
    };
    for range in [
        AddrRange::from_bounds(tag | 0x1000..tag | 0x3000),
        AddrRange::from_bounds(tag | 0x1000..=tag | 0x2fff),
        AddrRange::inclusive(tag | 0x1000, tag | 0x2fff),
    ] {
        let range = range.unwrap();
        let ends = (range.start().as_u64(), range.end().as_u64());
        assert_eq!(ends, expected);
    }
    // Ends beyond all memory, which have no tag to be removed.
    for end in [1 << 56, 1 << 60, 1 << 63, u64::MAX] {
        assert_eq!(
            AddrRange::from_bounds(0x1000..end),
            AddrRange::new(0x1000, end)
        );
    }
    assert_eq!(AddrRange::from_bounds(..0), AddrRange::new(0, 0));
}

#[test]
fn a_range_is_widened_to_the_pages_it_touches() {
    let page = PageSize::SIZE_4K;
    let widened = |start, end| AddrRange::new(start, end).unwrap().widened(page);
    assert_eq!(
        widened(0x1001, 0x1002),
        AddrRange::new(0x1000, 0x2000).unwrap()
    );
    assert_eq!(
        widened(0x1000, 0x2000),
        AddrRange::new(0x1000, 0x2000).unwrap()
    );
    assert_eq!(
        widened(0x1fff, 0x2001),
        AddrRange::new(0x1000, 0x3000).unwrap()
    );
    assert!(widened(0x1234, 0x1234).is_empty());
    assert_eq!(widened(5, u64::MAX).end().as_u64(), u64::MAX);
}

#[test]
fn an_inclusive_range_holds_its_last_byte() {
    let range = AddrRange::inclusive(0x1000, 0x1fff).unwrap();
    assert_eq!(range, AddrRange::new(0x1000, 0x2000).unwrap());
    assert_eq!(
        AddrRange::inclusive(4096, u64::MAX).unwrap().end().as_u64(),
        u64::MAX
    );
    let at_the_end = AddrRange::inclusive(u64::MAX, u64::MAX).unwrap();
    let page = AddrRange::new(!0xfff, u64::MAX).unwrap();
    assert_eq!(at_the_end.widened(PageSize::SIZE_4K), page);
    assert_eq!(
        AddrRange::from_bounds(u64::MAX..=u64::MAX),
        Some(at_the_end)
    );
    assert!(AddrRange::inclusive(2, 1).is_none());
    assert!(AddrRange::new(2, 1).is_none());
}

#[test]
fn every_kind_of_rust_range_converts() {
    assert_eq!(AddrRange::from_bounds(..), Some(AddrRange::ALL));
    assert_eq!(AddrRange::from_bounds(5u64..9), AddrRange::new(5, 9));
    assert_eq!(AddrRange::from_bounds(5u64..=9), AddrRange::new(5, 10));
    assert_eq!(AddrRange::from_bounds(5..), AddrRange::new(5, u64::MAX));
    let (backwards_start, backwards_end) = (9u64, 5u64);
    assert_eq!(AddrRange::from_bounds(backwards_start..backwards_end), None);
}

#[test]
fn a_page_table_level_maps_a_page_of_entries() {
    assert_eq!(PageSize::SIZE_4K.pmd().bytes(), 2 << 20);
    assert_eq!(
        PageSize::from_bytes(16 << 10).unwrap().pmd().bytes(),
        32 << 20
    );
    assert_eq!(
        PageSize::from_bytes(64 << 10).unwrap().pmd().bytes(),
        512 << 20
    );
    assert_eq!(PageSize::from_bytes(3), None);
}
