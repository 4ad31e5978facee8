//! Physical addresses above this machine's memory: errors and warnings.

use process_introspection::{PhysAddr, PhysicalKind, PhysicalMap};

use crate::failure::{self, Failure};
use crate::text::counted;

/// Error of a page frame whose address has more than 64 bits.
pub(crate) fn no_such_frame() -> Failure {
    let message = "there is no page frame of such a number: its address has over 64 bits";
    Failure::Message(message.to_owned())
}

/// Warns of addresses at which there can be nothing: `given` are arguments, `logged` are
/// named by a log.
pub(crate) fn warn(
    map: &PhysicalMap,
    given: impl IntoIterator<Item = PhysAddr>,
    logged: impl IntoIterator<Item = PhysAddr>,
) {
    for address in given {
        if let Some(warning) = warning(map, address) {
            failure::warn(warning);
        }
    }
    let beyond = logged.into_iter().filter(|&at| limits(map, at).is_some());
    match beyond.count() {
        0 => {}
        count => {
            let pages = counted(
                count as u64,
                "page that the log names lies",
                "pages that the log names lie",
            );
            failure::warn(format_args!(
                "{pages} past the end of this machine's memory: it may be another machine's log"
            ));
        }
    }
}

/// Returns the last byte of RAM and of all resources; `None` if the address is not above
/// RAM, a resource claims it, or resources are hidden. The window of a PCI bus claims
/// nothing by itself.
fn limits(map: &PhysicalMap, address: PhysAddr) -> Option<(PhysAddr, PhysAddr)> {
    let (ram, last) = (map.last_of_ram()?, map.last_claimed()?);
    let place = map.at(address);
    let is_claimed = place.kind != Some(PhysicalKind::Unclaimed)
        && !(place.resources.iter()).all(|resource| resource.name.starts_with("PCI Bus "));
    (address > ram && !is_claimed).then_some((ram, last))
}

fn warning(map: &PhysicalMap, address: PhysAddr) -> Option<String> {
    let (ram, last) = limits(map, address)?;
    let number = address.as_u64();
    let mut warning = match address > last {
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
    // Arguments are hexadecimal, but ras-mc-ctl prints decimal addresses.
    let digits = format!("{number:x}");
    if let Ok(decimal) = digits.parse() {
        if map.at(PhysAddr::new(decimal)).kind == Some(PhysicalKind::SystemRam) {
            warning.push_str(&format!(
                " (addresses are hexadecimal; the decimal number {digits} is {decimal:#x}, which is RAM)"
            ));
        }
    }
    Some(warning)
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
    fn a_warning_says_where_memory_ends_and_whether_the_decimal_number_is_ram() {
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
