//! Mappings of devices' files in a target, and what is found behind them.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use process_introspection::{Backing, PhysicalRegion, Process};
use testkit::memory;

pub(crate) const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Opens a file and maps so much of it, or says why not.
pub(crate) fn try_map(path: &Path, size: u64, flags: i32, offset: u64) -> std::io::Result<u64> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    memory::try_map(size, READ_WRITE, flags, file.as_raw_fd(), offset)
}

pub(crate) fn map(path: &Path, size: u64, offset: u64) -> u64 {
    try_map(path, size, libc::MAP_SHARED, offset)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn regions(process: &Process, at: u64, size: u64) -> Vec<PhysicalRegion> {
    let regions = process.physical_regions(at..at + size).unwrap();
    regions.map(Result::unwrap).collect()
}

/// The one region of a mapping that is all of one piece.
pub(crate) fn only(process: &Process, at: u64, size: u64) -> PhysicalRegion {
    let found = regions(process, at, size);
    let [region] = &found[..] else {
        panic!("{found:x?}")
    };
    assert_eq!(
        (region.virt.start().as_u64(), region.size()),
        (at, size),
        "{region:x?}"
    );
    region.clone()
}

pub(crate) fn device_address(region: &PhysicalRegion) -> u64 {
    match region.backing {
        Backing::Device(address) => address.as_u64(),
        _ => panic!("{region:x?}"),
    }
}
