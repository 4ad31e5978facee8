//! Warnings about physical addresses past the end of this machine's memory.

use std::io::{self, Write};

use process_introspection::{PhysAddr, PhysicalKind, PhysicalMap};

use crate::output::count::counted;

/// Writes to standard error which of these addresses nothing can be at.
/// `named` are those that a log names.
pub(crate) fn warn(
    map: &PhysicalMap,
    given: impl IntoIterator<Item = PhysAddr>,
    named: impl IntoIterator<Item = PhysAddr>,
) {
    let mut said = String::new();
    for address in given {
        if let Some(warning) = warning(map, address) {
            said.push_str(&format!("introspect: {warning}\n"));
        }
    }
    let beyond = named
        .into_iter()
        .filter(|&at| end_before(map, at).is_some());
    match beyond.count() {
        0 => {}
        count => {
            let pages = counted(
                count as u64,
                "page that the log names lies",
                "pages that the log names lie",
            );
            said.push_str(&format!(
                "introspect: {pages} past the end of this machine's memory: it may be another machine's log\n"
            ));
        }
    }
    // Where nobody can be told, the records still tell.
    let _ = io::stderr().write_all(said.as_bytes());
}

/// The last byte of RAM and of all resources; `None` if the address is not past
/// that RAM, something claims it, or the resources are hidden. The window of a
/// PCI bus claims nothing by itself.
fn end_before(map: &PhysicalMap, address: PhysAddr) -> Option<(PhysAddr, PhysAddr)> {
    let (ram, last) = (map.last_of_ram()?, map.last_claimed()?);
    let place = map.at(address);
    let is_claimed = place.kind != Some(PhysicalKind::Unclaimed)
        && !(place.resources.iter()).all(|resource| resource.name.starts_with("PCI Bus "));
    (address > ram && !is_claimed).then_some((ram, last))
}

fn warning(map: &PhysicalMap, address: PhysAddr) -> Option<String> {
    let (ram, last) = end_before(map, address)?;
    let number = address.as_u64();
    let mut said = match address > last {
        true => format!(
            "{number:#x} lies above the machine's last resource, which ends at {:#x}; RAM ends at {:#x}",
            last.as_u64(),
            ram.as_u64()
        ),
        false => format!(
            "{number:#x} lies above RAM, which ends at {:#x}, and no device claims it",
            ram.as_u64()
        ),
    };
    // Addresses are read as hexadecimal, and ras-mc-ctl prints decimal ones.
    let digits = format!("{number:x}");
    if let Ok(decimal) = digits.parse() {
        if map.at(PhysAddr::new(decimal)).kind == Some(PhysicalKind::SystemRam) {
            said.push_str(&format!(
                " (addresses are hexadecimal; the decimal number {digits} is {decimal:#x}, which is RAM)"
            ));
        }
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn map(iomem: &str) -> PhysicalMap {
        let dir = tempfile::TempDir::new().unwrap();
        fs::write(dir.path().join("iomem"), iomem).unwrap();
        PhysicalMap::read_from(dir.path(), dir.path()).unwrap()
    }

    #[test]
    fn an_address_above_everything_is_said_to_be_with_its_decimal_reading_if_that_is_ram() {
        let map = map("00001000-0009fbff : System RAM\n\
             100000000-7fffffffff : System RAM\n\
             380000000000-38003fffffff : PCI Bus 0000:00\n\
             380000100000-3800001fffff : 0000:00:04.0\n");
        let said = |address| warning(&map, PhysAddr::new(address)).unwrap_or_default();
        assert_eq!(
            said(0x469810184128),
            "0x469810184128 lies above the machine's last resource, which ends at 0x38003fffffff; \
             RAM ends at 0x7fffffffff (addresses are hexadecimal; the decimal number 469810184128 is \
             0x6d62de7fc0, which is RAM)"
        );
        assert_eq!(
            said(0x1234567a000),
            "0x1234567a000 lies above RAM, which ends at 0x7fffffffff, and no device claims it"
        );
        assert!(said(0x38000000a000).ends_with("and no device claims it"));
        for at in [0x2000, 0xf0000, 0x100000000, 0x380000100000] {
            assert_eq!(said(at), "", "{at:#x}");
        }
    }

    #[test]
    fn hidden_resources_warn_of_nothing() {
        let map = map("00000000-00000000 : System RAM\n");
        assert_eq!(warning(&map, PhysAddr::new(0x469810184128)), None);
    }
}
