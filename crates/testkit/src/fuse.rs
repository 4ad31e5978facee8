//! A file system in user space with one file, whose server can stop answering:
//! the effect of a mapped file on a process that requests more than its pages.
//! Speaks to `/dev/fuse` itself (include/uapi/linux/fuse.h, Linux 6.12).

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::machine::skip;

/// A request to the server.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The attributes of a file.
    GetAttr = 3,
    /// A file is opened.
    Open = 14,
    /// Its contents are read.
    Read = 15,
    /// The statistics of the file system.
    StatFs = 17,
}

impl Request {
    /// All requests.
    pub const ALL: [Self; 4] = [Self::Open, Self::Read, Self::GetAttr, Self::StatFs];
}

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// The name of the file.
const NAME: &str = "file";
/// Inode numbers of the root directory and of the file.
const ROOT: u64 = 1;
const FILE: u64 = 2;

#[derive(Debug)]
struct Shared {
    content: Vec<u8>,
    /// One bit for each request that is not answered, by its number.
    unanswered: AtomicU32,
    /// One bit for each request that arrived while it was not answered.
    waiting: AtomicU32,
    ends: AtomicBool,
}

/// A mounted file system and the thread that serves it. Dropping ends both, and
/// every request that still waits fails.
#[derive(Debug)]
pub struct FileSystem {
    mounted_at: PathBuf,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

impl FileSystem {
    /// Mounts it at a directory of its own below the directory for temporary
    /// files. Prints that the test is skipped where there is no FUSE, or no right
    /// to mount.
    pub fn mount_or_skip(test: &str, content: Vec<u8>) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("testkit-fuse-{}-{number}", std::process::id());
        let mounted_at = std::env::temp_dir().join(name);
        match Self::mount(mounted_at, content) {
            Ok(mounted) => Some(mounted),
            Err(error) => {
                let why = format!("needs FUSE and the right to mount it: {error}");
                skip(test, &why)
            }
        }
    }

    fn mount(mounted_at: PathBuf, content: Vec<u8>) -> io::Result<Self> {
        // SAFETY: a constant path; the descriptor is ours then.
        let device = unsafe {
            let fd = libc::open(c"/dev/fuse".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        std::fs::create_dir(&mounted_at)?;
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        let options = CString::new(options)?;
        let at = c_path(&mounted_at);
        // SAFETY: live strings.
        let mounted = unsafe {
            libc::mount(
                c"testkit".as_ptr(),
                at.as_ptr(),
                c"fuse".as_ptr(),
                libc::MS_NOSUID | libc::MS_NODEV,
                options.as_ptr().cast(),
            )
        };
        if mounted != 0 {
            let error = io::Error::last_os_error();
            std::fs::remove_dir(&mounted_at)?;
            return Err(error);
        }
        let shared = Arc::new(Shared {
            content,
            unanswered: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            ends: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        Ok(Self {
            mounted_at,
            shared,
            server: Some(thread::spawn(move || serve(&device, &serving))),
        })
    }

    /// Returns the path of the file.
    pub fn file(&self) -> PathBuf {
        self.mounted_at.join(NAME)
    }

    /// Stops answering requests of this kind.
    pub fn stop_answering(&self, request: Request) {
        let bit = 1 << request as u32;
        self.shared.unanswered.fetch_or(bit, Ordering::Relaxed);
    }

    /// Returns whether an unanswered request was made.
    pub fn keeps_waiting(&self, request: Request) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) & 1 << request as u32 != 0
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        let at = c_path(&self.mounted_at);
        // The first ends the connection: waiting requests fail (fs/fuse/inode.c,
        // `fuse_umount_begin`). It may be in use as well, so the second.
        // SAFETY: a live string.
        unsafe {
            libc::umount2(at.as_ptr(), libc::MNT_FORCE);
            libc::umount2(at.as_ptr(), libc::MNT_DETACH);
        }
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
        let _ = std::fs::remove_dir(&self.mounted_at);
    }
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no NUL in a path")
}

/// Answers until the connection ends.
fn serve(device: &OwnedFd, shared: &Shared) {
    // The kernel requires at least 8 KiB and room for a write.
    let mut request = vec![0u8; 256 << 10];
    while !shared.ends.load(Ordering::Relaxed) {
        let mut poll = libc::pollfd {
            fd: device.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: a live structure and a live buffer.
        let len = unsafe {
            if libc::poll(&raw mut poll, 1, 50) <= 0 {
                continue;
            }
            libc::read(
                device.as_raw_fd(),
                request.as_mut_ptr().cast(),
                request.len(),
            )
        };
        match usize::try_from(len) {
            Ok(len) if len >= 40 => answer(device, shared, &request[..len]),
            _ if io::Error::last_os_error().raw_os_error() == Some(libc::ENODEV) => return,
            _ => {}
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn answer(device: &OwnedFd, shared: &Shared, request: &[u8]) {
    let (opcode, unique, node) = (word(request, 4), long(request, 8), long(request, 16));
    let argument = &request[40..];
    if matches!(opcode, FORGET | BATCH_FORGET | INTERRUPT) {
        return;
    }
    if shared.unanswered.load(Ordering::Relaxed) & 1u32.checked_shl(opcode).unwrap_or(0) != 0 {
        shared.waiting.fetch_or(1 << opcode, Ordering::Relaxed);
        return;
    }
    let mut body = Vec::new();
    let mut error = 0;
    match opcode {
        INIT => {
            body.extend([7u32, 31, 128 << 10, 0].map(u32::to_ne_bytes).concat());
            body.extend([16u16, 12].map(u16::to_ne_bytes).concat());
            body.extend([128u32 << 10, 1].map(u32::to_ne_bytes).concat());
            body.resize(64, 0);
        }
        LOOKUP if node == ROOT && argument == [NAME.as_bytes(), b"\0"].concat() => {
            let seconds = 3600;
            // Attributes expire at once: each use makes a request.
            body.extend([FILE, 0, seconds, 0, 0].map(u64::to_ne_bytes).concat());
            body.extend(attributes(shared, FILE));
        }
        3 => {
            body.extend([0u64; 2].map(u64::to_ne_bytes).concat());
            body.extend(attributes(shared, node));
        }
        14 => body.resize(16, 0),
        15 => {
            let len = shared.content.len();
            let from = (long(argument, 8) as usize).min(len);
            let to = (from + word(argument, 16) as usize).min(len);
            body.extend(&shared.content[from..to]);
        }
        17 => body.resize(80, 0),
        RELEASE | FLUSH => {}
        LOOKUP => error = libc::ENOENT,
        _ => error = libc::ENOSYS,
    }
    let mut answer = Vec::new();
    answer.extend((16 + body.len() as u32).to_ne_bytes());
    answer.extend((-error).to_ne_bytes());
    answer.extend(unique.to_ne_bytes());
    answer.extend(body);
    // The process that made the request can have been killed meanwhile.
    // SAFETY: a live buffer.
    unsafe { libc::write(device.as_raw_fd(), answer.as_ptr().cast(), answer.len()) };
}

fn attributes(shared: &Shared, node: u64) -> Vec<u8> {
    let (mode, size) = match node {
        ROOT => (libc::S_IFDIR | 0o755, 0),
        _ => (libc::S_IFREG | 0o755, shared.content.len() as u64),
    };
    let mut bytes = [node, size, size.div_ceil(512), 0, 0, 0]
        .map(u64::to_ne_bytes)
        .concat();
    let words = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0];
    bytes.extend(words.map(u32::to_ne_bytes).concat());
    bytes
}
