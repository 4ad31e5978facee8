//! Constants of the kernel that its generated bindings lack: ioctl requests, page-map
//! bits, scan categories, query flags. No logic.

pub(crate) use linux_raw_sys::general::{page_region, pm_scan_arg, procmap_query};

/// Computes `_IOWR('f', nr, size)` of include/uapi/asm-generic/ioctl.h; the same on x86,
/// Arm and RISC-V.
const fn iowr_f(nr: u32, size: usize) -> u32 {
    (3 << 30) | ((size as u32) << 16) | ((b'f' as u32) << 8) | nr
}

/// Request `PROCMAP_QUERY`, include/uapi/linux/fs.h, since 6.11.
pub(crate) const PROCMAP_QUERY: u32 = iowr_f(17, size_of::<procmap_query>());
/// Request `PAGEMAP_SCAN`, include/uapi/linux/fs.h, since 6.7.
pub(crate) const PAGEMAP_SCAN: u32 = iowr_f(16, size_of::<pm_scan_arg>());

pub(crate) const QUERY_READABLE: u64 = 0x1;
pub(crate) const QUERY_WRITABLE: u64 = 0x2;
pub(crate) const QUERY_EXECUTABLE: u64 = 0x4;
pub(crate) const QUERY_SHARED: u64 = 0x8;
pub(crate) const QUERY_COVERING_OR_NEXT: u64 = 0x10;

pub(crate) const SCAN_PRESENT: u64 = 1 << 3;
pub(crate) const SCAN_SWAPPED: u64 = 1 << 4;
pub(crate) const SCAN_HUGE: u64 = 1 << 6;

/// Mask of the basic attributes of `struct statx`, which include those that the walk uses.
pub(crate) const STATX_BASIC_STATS: u32 = 0x7ff;

/// Attribute of files with persistent memory, include/uapi/linux/stat.h.
pub(crate) const STATX_ATTR_DAX: u64 = 0x20_0000;
/// Attribute of the root of a mount, include/uapi/linux/stat.h, since 5.8.
pub(crate) const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;

pub(crate) const S_IFMT: u16 = 0o170000;
pub(crate) const S_IFREG: u16 = 0o100000;
pub(crate) const S_IFCHR: u16 = 0o020000;

/// `PID_FS_MAGIC`, include/uapi/linux/magic.h, since 6.9.
pub(crate) const PID_FS_MAGIC: i64 = 0x5049_4446;

/// `SYSFS_MAGIC`, include/uapi/linux/magic.h.
pub(crate) const SYSFS_MAGIC: i64 = 0x6265_6572;
/// `TMPFS_MAGIC`, include/uapi/linux/magic.h: also of memfd, System V and
/// shared anonymous memory.
pub(crate) const TMPFS_MAGIC: i64 = 0x0102_1994;
/// `HUGETLBFS_MAGIC`, include/uapi/linux/magic.h.
pub(crate) const HUGETLBFS_MAGIC: i64 = 0x9584_58f6;
/// `SECRETMEM_MAGIC`, include/uapi/linux/magic.h, since 5.14.
pub(crate) const SECRETMEM_MAGIC: i64 = 0x5345_434d;
/// `DMA_BUF_MAGIC`, include/uapi/linux/magic.h, since 5.3.
pub(crate) const DMA_BUF_MAGIC: i64 = 0x444d_4142;
/// `ANON_INODE_FS_MAGIC`, include/uapi/linux/magic.h.
pub(crate) const ANON_INODE_FS_MAGIC: i64 = 0x0904_1934;
/// `AIO_RING_MAGIC`, fs/aio.c.
pub(crate) const AIO_RING_MAGIC: i64 = 0xa10a_10a1;

/// `PROC_SUPER_MAGIC`, include/uapi/linux/magic.h.
pub(crate) const PROC_SUPER_MAGIC: i64 = 0x9fa0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctl_requests_have_the_values_of_the_kernel_headers() {
        // Computed by a C compiler from include/uapi/linux/fs.h of Linux 6.12.
        assert_eq!(PROCMAP_QUERY, 0xc068_6611);
        assert_eq!(PAGEMAP_SCAN, 0xc060_6610);
    }
}
