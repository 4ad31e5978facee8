//! Maps objects of every type of Linux within a target: files, and objects that a
//! system call creates, which are touched. Addresses are plain numbers.

use std::ffi::CString;
use std::io;

use crate::memory::{self, page, try_map};

const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// Converts the result of a call, an `int` or a `long` of any size.
fn checked(result: impl Into<i64>) -> io::Result<i64> {
    let result = result.into();
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn map_shared(fd: i64, size: u64) -> io::Result<u64> {
    try_map(size, READ_WRITE, libc::MAP_SHARED, fd as i32, 0).map(touched)
}

fn touched(at: u64) -> u64 {
    memory::read(at, 1);
    at
}

/// A page of System V shared memory, which ends with the target. `flags` are
/// those of `shmget`, such as `SHM_HUGETLB`.
pub fn system_v(size: u64, flags: i32) -> io::Result<u64> {
    // SAFETY: takes no memory; maps at an address of the kernel's choice.
    unsafe {
        let id = checked(libc::shmget(
            libc::IPC_PRIVATE,
            size as usize,
            0o600 | flags,
        ))?;
        let at = libc::shmat(id as i32, std::ptr::null(), 0);
        let error = io::Error::last_os_error();
        libc::shmctl(id as i32, libc::IPC_RMID, std::ptr::null_mut());
        if at as isize == -1 {
            return Err(error);
        }
        Ok(at as u64)
    }
}

/// A page of memory that the kernel itself cannot see (Linux 5.14).
pub fn secret() -> io::Result<u64> {
    // SAFETY: take no memory of ours.
    let fd = checked(unsafe { libc::syscall(libc::SYS_memfd_secret, 0) })?;
    // SAFETY: as above.
    checked(unsafe { libc::ftruncate(fd as i32, page() as libc::off_t) })?;
    map_shared(fd, page())
}

/// The submission ring of an io_uring.
pub fn io_uring() -> io::Result<u64> {
    let mut parameters = [0u32; 30];
    let to = parameters.as_mut_ptr();
    // SAFETY: the kernel writes a struct of 120 bytes into as many live ones.
    let fd = checked(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, to) })?;
    map_shared(fd, page())
}

/// The first page of a perf event's ring.
pub fn perf_event() -> io::Result<u64> {
    const SOFTWARE_DUMMY: (u32, u64) = (1, 9);
    let mut attributes = [0u64; 8];
    // The type, the size of the first version of the struct, what to count.
    attributes[0] = u64::from(SOFTWARE_DUMMY.0) | 64 << 32;
    attributes[1] = SOFTWARE_DUMMY.1;
    let from = attributes.as_ptr();
    // SAFETY: the kernel reads a struct of the size that it states.
    let fd = checked(unsafe { libc::syscall(libc::SYS_perf_event_open, from, 0, -1, -1, 0) })?;
    map_shared(fd, page())
}

/// The ring of an aio context.
pub fn aio_ring() -> io::Result<u64> {
    let mut context = 0u64;
    let to = &raw mut context;
    // SAFETY: the kernel writes a word into a live one.
    checked(unsafe { libc::syscall(libc::SYS_io_setup, 1, to) })?;
    Ok(touched(context))
}

/// The values of a BPF array (Linux 5.5).
pub fn bpf_array() -> io::Result<u64> {
    const MAP_CREATE: i32 = 0;
    const ARRAY: u32 = 2;
    const MMAPABLE: u32 = 1 << 10;
    let attributes = [ARRAY, 4, page() as u32, 1, MMAPABLE, 0, 0, 0, 0, 0, 0, 0];
    let (from, size) = (attributes.as_ptr(), size_of_val(&attributes));
    // SAFETY: the kernel reads as many live bytes as it is told.
    let fd = checked(unsafe { libc::syscall(libc::SYS_bpf, MAP_CREATE, from, size) })?;
    map_shared(fd, page())
}

/// A page of a dma-buf that is made of a memfd's pages (`/dev/udmabuf`).
pub fn dma_buf() -> io::Result<u64> {
    // _IOW('u', 0x42, struct udmabuf_create).
    const CREATE: libc::Ioctl = 0x4018_7542;
    let path = c"/dev/udmabuf".as_ptr();
    let name = c"testkit".as_ptr();
    // SAFETY: NUL-terminated strings; the kernel reads a struct of 24 bytes.
    unsafe {
        let device = checked(libc::open(path, libc::O_RDWR | libc::O_CLOEXEC))?;
        let memory = checked(libc::memfd_create(name, libc::MFD_ALLOW_SEALING))?;
        checked(libc::ftruncate(memory as i32, page() as libc::off_t))?;
        checked(libc::fcntl(
            memory as i32,
            libc::F_ADD_SEALS,
            libc::F_SEAL_SHRINK,
        ))?;
        let create = [memory as u32 as u64, 0, page()];
        let fd = checked(libc::ioctl(device as i32, CREATE, create.as_ptr()))?;
        map_shared(fd, page())
    }
}

/// Names a private anonymous mapping (Linux 5.17, `CONFIG_ANON_VMA_NAME`).
pub fn name_anonymous(start: u64, size: u64, name: &str) -> io::Result<()> {
    const SET_VMA: i32 = 0x5356_4d41;
    const ANON_NAME: libc::c_ulong = 0;
    let name = CString::new(name).expect("a name");
    let [start, size] = [start, size].map(|number| number as libc::c_ulong);
    // SAFETY: a live NUL-terminated name; nothing of the memory is touched.
    checked(unsafe { libc::prctl(SET_VMA, ANON_NAME, start, size, name.as_ptr()) })?;
    Ok(())
}
