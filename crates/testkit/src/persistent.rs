//! Persistent memory of a machine: the file system and the devices that map it directly
//! (DAX), and the addresses of their files' bytes, by sysfs and by the file system
//! itself. Guests of `cargo xtask vmtest` have it. Reads no page table.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::machine::{or_skip, skip};

/// A file system that is mounted with direct access.
#[derive(Debug)]
pub struct FileSystem {
    /// Mount point.
    pub root: PathBuf,
    /// Its block device.
    pub disk: PathBuf,
    /// The physical addresses of all of the block device.
    pub range: Range<u64>,
}

/// A piece of a file: offset in the file, physical address, length.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The offset in the file.
    pub offset: u64,
    /// The physical address.
    pub address: u64,
    /// The length in bytes.
    pub length: u64,
}

/// A device that programs can map.
#[derive(Debug)]
pub struct Device {
    /// Its node.
    pub path: PathBuf,
    /// Its physical addresses.
    pub range: Range<u64>,
    /// The size of its pages.
    pub page: u64,
}

/// Returns the first file system with direct access; prints that the test is skipped
/// without one.
pub fn file_system_or_skip(test: &str) -> Option<FileSystem> {
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts");
    let found = mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let mut options = fields[3].split(',');
        // The first is the option of 5.8 and later (Documentation/filesystems/dax).
        let is_direct = options.any(|option| matches!(option, "dax=always" | "dax"));
        is_direct.then(|| (PathBuf::from(fields[0]), PathBuf::from(fields[1])))
    });
    let Some((disk, root)) = found else {
        return skip(test, "no file system is mounted with direct access");
    };
    let name = disk.file_name().expect("the name of a block device");
    let device = Path::new("/sys/class/block").join(name).join("device");
    Some(FileSystem {
        range: range(&device),
        root,
        disk,
    })
}

/// Returns all devices; prints that the test is skipped without any.
pub fn devices_or_skip(test: &str) -> Vec<Device> {
    let entries = fs::read_dir("/sys/bus/dax/devices").into_iter().flatten();
    let mut found: Vec<Device> = entries
        .flatten()
        .map(|entry| Device {
            path: Path::new("/dev").join(entry.file_name()),
            range: range(&entry.path()),
            page: number(&entry.path().join("align")),
        })
        .collect();
    found.sort_by_key(|device| device.page);
    or_skip(!found.is_empty(), test, "there is no DAX device");
    found
}

/// Returns the addresses of a namespace or of a device, by sysfs.
fn range(device: &Path) -> Range<u64> {
    let start = number(&device.join("resource"));
    start..start + number(&device.join("size"))
}

/// Reads a decimal or hexadecimal attribute.
fn number(path: &Path) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let text = text.trim();
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.unwrap_or_else(|error| panic!("{path:?}: {text}: {error}"))
}

impl FileSystem {
    /// Creates a file of this size that is one hole.
    pub fn create(&self, name: &str, size: u64) -> File {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(self.root.join(name)).expect("a file");
        file.set_len(size).expect("its size");
        file
    }

    /// Returns the places of the file's bytes, by the file system (`FS_IOC_FIEMAP`,
    /// Documentation/filesystems/fiemap.rst), without holes.
    pub fn extents(&self, file: &File) -> Vec<Extent> {
        const COUNT: usize = 64;
        const HEADER: usize = 4;
        const WORDS: usize = 7;
        // _IOWR('f', 11, struct fiemap): the size of the header.
        const FIEMAP: u32 = 0xc020_660b;
        const SYNC: u64 = 1;
        // fm_start, fm_length, fm_flags | fm_mapped_extents << 32,
        // fm_extent_count | fm_reserved << 32, then the extents.
        let mut words = [0u64; HEADER + COUNT * WORDS];
        words[1] = u64::MAX;
        words[2] = SYNC;
        words[3] = COUNT as u64;
        // SAFETY: a live buffer with room for as many extents as it states.
        let result =
            unsafe { libc::ioctl(file.as_raw_fd(), FIEMAP as libc::Ioctl, words.as_mut_ptr()) };
        assert_eq!(result, 0, "FIEMAP: {}", io::Error::last_os_error());
        let mapped = (words[2] >> 32) as usize;
        assert!(mapped < COUNT, "{mapped} extents");
        let extents = words[HEADER..].chunks_exact(WORDS).take(mapped);
        let extents = extents.map(|extent| Extent {
            offset: extent[0],
            address: self.range.start + extent[1],
            length: extent[2],
        });
        extents.collect()
    }

    /// Returns the physical address of a file's byte; `None` in a hole.
    pub fn address(&self, file: &File, offset: u64) -> Option<u64> {
        let extents = self.extents(file);
        let mut extents = extents.iter();
        let extent = extents.find(|it| (it.offset..it.offset + it.length).contains(&offset));
        extent.map(|extent| extent.address + (offset - extent.offset))
    }

    /// Returns the bytes at a physical address, by the block device.
    pub fn bytes(&self, address: u64) -> [u8; 4096] {
        #[repr(align(4096))]
        struct Block([u8; 4096]);
        let mut block = Block([0; 4096]);
        let mut options = File::options();
        // Without the page cache, which is separate from direct access.
        let disk = options.read(true).custom_flags(libc::O_DIRECT);
        let disk = disk.open(&self.disk).expect("the block device");
        disk.read_exact_at(&mut block.0, address - self.range.start)
            .expect("a block");
        block.0
    }
}
