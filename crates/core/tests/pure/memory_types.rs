//! Memory types: their names, and which of them a cache can serve.

use process_introspection_core::memtype::MemoryType;

#[test]
fn every_name_leads_back_to_its_type() {
    for memory_type in MemoryType::ALL {
        let name = memory_type.name();
        assert_eq!(MemoryType::from_name(name.as_bytes()), Some(memory_type));
    }
    assert_eq!(MemoryType::from_name(b"broken"), None);
}

#[test]
fn what_is_gathered_or_uncached_is_not_cached() {
    let cached = MemoryType::ALL.map(MemoryType::is_cached);
    assert_eq!(cached, [true, true, true, false, false, false]);
}
