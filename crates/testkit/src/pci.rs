//! PCI devices for tests, and the kernel's information about their memory. Maps nothing
//! itself.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::or_skip;

/// A BAR that is memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its number, 0 to 5.
    pub number: usize,
    /// Its first physical address.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The files that map it, and whether they request write-combining.
    pub files: Vec<(PathBuf, bool)>,
}

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its directory below `/sys/devices`.
    pub directory: PathBuf,
    /// Its BARs that are memory.
    pub bars: Vec<Bar>,
}

/// QEMU's `edu`, `pci-testdev` and `ivshmem`: nothing depends on them.
const TEST_DEVICES: [(&str, &str); 3] = [
    ("0x1234", "0x11e8"),
    ("0x1b36", "0x0005"),
    ("0x1af4", "0x1110"),
];

/// `ivshmem`: its BAR 2 is memory that keeps what is written to it.
pub const IVSHMEM: (&str, &str) = TEST_DEVICES[2];

fn number(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

fn is(directory: &Path, (vendor, device): (&str, &str)) -> bool {
    number(&directory.join("vendor")).as_deref() == Some(vendor)
        && number(&directory.join("device")).as_deref() == Some(device)
}

impl Device {
    /// Returns whether it is this device.
    pub fn is(&self, ids: (&str, &str)) -> bool {
        is(&self.directory, ids)
    }

    /// Returns whether no driver uses it.
    pub fn is_free(&self) -> bool {
        !self.directory.join("driver").exists()
    }

    fn at(directory: PathBuf) -> Option<Self> {
        const MEMORY: u64 = 0x200;
        let text = fs::read_to_string(directory.join("resource")).ok()?;
        let mut bars = Vec::new();
        for (index, line) in text.lines().take(6).enumerate() {
            let numbers: Vec<u64> = line
                .split(' ')
                .filter_map(|number| u64::from_str_radix(number.strip_prefix("0x")?, 16).ok())
                .collect();
            let [start, end, flags] = numbers[..] else {
                return None;
            };
            if flags & MEMORY == 0 || start == 0 {
                continue;
            }
            let names = [
                (format!("resource{index}"), false),
                (format!("resource{index}_wc"), true),
            ];
            let files = names.map(|(name, combining)| (directory.join(name), combining));
            bars.push(Bar {
                number: index,
                start,
                size: end - start + 1,
                files: files
                    .into_iter()
                    .filter(|(file, _)| file.exists())
                    .collect(),
            });
        }
        Some(Self { directory, bars })
    }
}

/// Returns the test devices of this machine that no driver uses; prints that the test
/// is skipped if there are none.
pub fn test_devices_or_skip(test: &str) -> Vec<Device> {
    let all = fs::read_dir("/sys/bus/pci/devices").into_iter().flatten();
    let found: Vec<_> = all
        .filter_map(|entry| entry.ok()?.path().canonicalize().ok())
        .filter(|directory| TEST_DEVICES.iter().any(|ids| is(directory, *ids)))
        .filter(|directory| !directory.join("driver").exists())
        .filter_map(Device::at)
        .collect();
    let why = "no such device (edu, pci-testdev, ivshmem)";
    or_skip(!found.is_empty(), test, why);
    found
}
