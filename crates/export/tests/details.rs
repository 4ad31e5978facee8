//! Details that were stored: of parts, and of several regions together.

use process_introspection::{FrameFlags, PageUse, PhysAddr, PhysRange};
use process_introspection_export::{Details, FlagCounts, OwnedPages, Span};

fn details(pages: u64, flags: &[(&str, u64)]) -> Details {
    let flags = flags.iter().map(|&(name, count)| (name.to_owned(), count));
    Details {
        pages,
        frames: pages,
        flags: FlagCounts(flags.collect()),
        entries: FlagCounts(Vec::new()),
        mapcount: Some(Span { min: 1, max: 1 }),
        swap_area: None,
    }
}

#[test]
fn details_of_a_part_are_known_where_all_pages_have_the_same() {
    let all = details(8, &[("lru", 8), ("anon", 8)]);
    assert_eq!(all.of_part(3), Some(details(3, &[("lru", 3), ("anon", 3)])));
    assert_eq!(details(8, &[("lru", 7)]).of_part(3), None);
    let mut several = all.clone();
    several.mapcount = Some(Span { min: 1, max: 2 });
    assert_eq!(several.of_part(3), None);
    let mut without_frames = all.clone();
    without_frames.frames = 5;
    assert_eq!(without_frames.of_part(3), None);
    let mut in_swap = all;
    in_swap.swap_area = Some("/swap".to_owned());
    assert_eq!(in_swap.of_part(3), None);
}

#[test]
fn counts_are_added_in_the_order_of_the_kernels_bits() {
    let mut sum = details(2, &[("lru", 2), ("anon", 1)]);
    sum.add(&details(3, &[("referenced", 1), ("lru", 3), ("bit50", 2)]));
    let expected = [("referenced", 1), ("lru", 5), ("anon", 1), ("bit50", 2)];
    assert_eq!(sum, details(5, &expected));
}

#[test]
fn the_use_of_stored_pages_is_known_if_all_have_one() {
    let range = PhysRange::new(PhysAddr::new(0), PhysAddr::new(4 << 12)).unwrap();
    let of = |flags: &[(&str, u64)]| {
        let pages = OwnedPages::stored(range, Some(0), Some(&details(4, flags)));
        (pages.page_use, pages.flags)
    };
    let anonymous = of(&[("referenced", 1), ("lru", 4), ("anon", 4)]);
    let both = FrameFlags::LRU | FrameFlags::ANON;
    assert_eq!(anonymous, (Some(PageUse::Anonymous), Some(both)));
    // Some are anonymous, and the others are not.
    assert_eq!(of(&[("lru", 4), ("anon", 3)]).0, None);
    assert_eq!(of(&[("lru", 4), ("dirty", 1)]).0, Some(PageUse::PageCache));
    // A name that no kernel has.
    assert_eq!(of(&[("lru", 4), ("new", 4)]), (None, None));
    let without = OwnedPages::stored(range, None, None);
    assert_eq!(
        (without.page_use, without.flags, without.mapcount),
        (None, None, None)
    );
}
