//! The kernel's list of physical address ranges, `/proc/iomem`: its text, and the tree that
//! it represents. Pure; knows no file and no NUMA node.

use process_introspection_core::PhysAddr;

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

/// Kind of resource at a physical address.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PhysicalKind {
    /// Memory that the kernel manages as RAM, whatever its technology.
    SystemRam,
    /// Persistent memory that the kernel does not manage as RAM.
    PersistentMemory,
    /// Memory that the firmware withholds from the kernel, and that no driver has claimed.
    Reserved,
    /// Tables and ROMs of the firmware.
    Firmware,
    /// Range of a PCI bus, of its configuration space or of a device on it.
    Pci,
    /// Registers or memory of another device.
    Device,
    /// Address that nothing has claimed.
    Unclaimed,
}

impl PhysicalKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::SystemRam,
        Self::PersistentMemory,
        Self::Reserved,
        Self::Firmware,
        Self::Pci,
        Self::Device,
        Self::Unclaimed,
    ];

    /// Returns the name in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SystemRam => "system-ram",
            Self::PersistentMemory => "persistent-memory",
            Self::Reserved => "reserved",
            Self::Firmware => "firmware",
            Self::Pci => "pci",
            Self::Device => "device",
            Self::Unclaimed => "unclaimed",
        }
    }

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

    const TEXT: &[u8] = b"\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
000a0000-000fffff : Reserved
  000f0000-000fffff : System ROM
00100000-bfffffff : System RAM
  01000000-0220bb07 : Kernel code
c0000000-febfffff : PCI Bus 0000:00
  c0000000-c0000fff : 0000:00:01.0
    c0000000-c0000fff : virtio-pci-modern
fec00000-fec003ff : IOAPIC 0
fed00000-fed00fff : Reserved
  fed00000-fed003ff : HPET 0
fee00000-fee00fff : ACPI Non-volatile Storage
100000000-1ffffffff : Persistent Memory
  100000000-13fffffff : namespace0.0
  140000000-1ffffffff : dax1.0
    140000000-1ffffffff : System RAM (kmem)
";

    fn at(address: u64) -> (String, PhysicalKind) {
        let resources = Resources::parse(TEXT).unwrap();
        let (path, kind) = resources.at(PhysAddr::new(address));
        let names: Vec<_> = path.iter().map(|resource| &*resource.name).collect();
        (names.join(" > "), kind)
    }

    #[test]
    fn borders_are_where_a_resource_begins_or_has_ended() {
        let resources = Resources::parse(TEXT).unwrap();
        for (address, border) in [
            (0, 0x1000),
            (0x1000, 0x9fc00),
            (0xc0000000, 0xc0001000),
            (0xfed00000, 0xfed00400),
            (0x1_8000_0000, 0x2_0000_0000),
            (0x2_0000_0000, u64::MAX),
        ] {
            assert_eq!(
                resources.border_after(PhysAddr::new(address)),
                border,
                "{address:#x}"
            );
        }
    }

    #[test]
    fn an_address_is_in_all_ranges_around_it_and_in_no_other() {
        use PhysicalKind as K;
        for (address, path, kind) in [
            (0x0, "Reserved", K::Reserved),
            (0x1000, "System RAM", K::SystemRam),
            (0x9fbff, "System RAM", K::SystemRam),
            (0x9fc00, "", K::Unclaimed),
            (0xf0000, "Reserved > System ROM", K::Firmware),
            (0x1000000, "System RAM > Kernel code", K::SystemRam),
            (0x220bb08, "System RAM", K::SystemRam),
            (
                0xc0000800,
                "PCI Bus 0000:00 > 0000:00:01.0 > virtio-pci-modern",
                K::Pci,
            ),
            (0xc0001000, "PCI Bus 0000:00", K::Pci),
            (0xfec00000, "IOAPIC 0", K::Device),
            (0xfed00000, "Reserved > HPET 0", K::Device),
            (0xfed00400, "Reserved", K::Reserved),
            (0xfee00000, "ACPI Non-volatile Storage", K::Firmware),
            (
                0x100000000,
                "Persistent Memory > namespace0.0",
                K::PersistentMemory,
            ),
            (
                0x140000000,
                "Persistent Memory > dax1.0 > System RAM (kmem)",
                K::SystemRam,
            ),
            (u64::MAX, "", K::Unclaimed),
        ] {
            assert_eq!(at(address), (path.to_owned(), kind), "{address:#x}");
        }
    }

    #[test]
    fn zeros_are_never_taken_for_ranges() {
        let zeros: Vec<u8> = String::from_utf8_lossy(TEXT)
            .lines()
            .flat_map(|line| {
                let depth = line.len() - line.trim_start().len();
                let name = line.split_once(" : ").unwrap().1;
                format!("{:depth$}00000000-00000000 : {name}\n", "").into_bytes()
            })
            .collect();
        assert_eq!(Resources::parse(&zeros), None);
        assert_eq!(Resources::parse(b""), None);
    }

    #[test]
    fn ram_is_listed_wherever_it_stands() {
        let ram = Resources::parse(TEXT).unwrap().system_ram();
        let expected = [
            (0x1000, 0x9fbff),
            (0x100000, 0xbfffffff),
            (0x140000000, 0x1ffffffff),
        ];
        assert_eq!(ram, expected);
    }

    #[test]
    fn lines_that_are_none_are_left_out() {
        let text = b"garbage\n2-1 : backwards\n+1-2 : sign\n10-1f : a : b\n\xff\n";
        let resources = Resources::parse(text).unwrap().0;
        assert_eq!(resources.len(), 1);
        assert_eq!(resources[0].name, "a : b");
    }
}
