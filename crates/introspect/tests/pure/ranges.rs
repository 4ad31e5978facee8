//! Texts of ranges, addresses and sizes.

#[path = "../../src/options/range.rs"]
#[allow(dead_code)]
mod range;

use process_introspection::{AddrRange, PageSize};
use proptest::prelude::*;
use range::{Invalid, PhysicalRangeText, PhysicalText, RangeText};

fn span(start: u64, end: u64) -> Result<RangeText, Invalid> {
    Ok(RangeText::Span(AddrRange::new(start, end).unwrap()))
}

#[test]
fn every_form_of_range_is_understood() {
    let parse = str::parse::<RangeText>;
    assert_eq!(parse("7f00-7f10"), span(0x7f00, 0x7f10));
    assert_eq!(parse("0x7f00-0x7F10"), span(0x7f00, 0x7f10));
    assert_eq!(parse("7f00-0x7f10"), span(0x7f00, 0x7f10));
    assert_eq!(parse("1000+4096"), span(0x1000, 0x2000));
    assert_eq!(parse("0x1000+0x1000"), span(0x1000, 0x2000));
    assert_eq!(parse("1000+64K"), span(0x1000, 0x11000));
    assert_eq!(parse("0+2M"), span(0, 2 << 20));
    assert_eq!(parse("0+1g"), span(0, 1 << 30));
    assert_eq!(parse("1234"), Ok(RangeText::Page(0x1234)));
    assert_eq!(parse("0x1234"), Ok(RangeText::Page(0x1234)));
    assert_eq!(
        parse("ffffffffff600000-ffffffffff601000"),
        span(!0 - 0x9fffff, !0 - 0x9fefff)
    );
}

#[test]
fn what_is_no_range_is_refused_with_the_reason() {
    let refused = |text: &str| text.parse::<RangeText>().unwrap_err();
    for text in [
        "",
        "-",
        "+",
        "xyz",
        "0x",
        "10-",
        "-10",
        "10--20",
        "+10-20",
        "10 -20",
        "10-20-30",
        "10000000000000000",
        "1-0x+5",
    ] {
        assert_eq!(refused(text), Invalid::Address, "{text}");
    }
    for text in [
        "10+",
        "10+-5",
        "10+ 5",
        "10+5KB",
        "10+K",
        "10+1.5M",
        "10+0x",
        "10+0x1K",
        "10+++5",
        "10+18446744073709551616",
        "0+99999999999T",
    ] {
        assert_eq!(refused(text), Invalid::Size, "{text}");
    }
    assert_eq!(refused("20-10"), Invalid::Backwards);
    assert_eq!(refused("10-10"), Invalid::Empty);
    assert_eq!(refused("10+0"), Invalid::Empty);
    assert_eq!(refused("ffffffffffffffff+2"), Invalid::TooLong);
}

#[test]
fn one_address_is_its_page() {
    let page = PageSize::SIZE_4K;
    let resolved = |text: &str| text.parse::<RangeText>().unwrap().resolve(page);
    assert_eq!(resolved("1fff"), AddrRange::new(0x1000, 0x2000).unwrap());
    let last = AddrRange::new(!0xfff, u64::MAX).unwrap();
    assert_eq!(resolved("ffffffffffffffff"), last);
    assert_eq!(resolved("fffffffffffff000"), last);
    assert_eq!(resolved("1fff+1"), AddrRange::new(0x1fff, 0x2000).unwrap());
    assert_eq!(
        resolved("1fff-2001"),
        AddrRange::new(0x1fff, 0x2001).unwrap()
    );
}

#[test]
fn a_physical_place_is_an_address_or_a_frame() {
    let parse = str::parse::<PhysicalText>;
    let page = PageSize::SIZE_4K;
    let resolved = |text: &str| parse(text).unwrap().resolve(page).map(u64::from);
    assert_eq!(resolved("1000"), Some(0x1000));
    assert_eq!(resolved("0x1234"), Some(0x1234));
    assert_eq!(resolved("pfn:10"), Some(0xa000));
    assert_eq!(resolved("pfn:0x10"), Some(0x10000));
    assert_eq!(resolved("pfn:0xffffffffffffffff"), None);
    for text in ["pfn:", "pfn:x", "pfn:-1", "pfn:0x", "pfn:1f"] {
        assert_eq!(parse(text), Err(Invalid::Frame), "{text}");
    }
    for text in ["", "12g", "frame:1", "10000000000000000"] {
        assert_eq!(parse(text), Err(Invalid::Address), "{text}");
    }
}

#[test]
fn physical_memory_is_a_page_or_a_range() {
    let page = PageSize::SIZE_4K;
    let resolved = |text: &str| {
        let range = text.parse::<PhysicalRangeText>().unwrap().resolve(page)?;
        Some((range.start().as_u64(), range.end().as_u64()))
    };
    assert_eq!(resolved("1234"), Some((0x1000, 0x2000)));
    assert_eq!(resolved("pfn:0x10"), Some((0x10000, 0x11000)));
    assert_eq!(resolved("0x1000-0x1800"), Some((0x1000, 0x1800)));
    assert_eq!(resolved("100000+2M"), Some((0x10_0000, 0x30_0000)));
    assert_eq!(resolved("pfn:0xffffffffffffffff"), None);
    for (text, why) in [
        ("pfn:1-2", Invalid::Frame),
        ("2000-1000", Invalid::Backwards),
        ("1000+0", Invalid::Empty),
        ("page", Invalid::Address),
    ] {
        assert_eq!(text.parse::<PhysicalRangeText>(), Err(why), "{text}");
    }
}

proptest! {
    #[test]
    fn a_range_as_maps_has_it_is_that_range(a: u64, b: u64) {
        prop_assume!(a != b);
        let range = AddrRange::new(a.min(b), a.max(b)).unwrap();
        prop_assert_eq!(range.to_string().parse(), Ok(RangeText::Span(range)));
        let sized = format!("{:#x}+{}", range.start(), range.size());
        prop_assert_eq!(sized.parse(), Ok(RangeText::Span(range)));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text: String) {
        let _ = text.parse::<RangeText>();
    }

    #[test]
    fn text_like_a_range_is_never_misread(text in "[0-9a-fx+KMG-]{0,12}") {
        if let Ok(RangeText::Span(range)) = text.parse() {
            prop_assert!(range.start() < range.end());
            prop_assert!(text.contains(['-', '+']));
        }
    }
}
