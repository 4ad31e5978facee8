//! Mappings of a PCI device's memory, through its files in sysfs, `resourceN` and
//! `resourceN_wc`, or through `/proc/bus/pci`. Owns the format of `resource`.
//!
//! In all of them the VMA's offset is the physical address itself: the kernel adds the
//! start of the BAR to the program's offset (drivers/pci/mmap.c,
//! `pci_mmap_resource_range`, Linux 5.10 to 7.2; before 4.12 each architecture did). It
//! is accepted only if a BAR of the device contains the whole VMA.

use super::{sysfs, DeviceMemory, Found, UnknownReason};
use crate::addr::PhysAddr;
use crate::descriptor::OwnedFd;
use crate::error::{if_readable, Result};
use crate::memtype::{self, MemoryType};
use crate::process::{PathBuffer, ProcessHandle};
use crate::sys;
use crate::vma::Vma;

/// Flag of a resource that is memory, not ports (include/linux/ioport.h).
const IORESOURCE_MEM: u64 = 0x200;
/// Length of a line of `resource`: three numbers of a fixed width
/// (drivers/pci/pci-sysfs.c, `resource_show`, Linux 5.10 to 7.2). The first lines are
/// those of the BARs and the ROM.
const LINE: usize = 3 * 18 + 3;
/// Maximum number of BARs.
pub(super) const BARS: usize = 6;

/// Physical addresses of a BAR, whole pages; the end is inclusive.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Bar {
    /// Parses a line of `resource`: start, end and flags. `None` for a BAR that does not
    /// exist or contains ports, and for any other text.
    fn parse(line: &[u8], page: u64) -> Option<Self> {
        let line = line
            .strip_suffix(b"\n")
            .filter(|line| line.len() == LINE - 1)?;
        let mut numbers = line.split(|&byte| byte == b' ').map(super::hex);
        let (start, end, flags) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let is_memory = flags & IORESOURCE_MEM != 0 && start != 0 && start <= end;
        is_memory.then_some(Self {
            first: start & !(page - 1),
            last: end | (page - 1),
        })
    }

    /// Returns whether the BAR contains all of these bytes.
    pub(super) fn holds(&self, first: u64, size: u64) -> bool {
        first >= self.first
            && first
                .checked_add(size - 1)
                .is_some_and(|last| last <= self.last)
    }

    /// Returns the size in bytes, whole pages.
    pub(super) fn size(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// Open file `resource` of a device. Read a line at a time, since stacks are small.
pub(super) struct Resources {
    file: OwnedFd,
    page: u64,
}

impl Resources {
    /// Opens the file in the device's directory in sysfs; `None` if there is no such
    /// file.
    pub(super) fn open(process: &ProcessHandle, device: &mut PathBuffer) -> Result<Option<Self>> {
        let page = process.page_size().bytes();
        let file = sysfs::open(process, device.push(b"/resource"), 0)?;
        Ok(file.map(|file| Self { file, page }))
    }

    /// Returns a BAR, or the ROM, by its number; `None` also if the line is cut.
    pub(super) fn bar(&self, number: usize) -> Option<Bar> {
        let mut line = [0u8; LINE];
        let len = sys::pread(self.file.borrow(), &mut line, (number * LINE) as u64).ok()?;
        Bar::parse(line.get(..len)?, self.page)
    }
}

/// Returns the path of the device's directory, `/sys/bus/pci/devices/` and the device.
pub(super) fn device_directory(device: &[u8]) -> PathBuffer {
    let mut path = PathBuffer::new();
    path.push(b"/sys/bus/pci/devices/").push(device);
    path
}

/// File `resourceN` or `resourceN_wc` of a device, by its path.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct ResourceFile<'a> {
    device: &'a [u8],
    file: &'a [u8],
    bar: usize,
    memory_type: Option<MemoryType>,
}

impl<'a> ResourceFile<'a> {
    /// Parses a path; `None` for other files, and for a deleted one.
    pub(super) fn parse(path: &'a [u8]) -> Option<Self> {
        let mut parts = path.rsplit(|&byte| byte == b'/');
        let (file, device) = (parts.next()?, parts.next()?);
        let (number, memory_type) = match file.strip_prefix(b"resource")? {
            [number] => (number, memtype::UNCACHED),
            [number, b'_', b'w', b'c'] => (number, memtype::WRITE_COMBINING),
            _ => return None,
        };
        let bar = usize::from(number.checked_sub(b'0')?);
        (bar < BARS && is_address(device)).then_some(Self {
            device,
            file,
            bar,
            memory_type,
        })
    }

    /// Returns the memory of a VMA of this file, which must be in sysfs.
    #[inline(never)]
    pub(super) fn memory(&self, process: &ProcessHandle, vma: &Vma) -> Result<Found> {
        // The path is the target's and may be anything: here it must lead to the mapped
        // object.
        let mut path = device_directory(self.device);
        let named = sysfs::inode(process, path.push(b"/").push(self.file))?;
        if named != Some(vma.inode) {
            return Ok(Err(UnknownReason::Unconfirmed));
        }
        let resources = Resources::open(process, &mut device_directory(self.device))?;
        let bar = resources.and_then(|resources| resources.bar(self.bar));
        Ok(match bar {
            Some(bar) if bar.holds(vma.offset, vma.range.size()) => Ok(DeviceMemory {
                start: PhysAddr::new(vma.offset),
                memory_type: self.memory_type,
            }),
            _ => Err(UnknownReason::Unconfirmed),
        })
    }
}

/// Returns whether the name is a device's address: domain, bus, device, function.
pub(super) fn is_address(name: &[u8]) -> bool {
    let mut parts = name.split(|&byte| byte == b':');
    let (Some(domain), Some(bus), Some([device @ .., b'.', function]), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    (4..=8).contains(&domain.len())
        && (bus.len(), device.len()) == (2, 2)
        && [domain, bus, device, &[*function]].into_iter().all(is_hex)
}

/// File of a device in `/proc/bus/pci`, by its path.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct ProcFile<'a> {
    path: &'a [u8],
    bus: &'a [u8],
    device: &'a [u8],
}

impl<'a> ProcFile<'a> {
    pub(super) fn parse(path: &'a [u8]) -> Option<Self> {
        let mut parts = path
            .strip_prefix(b"/proc/bus/pci/")?
            .split(|&byte| byte == b'/');
        let (bus, device) = (parts.next()?, parts.next()?);
        let in_first_domain = bus.len() == 2 && is_hex(bus);
        let rest_is_named = matches!(device, [a, b, b'.', _] if is_hex(&[*a, *b]));
        (parts.next().is_none() && in_first_domain && rest_is_named).then_some(Self {
            path,
            bus,
            device,
        })
    }

    /// Returns the memory of a VMA of this file: of the BAR that contains it, with an
    /// unknown type, which an ioctl on the open file has chosen.
    #[inline(never)]
    pub(super) fn memory(&self, process: &ProcessHandle, vma: &Vma) -> Result<Found> {
        let unconfirmed = Ok(Err(UnknownReason::Unconfirmed));
        let mut path = PathBuffer::new();
        path.push(self.path).push(b"\0");
        let named = if_readable(sys::openat(sys::CWD, path.as_bytes(), sys::O_PATH))?;
        let status = named.and_then(|named| sys::status(named.borrow()).ok());
        if status.map(|status| status.ino) != Some(vma.inode) {
            return unconfirmed;
        }
        let mut directory = PathBuffer::new();
        directory.push(b"/sys/bus/pci/devices/0000:").push(self.bus);
        directory.push(b":").push(self.device);
        let Some(resources) = Resources::open(process, &mut directory)? else {
            return unconfirmed;
        };
        let (first, size) = (vma.offset, vma.range.size());
        let mut bars = (0..=BARS).filter_map(|number| resources.bar(number));
        Ok(match bars.any(|bar| bar.holds(first, size)) {
            false => Err(UnknownReason::Unconfirmed),
            true => Ok(DeviceMemory {
                start: PhysAddr::new(first),
                memory_type: None,
            }),
        })
    }
}

fn is_hex(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
        0x00000000febf1100 0x00000000febf11ff 0x0000000000040200\n\
        0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
        0x000000000000c000 0x000000000000c0ff 0x0000000000040101\n\
        0x0000008000000000 0x00000080003fffff 0x000000000014220c\n\
        0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
        0x0000000000000000 0x00000000000fffff 0x0000000000040200\n\
        0x00000000feb00000 0x00000000feb0ffff 0x0000000000046200\n";

    #[test]
    fn the_resources_that_are_memory_are_read_whole_pages() {
        let bars: std::vec::Vec<_> = TEXT
            .chunks(LINE)
            .map(|line| Bar::parse(line, 4096))
            .collect();
        let bar = |first, last| Some(Bar { first, last });
        assert_eq!(bars[0], bar(0xfebf_1000, 0xfebf_1fff));
        assert_eq!(bars[1..3], [None, None], "none, and ports");
        assert_eq!(bars[3], bar(0x80_0000_0000, 0x80_003f_ffff));
        assert_eq!(bars[5], None, "one without an address yet");
        assert_eq!(bars[6], bar(0xfeb0_0000, 0xfeb0_ffff));
    }

    #[test]
    fn a_line_that_is_cut_or_out_of_step_is_none() {
        assert_eq!(Bar::parse(&TEXT[..LINE - 1], 4096), None);
        assert_eq!(Bar::parse(&TEXT[1..LINE + 1], 4096), None);
        assert_eq!(Bar::parse(b"", 4096), None);
    }

    #[test]
    fn a_bar_holds_nothing_past_its_end() {
        let bar = Bar {
            first: 0x1000,
            last: 0x2fff,
        };
        assert!(bar.holds(0x1000, 0x2000) && bar.holds(0x2000, 0x1000));
        assert!(!bar.holds(0, 0x1000) && !bar.holds(0x2000, 0x2000));
        assert!(!bar.holds(0x1000, u64::MAX) && !bar.holds(0, 0x3000));
        assert_eq!(bar.size(), 0x2000);
    }

    #[test]
    fn a_resource_file_is_recognised_by_its_path() {
        let at = b"/sys/devices/pci0000:00/0000:00:02.0/".as_slice();
        let parsed = |file: &[u8]| ResourceFile::parse(&[at, file].concat()).map(|file| file.bar);
        assert_eq!(parsed(b"resource0"), Some(0));
        assert_eq!(parsed(b"resource5_wc"), Some(5));
        for other in [
            &b"resource"[..],
            b"resource0_rc",
            b"resource6",
            b"resource00",
            b"resource/",
            b"resource0 (deleted)",
            b"rom",
        ] {
            assert_eq!(parsed(other), None, "{}", other.escape_ascii());
        }
        assert_eq!(ResourceFile::parse(b"/sys/devices/resource0"), None);
        assert_eq!(ResourceFile::parse(b"resource0"), None);
    }

    #[test]
    fn addresses_of_devices_are_distinguished_from_other_names() {
        for name in [&b"0000:00:02.0"[..], b"10000:e0:1f.7"] {
            assert!(is_address(name), "{}", name.escape_ascii());
        }
        for name in [
            &b"0000:00:02"[..],
            b"..",
            b"0000:00:0g.0",
            b"0000:00:02.0:",
            b"",
        ] {
            assert!(!is_address(name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_file_of_proc_is_recognised_by_its_path() {
        let parsed = ProcFile::parse(b"/proc/bus/pci/00/02.0").unwrap();
        assert_eq!((parsed.bus, parsed.device), (&b"00"[..], &b"02.0"[..]));
        for other in [
            &b"/proc/bus/pci/00"[..],
            b"/proc/bus/pci/../02.0",
            b"/proc/bus/pci/00/02.0/x",
            b"/proc/bus/pci/0001:00/02.0",
            b"/proc/vmcore",
        ] {
            assert_eq!(ProcFile::parse(other), None, "{}", other.escape_ascii());
        }
    }
}
