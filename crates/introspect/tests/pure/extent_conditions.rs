//! Conditions on extents.

#[path = "../../src/commands/extents/conditions.rs"]
#[allow(dead_code)]
mod conditions;

use conditions::Conditions;
use process_introspection_export::{ExtentRecord, Hex, State};

fn extent(vaddr: u64, size: u64, paddr: u64) -> ExtentRecord {
    let paddr = Some(Hex(paddr));
    ExtentRecord {
        vaddr: Hex(vaddr),
        size,
        paddr,
        pfn: None,
        state: State::Ram,
        node: None,
    }
}

fn missing(vaddr: u64, size: u64, state: State) -> ExtentRecord {
    ExtentRecord {
        vaddr: Hex(vaddr),
        size,
        paddr: None,
        pfn: None,
        state,
        node: None,
    }
}

fn violation(contiguous: bool, align: Option<u64>, extents: &[ExtentRecord]) -> Option<String> {
    let mut conditions = Conditions::new(contiguous, align);
    extents.iter().for_each(|extent| conditions.add(extent));
    conditions.violation()
}

#[test]
fn all_must_be_ram() {
    assert_eq!(
        violation(false, None, &[extent(0, 5, 0x10), extent(5, 7, 0x90)]),
        None
    );
    let zero = ExtentRecord {
        state: State::Zero,
        ..extent(5, 7, 0x90)
    };
    let wrong = violation(false, None, &[extent(0, 5, 0x10), zero]).unwrap();
    assert_eq!(
        wrong,
        "7 of 12 bytes are not backed by RAM, the first at 0x5 (zero)"
    );
    let wrong = violation(false, None, &[missing(1, 2, State::Unmapped)]).unwrap();
    assert_eq!(
        wrong,
        "2 of 2 bytes are not backed by RAM, the first at 0x1 (unmapped)"
    );
}

#[test]
fn contiguous_is_one_extent() {
    assert_eq!(violation(true, None, &[extent(0, 5, 0x10)]), None);
    let wrong = violation(true, None, &[extent(0, 5, 0x10), extent(5, 7, 0x90)]).unwrap();
    assert_eq!(wrong, "there are 2 extents, not one");
}

#[test]
fn aligned_are_addresses_and_all_lengths_but_the_last() {
    let wrong = |extents: &[ExtentRecord]| violation(false, Some(0x10), extents);
    assert_eq!(wrong(&[extent(0, 0x20, 0x40), extent(0x20, 5, 0x80)]), None);
    let text = wrong(&[extent(0, 0x18, 0x40), extent(0x18, 5, 0x80)]).unwrap();
    assert_eq!(
        text,
        "the extent at 0x0 has the length 0x18, no multiple of 0x10"
    );
    let text = wrong(&[extent(0, 0x20, 0x40), extent(0x20, 5, 0x88)]).unwrap();
    assert_eq!(
        text,
        "the extent at 0x20 has the physical address 0x88, no multiple of 0x10"
    );
}

#[test]
fn what_has_no_address_has_no_alignment() {
    let extents = [
        missing(0, 0x18, State::NotPresent),
        extent(0x18, 0x10, 0x80),
    ];
    let text = violation(false, Some(0x10), &extents).unwrap();
    assert!(!text.contains("multiple"), "{text}");
}

#[test]
fn everything_wrong_is_said_in_one_line() {
    let extents = [extent(0, 5, 4), missing(5, 2, State::Swapped)];
    let text = violation(true, Some(2), &extents).unwrap();
    assert_eq!(text.matches("; ").count(), 2, "{text}");
    assert!(!text.contains('\n'));
}
