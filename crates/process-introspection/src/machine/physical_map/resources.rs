//! The kernel's list of physical address ranges, `/proc/iomem`: its text, and the tree that
//! it represents. Pure; knows no file and no NUMA node.

use process_introspection_core::PhysAddr;

use crate::named::named_values;

/// Range of physical addresses that is claimed, as `/proc/iomem` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resource {
    /// First byte.
    pub first: PhysAddr,
    /// Last byte.
    pub last: PhysAddr,
    /// Owner, in the kernel's words: `System RAM`, `Kernel code`, a driver's name. Bytes
    /// that are not UTF-8 are replaced.
    pub name: String,
}

named_values! {
    /// Kind of resource at a physical address.
    #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum PhysicalKind {
        /// Memory that the kernel manages as RAM, whatever its technology.
        SystemRam = "system-ram",
        /// Persistent memory that the kernel does not manage as RAM.
        PersistentMemory = "persistent-memory",
        /// Memory that the firmware withholds from the kernel, and that no driver has claimed.
        Reserved = "reserved",
        /// Tables and ROMs of the firmware.
        Firmware = "firmware",
        /// Range of a PCI bus, of its configuration space or of a device on it.
        Pci = "pci",
        /// Registers or memory of another device.
        Device = "device",
        /// Address that nothing has claimed.
        Unclaimed = "unclaimed",
    }
    /// All kinds.
    pub const ALL;
    /// Returns the name in every output.
    pub const fn name;
}

impl PhysicalKind {
    /// Returns the kind from the names of the ranges around an address, outermost first.
    /// Parts of RAM have names of their own ("Kernel code"; on arm64 "reserved"), RAM that
    /// was a device's lies within it ("dax0.0 > System RAM (kmem)"): RAM anywhere makes it
    /// RAM.
    fn of(names: &[&str]) -> Self {
        let any = |is: fn(&str) -> bool| names.iter().any(|name| is(name));
        if any(is_system_ram) {
            Self::SystemRam
        } else if any(|name| name.starts_with("Persistent Memory")) {
            Self::PersistentMemory
        } else if any(is_pci) {
            Self::Pci
        } else if any(|name| name.starts_with("ACPI ") || name.ends_with(" ROM")) {
            Self::Firmware
        } else if names.is_empty() {
            Self::Unclaimed
        } else if names.iter().all(|name| is_reserved(name)) {
            Self::Reserved
        } else {
            Self::Device
        }
    }
}

/// Returns whether a name is "System RAM", "System RAM (kmem)", "System RAM (virtio_mem)"
/// ...
fn is_system_ram(name: &str) -> bool {
    name == "System RAM" || name.starts_with("System RAM (")
}

/// Returns whether a name is one of x86's firmware map (arch/x86/kernel/e820.c, Linux 5.10
/// to 6.18), of arm64's memory without a mapping, or the kernel's own for the range after
/// RAM.
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "Reserved" | "reserved" | "Soft Reserved" | "Unusable memory" | "RAM buffer"
    ) || name.starts_with("Unknown E820 type")
}

fn is_pci(name: &str) -> bool {
    name.starts_with("PCI ") || is_pci_address(name)
}

/// Returns whether a name is like "0000:00:01.0": domain (4 digits or more), bus, device,
/// function.
fn is_pci_address(name: &str) -> bool {
    let hexadecimal = |text: &str, at_least: usize, at_most: usize| {
        (at_least..=at_most).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut parts = name.splitn(3, ':');
    let (Some(domain), Some(bus), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    rest.split_once('.').is_some_and(|(device, function)| {
        hexadecimal(domain, 4, 8)
            && hexadecimal(bus, 2, 2)
            && hexadecimal(device, 2, 2)
            && hexadecimal(function, 1, 1)
    })
}

/// Claimed ranges, in the order of the text: a range precedes its parts. The addresses
/// determine which range is part of which; the indentation shows it only for the first 5
/// levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources(Vec<Resource>);

impl Resources {
    /// Parses the text; `None` if it shows no addresses. Without CAP_SYS_ADMIN in the
    /// initial user namespace the kernel writes 0 for all of them (kernel/resource.c
    /// `r_show`, since Linux 4.6), without any other sign.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut resources: Vec<Resource> = Vec::new();
        let mut shown = false;
        for line in text.split(|&byte| byte == b'\n') {
            let Some((first, last, name)) = parts(line) else {
                continue;
            };
            shown |= last != 0;
            resources.push(Resource {
                first: PhysAddr::new(first),
                last: PhysAddr::new(last),
                name,
            });
        }
        shown.then_some(Self(resources))
    }

    /// Returns the ranges around an address, outermost first, and the kind that they make
    /// it.
    pub(super) fn at(&self, address: PhysAddr) -> (Vec<&Resource>, PhysicalKind) {
        let inside = |resource: &&Resource| resource.first <= address && address <= resource.last;
        let path: Vec<_> = self.0.iter().filter(inside).collect();
        let names: Vec<_> = path.iter().map(|resource| &*resource.name).collect();
        let kind = PhysicalKind::of(&names);
        (path, kind)
    }

    /// Returns the first address above this one where a resource begins, or one has ended;
    /// the last address of all if there is none.
    pub(super) fn border_after(&self, address: PhysAddr) -> u64 {
        let borders = self.0.iter().flat_map(|resource| {
            [
                resource.first.as_u64(),
                resource.last.as_u64().saturating_add(1),
            ]
        });
        let above = borders.filter(|&border| border > address.as_u64());
        above.min().unwrap_or(u64::MAX)
    }

    /// Returns the last byte of all resources.
    pub(super) fn last(&self) -> Option<PhysAddr> {
        self.0.iter().map(|resource| resource.last).max()
    }

    /// Returns the first and last byte of each range of RAM, ascending.
    pub(super) fn system_ram(&self) -> Vec<(u64, u64)> {
        let ram = self
            .0
            .iter()
            .filter(|resource| is_system_ram(&resource.name));
        let mut ram: Vec<_> = ram
            .map(|resource| (resource.first.as_u64(), resource.last.as_u64()))
            .collect();
        ram.sort_unstable();
        ram
    }
}

/// Parses a line such as `  01000000-0220bb07 : Kernel code`.
fn parts(line: &[u8]) -> Option<(u64, u64, String)> {
    let line = String::from_utf8_lossy(line);
    let (range, name) = line.split_once(" : ")?;
    let (first, last) = range.trim_start_matches(' ').split_once('-')?;
    let hexadecimal = |digits: &str| {
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid
            .then(|| u64::from_str_radix(digits, 16).ok())
            .flatten()
    };
    let (first, last) = (hexadecimal(first)?, hexadecimal(last)?);
    (first <= last).then(|| (first, last, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_where_a_resource_begins_or_has_ended() {
        let text = b"1000-9fbff : System RAM\nc0000-fffff : PCI\n  c0000-c0fff : 0000:00:01.0\n";
        let resources = Resources::parse(text).unwrap();
        for (address, border) in [
            (0, 0x1000),
            (0x1000, 0x9fc00),
            (0xc0000, 0xc1000),
            (0xc1000, 0x10_0000),
            (0x10_0000, u64::MAX),
        ] {
            let found = resources.border_after(PhysAddr::new(address));
            assert_eq!(found, border, "{address:#x}");
        }
    }
}
