//! Names of the kernel's interface: from its generated bindings, and those that the
//! bindings lack: ioctl requests, scan categories, query flags. No logic.

pub(crate) use linux_raw_sys::general::{page_region, pm_scan_arg, procmap_query};
// Types of file systems (include/uapi/linux/magic.h): dma-buf since 5.3, secretmem since
// 5.14, pidfs since 6.9. The type of tmpfs is also that of memfd, System V and shared
// anonymous memory.
pub(crate) use linux_raw_sys::general::{
    ANON_INODE_FS_MAGIC, DMA_BUF_MAGIC, HUGETLBFS_MAGIC, PID_FS_MAGIC, PROC_SUPER_MAGIC,
    SECRETMEM_MAGIC, SYSFS_MAGIC, TMPFS_MAGIC,
};

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

/// `AIO_RING_MAGIC`, fs/aio.c.
pub(crate) const AIO_RING_MAGIC: u32 = 0xa10a_10a1;

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
