//! `PAGEMAP_SCAN` for present and swapped pages, then `pread` of their entries.

use std::fs::File;
use std::os::fd::AsRawFd;

use linux_raw_sys::general::{page_region, pm_scan_arg};

use super::bulk;
use crate::targets::Memory;

/// `PAGEMAP_SCAN` of include/uapi/linux/fs.h.
const PAGEMAP_SCAN: libc::Ioctl = 0xc060_6610_u32 as libc::Ioctl;
const PRESENT: u64 = 1 << 3;
const SWAPPED: u64 = 1 << 4;
pub(crate) const HUGE: u64 = 1 << 6;

/// Maximum number of ranges of a scan; with more, the kernel's `walk_end` lags
/// behind.
const RANGES: usize = 512;

/// An open page map, scanned and then read.
pub(crate) struct Scan {
    file: File,
    ranges: Vec<page_region>,
    buffer: Vec<u8>,
    start: u64,
    end: u64,
}

impl Scan {
    /// Opens the page map of a target; fails if the kernel has no scan.
    pub(crate) fn new(memory: &Memory) -> Result<Self, String> {
        let file = File::open(format!("/proc/{}/pagemap", memory.pid())).expect("pagemap");
        let nothing = page_region {
            start: 0,
            end: 0,
            categories: 0,
        };
        let mut scan = Self {
            file,
            ranges: vec![nothing; RANGES],
            buffer: vec![1; 64 << 10],
            start: memory.start,
            end: memory.end(),
        };
        match scan.scan(memory.start, memory.start, 0) {
            Ok(_) => Ok(scan),
            Err(error) => Err(format!("no PAGEMAP_SCAN here: {error}")),
        }
    }

    /// Scans and reads all present and swapped pages.
    pub(crate) fn read(&mut self) {
        let mut from = self.start;
        while from < self.end {
            let (found, next) = self
                .scan(from, self.end, PRESENT | SWAPPED)
                .expect("a scan");
            for range in &self.ranges[..found] {
                bulk::read(&self.file, &mut self.buffer, range.start, range.end);
            }
            from = next;
        }
    }

    /// Returns the bytes that entries above the PTE level map.
    pub(crate) fn huge_bytes(&mut self) -> u64 {
        let (mut from, mut bytes) = (self.start, 0);
        while from < self.end {
            let (found, next) = self.scan(from, self.end, HUGE).expect("a scan");
            let found = &self.ranges[..found];
            bytes += found
                .iter()
                .map(|range| range.end - range.start)
                .sum::<u64>();
            from = next;
        }
        bytes
    }

    /// Returns the ranges in any of these categories, as many as fit, and the address
    /// at which to continue.
    fn scan(&mut self, start: u64, end: u64, any_of: u64) -> std::io::Result<(usize, u64)> {
        let mut argument = pm_scan_arg {
            size: size_of::<pm_scan_arg>() as u64,
            flags: 0,
            start,
            end,
            walk_end: 0,
            vec: self.ranges.as_mut_ptr() as u64,
            vec_len: self.ranges.len() as u64,
            max_pages: 0,
            category_inverted: 0,
            category_mask: 0,
            category_anyof_mask: any_of,
            return_mask: any_of,
        };
        // SAFETY: the argument is live and names a live, exclusive vector with
        // its length.
        let found = unsafe { libc::ioctl(self.file.as_raw_fd(), PAGEMAP_SCAN, &raw mut argument) };
        if found < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let found = found as usize;
        let last = self.ranges[..found].last().map_or(start, |range| range.end);
        let next = argument.walk_end.max(last);
        assert!(next > start || start == end, "the scan came nowhere");
        Ok((found, next))
    }
}
