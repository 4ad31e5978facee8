//! One address through files that are kept open: its VMA and its frame.

use std::fs::File;
use std::os::fd::AsRawFd;

use linux_raw_sys::general::procmap_query;
use syscalls::{syscall, Errno, Sysno};
use testkit::memory::page;

use super::calls::read;
use crate::targets::Memory;

/// `PROCMAP_QUERY` of include/uapi/linux/fs.h.
const PROCMAP_QUERY: u32 = 0xc068_6611;
const COVERING_OR_NEXT: u64 = 0x10;

pub(crate) struct Kept {
    maps: File,
    pagemap: File,
}

impl Kept {
    /// Opens the files of a target; fails if the kernel has no query.
    pub(crate) fn new(memory: &Memory) -> Result<Self, String> {
        let open = |name: &str| File::open(format!("/proc/{}/{name}", memory.pid()));
        let kept = Self {
            maps: open("maps").expect("maps"),
            pagemap: open("pagemap").expect("pagemap"),
        };
        match query(kept.maps.as_raw_fd() as usize, memory.start, &mut []) {
            Ok(_) => Ok(kept),
            Err(errno) => Err(format!("no PROCMAP_QUERY here: {errno}")),
        }
    }

    /// One `PROCMAP_QUERY`, one `pread`.
    pub(crate) fn ask(&self, address: u64) {
        let found = query(self.maps.as_raw_fd() as usize, address, &mut []);
        assert_eq!(found, Ok(0));
        let mut entry = [0; 8];
        let pagemap = self.pagemap.as_raw_fd() as usize;
        assert_eq!(read(pagemap, &mut entry, address / page() * 8), 8);
        assert!(entry[7] & 0x80 != 0, "not present");
    }
}

/// Makes the bare call, whose result is 0.
#[inline(always)]
pub(super) fn query(maps: usize, address: u64, name: &mut [u8]) -> Result<usize, Errno> {
    let mut argument = procmap_query {
        size: size_of::<procmap_query>() as u64,
        query_flags: COVERING_OR_NEXT,
        query_addr: address,
        vma_start: 0,
        vma_end: 0,
        vma_flags: 0,
        vma_page_size: 0,
        vma_offset: 0,
        inode: 0,
        dev_major: 0,
        dev_minor: 0,
        vma_name_size: name.len() as u32,
        build_id_size: 0,
        vma_name_addr: if name.is_empty() {
            0
        } else {
            name.as_mut_ptr() as u64
        },
        build_id_addr: 0,
    };
    // SAFETY: the argument is live and names a live, exclusive buffer with its
    // length.
    unsafe { syscall!(Sysno::ioctl, maps, PROCMAP_QUERY, &raw mut argument) }
}
