//! Target processes: each allocates one kind of memory and then sleeps.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

use testkit::memory::{self, page};
use testkit::target::Target;

pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const TIB: u64 = 1 << 40;
pub(crate) const PMD: u64 = 2 << 20;

/// A range of a target.
pub(crate) struct Memory {
    target: Rc<Target>,
    pub(crate) start: u64,
    pub(crate) size: u64,
}

impl Memory {
    fn of(size: u64, make: impl FnOnce() -> u64) -> Self {
        // A target shares what this process has: free memory of earlier cases does not belong
        // to any.
        // SAFETY: concerns free memory only.
        unsafe { libc::malloc_trim(0) };
        let target = Target::spawn(|| vec![make()]);
        let start = target.addresses()[0];
        Self {
            target: Rc::new(target),
            start,
            size,
        }
    }

    /// Makes a target that does not sleep, but runs until it is killed.
    pub(crate) fn busy(size: u64, make: impl FnOnce() -> u64, run: impl FnOnce()) -> Self {
        let target = Target::spawn_reporting(|report| {
            report.send(&[make()]);
            run();
        });
        let start = target.addresses()[0];
        Self {
            target: Rc::new(target),
            start,
            size,
        }
    }

    /// Returns a part of the range.
    pub(crate) fn part(&self, start: u64, size: u64) -> Self {
        assert!(self.start <= start && start + size <= self.end());
        Self {
            target: Rc::clone(&self.target),
            start,
            size,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.target.pid()
    }

    pub(crate) fn end(&self) -> u64 {
        self.start + self.size
    }

    /// Returns the number of the process's mappings, by its `maps`.
    pub(crate) fn areas(&self) -> usize {
        let maps = std::fs::read(format!("/proc/{}/maps", self.pid())).expect("maps");
        maps.iter().filter(|&&byte| byte == b'\n').count()
    }
}

/// Two ranges of base pages in one process, the second twice as large, touched
/// in turn, so that the allocator serves both alike.
pub(crate) fn one_and_two(size: u64) -> (Memory, Memory) {
    two_ranges([size, 2 * size], |[one, two]| {
        for block in (0..size).step_by(PMD as usize) {
            memory::touch(one + block, PMD / page(), 1);
            memory::touch(two + 2 * block, 2 * PMD / page(), 1);
        }
    })
}

/// Two reservations in one process, the second twice as large, each with `count`
/// pages touched at the same distances, in turn.
pub(crate) fn once_and_twice_reserved(size: u64, pages: u64) -> (Memory, Memory) {
    two_ranges([size, 2 * size], |starts| {
        for index in 0..pages {
            for start in starts {
                memory::touch(start + index * (size / pages), 1, 1);
            }
        }
    })
}

fn two_ranges(sizes: [u64; 2], fill: impl FnOnce([u64; 2])) -> (Memory, Memory) {
    let target = Rc::new(Target::spawn(|| {
        // Aligned, so that both need equally many page tables for equally many pages.
        let starts = sizes.map(|size| memory::aligned(size, GIB));
        for (start, size) in starts.into_iter().zip(sizes) {
            memory::advise(start, size, libc::MADV_NOHUGEPAGE);
        }
        fill(starts);
        starts.to_vec()
    }));
    let range = |index: usize| Memory {
        target: Rc::clone(&target),
        start: target.addresses()[index],
        size: sizes[index],
    };
    (range(0), range(1))
}

/// Base pages, touched in order.
pub(crate) fn dense(size: u64) -> Memory {
    Memory::of(size, || make_dense(size))
}

/// Base pages, touched in order, while another process holds the scattered
/// small pieces of free memory that the allocator hands out first.
pub(crate) fn dense_of_large_blocks(size: u64) -> Memory {
    let _ballast = dense(3 * GIB);
    dense(size)
}

/// Makes the memory of [`dense`] in this process.
pub(crate) fn make_dense(size: u64) -> u64 {
    let at = memory::anonymous(size);
    memory::touch(at, size / page(), 1);
    at
}

/// A reservation with `count` pages touched, at equal distances.
pub(crate) fn sparse(size: u64, pages: u64) -> Memory {
    Memory::of(size, || make_sparse(size, pages))
}

/// Makes the memory of [`sparse`] in this process.
pub(crate) fn make_sparse(size: u64, pages: u64) -> u64 {
    let at = memory::anonymous(size);
    memory::touch(at, pages, size / pages / page());
    at
}

/// `count` adjacent mappings of one touched page each.
pub(crate) fn areas(count: u64) -> Memory {
    Memory::of(count * page(), || {
        let at = memory::anonymous(count * page());
        memory::touch(at, count, 1);
        for index in (0..count).step_by(2) {
            memory::protect(at + index * page(), page(), libc::PROT_READ);
        }
        at
    })
}

/// Transparent huge pages, as far as the kernel has free ones.
pub(crate) fn transparent_huge(size: u64) -> Memory {
    Memory::of(size, || {
        let at = memory::aligned(size, PMD);
        memory::advise(at, size, libc::MADV_HUGEPAGE);
        memory::touch(at, size / PMD, PMD / page());
        at
    })
}

/// Base pages touched in a stride, so that neighbours are not allocated one
/// after the other.
pub(crate) fn strided(size: u64, stride: u64) -> Memory {
    Memory::of(size, || {
        let at = memory::anonymous(size);
        let pages = size / page();
        for first in 0..stride {
            memory::touch(
                at + first * page(),
                (pages - first).div_ceil(stride),
                stride,
            );
        }
        at
    })
}

/// Pages of hugetlb, which must be reserved beforehand.
pub(crate) fn hugetlb(size: u64, page_size: u64) -> Memory {
    let order = (page_size.trailing_zeros() as i32) << libc::MAP_HUGE_SHIFT;
    Memory::of(size, || {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | order;
        let at = memory::map(size, flags, -1);
        memory::touch(at, size / page_size, page_size / page());
        at
    })
}

/// The page cache of a file without a name in a directory, mapped shared for
/// reading, all of it touched. The file goes with the target.
pub(crate) fn page_cache(directory: &Path, size: u64) -> Result<Memory, String> {
    let failed = |error| format!("a file in {}: {error}", directory.display());
    let file = unnamed_file(directory, size).map_err(failed)?;
    // SAFETY: plain numbers, filled by the call.
    let kind = unsafe {
        let mut fs = std::mem::zeroed::<libc::statfs>();
        assert_eq!(libc::fstatfs(file.as_raw_fd(), &mut fs), 0);
        fs.f_type
    };
    if kind == libc::TMPFS_MAGIC {
        return Err(format!(
            "{} is on tmpfs, not on a disk",
            directory.display()
        ));
    }
    Ok(Memory::of(size, || {
        let fd = file.as_raw_fd();
        let mapped = memory::try_map(size, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        let at = mapped.expect("mmap of a file");
        memory::read(at, size / page());
        at
    }))
}

fn unnamed_file(directory: &Path, size: u64) -> std::io::Result<File> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(directory)?;
    let block = vec![0x5a; 1 << 20];
    for _ in 0..size >> 20 {
        file.write_all(&block)?;
    }
    // Pages under writeback read the same, but the disk is busy then.
    file.sync_all()?;
    Ok(file)
}
