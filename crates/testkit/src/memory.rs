//! Creates memory of every kind within a target. Addresses are plain numbers and never
//! turned into references.

use std::ffi::CString;
use std::io;

/// Returns the base page size.
pub fn page() -> u64 {
    // SAFETY: takes no memory.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

/// Returns the size of a transparent huge page, which one PMD entry maps; entries have
/// 8 bytes.
pub fn huge() -> u64 {
    page() * page() / 8
}

/// Number of huge pages of a large target: 128 MiB of the usual ones.
pub fn many_huge() -> u64 {
    ((128 << 20) / huge()).max(8)
}

/// `mmap` at an address of the kernel's choice.
pub fn try_map(size: u64, protection: i32, flags: i32, fd: i32, offset: u64) -> io::Result<u64> {
    try_map_at(0, size, protection, flags, fd, offset)
}

fn try_map_at(
    place: u64,
    size: u64,
    protection: i32,
    flags: i32,
    fd: i32,
    offset: u64,
) -> io::Result<u64> {
    let too_large = || io::Error::from_raw_os_error(libc::ENOMEM);
    let size = usize::try_from(size).map_err(|_| too_large())?;
    let (place, offset) = (place as *mut libc::c_void, offset as libc::off_t);
    // SAFETY: a new mapping at an address of the kernel's choice disturbs nobody; else
    // the caller names memory of a mapping made for this.
    let at = unsafe { libc::mmap(place, size, protection, flags, fd, offset) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(at as u64)
}

/// `mmap` at an address where nothing is mapped; an error if something is.
pub fn try_map_free(place: u64, size: u64, protection: i32, flags: i32) -> io::Result<u64> {
    try_map_at(
        place,
        size,
        protection,
        flags | libc::MAP_FIXED_NOREPLACE,
        -1,
        0,
    )
}

/// `mmap` over memory that was mapped for this purpose.
pub fn map_at(place: u64, size: u64, protection: i32, flags: i32, fd: i32, offset: u64) -> u64 {
    let flags = flags | libc::MAP_FIXED;
    try_map_at(place, size, protection, flags, fd, offset).expect("mmap")
}

/// `mmap` for reading and writing.
pub fn map(size: u64, flags: i32, fd: i32) -> u64 {
    try_map(size, libc::PROT_READ | libc::PROT_WRITE, flags, fd, 0).expect("mmap")
}

const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

/// Private anonymous memory, kept in base pages.
pub fn anonymous(size: u64) -> u64 {
    let at = map(size, ANONYMOUS, -1);
    advise(at, size, libc::MADV_NOHUGEPAGE);
    at
}

/// Private anonymous memory at an address with this alignment.
pub fn aligned(size: u64, alignment: u64) -> u64 {
    aligned_in(map(size + alignment, ANONYMOUS, -1), size, alignment)
}

/// Unmaps what is before and behind the first `size` bytes with this alignment in a
/// mapping that is larger by the alignment.
fn aligned_in(at: u64, size: u64, alignment: u64) -> u64 {
    let start = at.next_multiple_of(alignment);
    unmap(at, start - at);
    unmap(start + size, at + alignment - start);
    start
}

/// A private mapping of `/dev/zero` at an address with this alignment: an anonymous
/// VMA with an inode.
pub fn dev_zero(size: u64, alignment: u64) -> u64 {
    let file = open("/dev/zero");
    let at = map(size + alignment, libc::MAP_PRIVATE, file);
    // SAFETY: the descriptor is this function's own.
    unsafe { libc::close(file) };
    aligned_in(at, size, alignment)
}

/// `mremap` of a mapping, or a part of one, to a place that is already mapped.
pub fn move_to(from: u64, size: u64, to: u64) {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: the caller names memory of mappings made for this.
    let moved = unsafe {
        libc::mremap(
            from as *mut _,
            size as usize,
            size as usize,
            flags,
            to as *mut libc::c_void,
        )
    };
    assert_eq!(moved as u64, to, "mremap: {}", io::Error::last_os_error());
}

/// Writes a byte to each of `count` pages, `stride` pages apart.
pub fn touch(start: u64, count: u64, stride: u64) {
    for index in 0..count {
        let at = (start + index * stride * page()) as *mut u8;
        // SAFETY: the caller names memory of a mapping made for this.
        unsafe { at.write_volatile(index as u8 | 1) };
    }
}

/// Reads a byte of each of `count` adjacent pages.
pub fn read(start: u64, count: u64) {
    for index in 0..count {
        // SAFETY: the caller names memory of a mapping made for this.
        unsafe { ((start + index * page()) as *const u8).read_volatile() };
    }
}

/// `madvise`; false if the kernel does not know the advice.
pub fn advise(start: u64, size: u64, advice: i32) -> bool {
    // SAFETY: the caller names memory of a mapping made for this.
    unsafe { libc::madvise(start as *mut _, size as usize, advice) == 0 }
}

/// `MADV_GUARD_INSTALL`, Linux 6.13.
pub const MADV_GUARD_INSTALL: i32 = 102;

/// Prevents the kernel from collapsing this process's pages into huge ones.
pub fn keep_page_sizes() {
    // SAFETY: takes no memory.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// `mprotect`.
pub fn protect(start: u64, size: u64, protection: i32) {
    // SAFETY: the caller names memory of a mapping made for this.
    let result = unsafe { libc::mprotect(start as *mut _, size as usize, protection) };
    assert_eq!(result, 0, "mprotect: {}", io::Error::last_os_error());
}

/// `munmap`.
pub fn unmap(start: u64, size: u64) {
    if size > 0 {
        // SAFETY: the caller names memory of a mapping made for this.
        let result = unsafe { libc::munmap(start as *mut _, size as usize) };
        assert_eq!(result, 0, "munmap: {}", io::Error::last_os_error());
    }
}

/// An unnamed file in memory of this size.
pub fn memfd(size: u64) -> i32 {
    let name = CString::new("testkit").expect("a name");
    // SAFETY: a NUL-terminated name; the descriptor is new.
    unsafe {
        let fd = libc::memfd_create(name.as_ptr(), 0);
        assert!(fd >= 0 && libc::ftruncate(fd, size as libc::off_t) == 0);
        fd
    }
}

/// Opens a file for reading and writing.
pub fn open(path: &str) -> i32 {
    open_for(path, libc::O_RDWR)
}

/// Opens a file for reading only, as required for the file of a running program.
pub fn open_to_read(path: &str) -> i32 {
    open_for(path, libc::O_RDONLY)
}

fn open_for(path: &str, access: i32) -> i32 {
    let path = CString::new(path).expect("a path");
    // SAFETY: a NUL-terminated path.
    let fd = unsafe { libc::open(path.as_ptr(), access) };
    assert!(fd >= 0, "open {path:?}: {}", io::Error::last_os_error());
    fd
}
